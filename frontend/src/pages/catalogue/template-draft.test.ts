import { expect, test } from "vitest";
import { DEFAULTS, fromTemplate, toBody } from "~/pages/workloads/draft";
import { asTemplate, readWork, workText } from "./template-draft";

test("what a template says is an object, and nothing else is", () => {
  expect(readWork('{"kind": "vm"}')).toEqual({ kind: "vm" });
  expect(readWork(" ")).toEqual({});
  for (const text of ["[1]", "7", "null", "{", '"a"']) expect(readWork(text)).toBeUndefined();
  expect(readWork(workText({ kind: "batch", command: ["a b"] }))).toEqual({ kind: "batch", command: ["a b"] });
});

test("a request becomes a template without its name, its place and what is empty", () => {
  const draft = { ...DEFAULTS, name: "mine", project: "p", pool: "q", accelerators: 4, image: "train:1", command: "python\ntrain.py", model_names: ["H100"], memoryGib: 64 };
  const work = asTemplate(toBody(draft));
  expect(work).toMatchObject({ accelerators: 4, image: "train:1", command: ["python", "train.py"], model_names: ["H100"], memory_mib: 65_536 });
  for (const name of ["name", "project", "pool", "env", "ports", "max_seconds"]) expect(work).not.toHaveProperty(name);
  expect({ ...DEFAULTS, ...fromTemplate(work), name: "mine", project: "p", pool: "q" }).toEqual(draft);
});
