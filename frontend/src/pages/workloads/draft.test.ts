import { expect, test } from "vitest";
import { Problem } from "~/api/problem";
import { badLine, DEFAULTS, draftErrors, isOfMore, isPort, toBody, type VolumeDraft } from "./draft";

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

const volume = (over: Partial<VolumeDraft>): VolumeDraft => ({ key: "", path: "/data ", kind: "scratch", source: "left over", sizeGib: 1.5, isReadOnly: true, ...over });

test("volumes, ports and variables become the API's, each with what its kind has", () => {
  const body = toBody({ ...DEFAULTS, env: "A=1\n\n B_2=x=y z\n", ports: ["8080"], volumes: [volume({}), volume({ kind: "claim", source: " data-1 " }), volume({ kind: "memory", sizeGib: "" })], graceSeconds: 0 });
  expect(body.env).toEqual({ A: "1", B_2: "x=y z" });
  expect(body.ports).toEqual([8080]);
  expect(body.volumes).toEqual([
    { path: "/data", kind: "scratch", size_mib: 1536 },
    { path: "/data", kind: "claim", source: "data-1", is_read_only: true },
    { path: "/data", kind: "memory", size_mib: 0 },
  ]);
  expect(body.grace_seconds).toBe(0);
  expect(toBody(DEFAULTS)).not.toHaveProperty("grace_seconds");
  expect(toBody(DEFAULTS)).not.toHaveProperty("is_movable");
  expect(toBody({ ...DEFAULTS, isMovable: true }).is_movable).toBe(true);
});

test.each([["1", true], ["65535", true], ["0", false], ["65536", false], ["80a", false], ["", false], ["08", false]])("%s is a port: %s", (text, is) => {
  expect(isPort(text)).toBe(is);
});

test("a line that sets nothing is named", () => {
  expect(badLine("A=1\n\nB=")).toBeUndefined();
  expect(badLine("A=1\nexport B=2")).toBe("export B=2");
});

test("errors come to their fields, those in the closed section are known as such", () => {
  const errors = ["/cpu_milli", "/volumes/1/size_mib", "/volumes/0/source", "/volumes", "/ports/1", "/ports/2", "/env/X"].map((pointer) => ({ pointer, detail: pointer, code: "x" }));
  const found = draftErrors(new Problem({ status: 422, code: "invalid", errors }));
  expect(found).toEqual({ cores: "/cpu_milli", "volumes.1.sizeGib": "/volumes/1/size_mib", "volumes.0.source": "/volumes/0/source", volumes: "/volumes", ports: "/ports/1", env: "/env/X" });
  expect(Object.keys(found).filter((field) => !isOfMore(field))).toEqual(["cores"]);
});
