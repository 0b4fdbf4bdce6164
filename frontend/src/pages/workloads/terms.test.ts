import { expect, test } from "vitest";
import { Problem } from "~/api/problem";
import { DEFAULTS, draftErrors, isOfMore, toBody } from "./draft";
import { ANYHOW, badLabel, isOfTerms, readTerms, toTerms } from "./terms";

test("what is not said is not sent", () => {
  expect(toTerms(ANYHOW)).toEqual({});
  for (const field of ["topology", "spread", "min_replicas", "regions", "node_labels", "deadline_at", "prefer"]) expect(toBody(DEFAULTS)).not.toHaveProperty(field);
});

test("what is said becomes the API's", () => {
  const terms = toTerms({
    topology: "rack", spread: "node", minReplicas: 2, slicing_modes: ["exclusive"], regions: ["CN-SH"], labels: " zone = a=b \n\naquifer.io/network=n1\nempty=\n",
    network_class: " infiniband ", deadline: "2026-12-01T09:00", prefer: "energy",
  });
  expect(terms).toEqual({
    topology: "rack", spread: "node", min_replicas: 2, slicing_modes: ["exclusive"], regions: ["CN-SH"], node_labels: { zone: "a=b", "aquifer.io/network": "n1", empty: "" },
    network_class: "infiniband", deadline_at: new Date(2026, 11, 1, 9).toISOString(), prefer: "energy",
  });
});

test("what has been sent reads back as what was said", () => {
  const said = { ...ANYHOW, topology: "rack" as const, spread: "node" as const, minReplicas: 2, regions: ["CN"], slicing_modes: ["shared" as const], labels: "a=b\nc=d", network_class: "ib", deadline: "2026-12-01T09:00", prefer: "money" as const };
  expect(readTerms(toTerms(said))).toEqual(said);
  expect(readTerms({})).toEqual(ANYHOW);
  expect(readTerms({ topology: "moon", spread: 3, min_replicas: "x", slicing_modes: ["odd"], regions: "CN", node_labels: null, deadline_at: "soon", prefer: "fun", network_class: 1 })).toEqual(ANYHOW);
});

test("a line that is no label is named", () => {
  expect(badLabel("a=b\n\nx.y/z=\n")).toBeUndefined();
  expect(badLabel("a=b\nzone a")).toBe("zone a");
  expect(badLabel("=b")).toBe("=b");
});

test("errors of the API come to their fields, which are known to be in the closed section", () => {
  const errors = ["/min_replicas", "/node_labels", "/deadline_at", "/spread"].map((pointer) => ({ pointer, detail: pointer, code: "x" }));
  const found = Object.keys(draftErrors(new Problem({ status: 400, code: "invalid", errors })));
  expect(found).toEqual(["minReplicas", "labels", "deadline", "spread"]);
  expect(found.every(isOfTerms)).toBe(true);
  expect(found.some(isOfMore)).toBe(false);
  expect(isOfTerms("cores")).toBe(false);
});
