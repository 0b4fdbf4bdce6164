import { expect, test } from "vitest";
import { DEFAULTS, toBody } from "./draft";

test("people's units become the API's", () => {
  const body = toBody({ ...DEFAULTS, name: " a ", project: "p", pool: "q", share: 0.333, cores: 0.5, memoryGib: 1.5, runMinutes: 2.5 });
  expect(body).toMatchObject({
    name: "a",
    accelerators: 1,
    accelerator_milli: 333,
    cpu_milli: 500,
    memory_mib: 1536,
    run_seconds: 150,
    max_seconds: null,
  });
});

test("each line of the command is one argument, blanks and quotes kept", () => {
  expect(toBody({ ...DEFAULTS, command: 'sh\n-c\necho "a b"; sleep 1\n' }).command).toEqual(["sh", "-c", 'echo "a b"; sleep 1']);
});

test("work without accelerators asks for no share and no model", () => {
  const body = toBody({ ...DEFAULTS, accelerators: 0, share: 0.5, model_names: ["H100"] });
  expect(body).toMatchObject({ accelerators: 0, accelerator_milli: 1000, model_names: [] });
});
