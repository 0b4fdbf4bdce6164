import { expect, test } from "vitest";
import { isEmpty, newNodes, newQuota, newWork, NOTHING, printChange, readChange, toChange } from "./change";

const FULL = {
  ...NOTHING,
  work: [newWork({ project: "p", name: " big ", count: 3, accelerators: 1, share: 0.25, model_names: ["H100"], cores: 1.5, memoryGib: 2, priority: -5, topology: "rack", labels: "zone=a" })],
  quotas: [newQuota({ tenant: "t", project: "p", flavor: "H100", amount: 1.5 }), newQuota({ tenant: "t", flavor: "H100", amount: 0 })],
  closedSites: ["north"],
  nodes: [newNodes({ like: "n", count: 2 })],
};

test("people's units become the API's", () => {
  expect(toChange(FULL)).toEqual({
    workloads: [{ project: "p", name: "big", count: 3, accelerators: 1, accelerator_milli: 250, replicas: 1, model_names: ["H100"], cpu_milli: 1500, memory_mib: 2048, priority: -5, topology: "rack", node_labels: { zone: "a" } }],
    quotas: [
      { tenant: "t", project: "p", flavor: "H100", nominal_milli: 1500 },
      { tenant: "t", project: null, flavor: "H100", nominal_milli: 0 },
    ],
    closed_sites: ["north"],
    added_nodes: [{ like: "n", count: 2 }],
  });
});

test("a row that is not complete is not asked about", () => {
  const draft = {
    ...NOTHING,
    work: [newWork(), newWork({ project: "p", count: "" })],
    quotas: [newQuota({ tenant: "t" }), newQuota({ tenant: "t", flavor: "H100", amount: "" })],
    nodes: [newNodes(), newNodes({ like: "n", count: "" })],
  };
  expect(toChange(draft)).toEqual({});
  expect(isEmpty(toChange(draft))).toBe(true);
  expect(printChange(toChange(draft))).toBeUndefined();
});

test("work without accelerators asks for no share and no model", () => {
  const [work] = toChange({ ...NOTHING, work: [newWork({ project: "p", accelerators: 0, share: 0.5, model_names: ["H100"] })] }).workloads ?? [];
  expect(work).toMatchObject({ accelerators: 0, accelerator_milli: 1000 });
  expect(work).not.toHaveProperty("model_names");
});

test("an address holds the whole question", () => {
  const change = toChange(FULL);
  expect(toChange(readChange(printChange(change)))).toEqual(change);
});

test.each([
  [undefined],
  ["no json"],
  ["[]"],
  ['"x"'],
  ['{"workloads": 3, "quotas": [null, "x"], "closed_sites": [1, {}], "added_nodes": {"like": "n"}}'],
])("what makes no sense in an address is left out: %s", (text) => {
  expect(readChange(text)).toEqual(NOTHING);
});

test("what the API leaves open stays open", () => {
  const text = '{"workloads": [{"project": "p"}]}';
  expect(toChange(readChange(text)).workloads).toEqual([{ project: "p", count: 1, accelerators: 1, accelerator_milli: 1000, replicas: 1 }]);
});
