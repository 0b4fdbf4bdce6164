import { expect, test } from "vitest";
import { readDecision } from "./decision";

const MISS = { node: "n", filter: "cpu", wanted: 16_000, has: 4000, unit: "cpu-milli" };

test("a refusal tells what each filter removed, in the order they are asked, whatever order the database gives", () => {
  expect(readDecision({ outcome: "refused", reason: "NotEnoughCpu", is_final: true, filters: { cpu: 3, later: 1, closed: 2, accelerators: 7, odd: "x" }, miss: MISS })).toEqual({
    outcome: "refused",
    isFinal: true,
    reason: "NotEnoughCpu",
    filters: [["closed", 2], ["accelerators", 7], ["cpu", 3], ["later", 1]],
    miss: MISS,
  });
});

test.each([[null], [undefined], ["x"], [{ ...MISS, node: 1 }], [{ ...MISS, has: null }]])("a miss that lacks something is none: %j", (miss) => {
  expect(readDecision({ outcome: "refused", filters: {}, miss })).toMatchObject({ miss: undefined, isFinal: false, filters: [] });
});

test("a placement tells the best candidates, with the parts of their scores where there are any", () => {
  const candidates = [{ node: "n", name: "n-1", score: 0.5, parts: { money: -1, packing: 1.5, later: 0, odd: "x" } }, null, { node: "m" }, { node: "o", score: 0 }];
  expect(readDecision({ outcome: "placed", policy: "best-fit", candidates })).toEqual({
    outcome: "placed",
    policy: "best-fit",
    candidates: [
      { node: "n", name: "n-1", score: 0.5, parts: [["packing", 1.5], ["money", -1], ["later", 0]] },
      { node: "o", name: "", score: 0, parts: [] },
    ],
  });
});

test("nothing decided yet, and what a later server may say, are no decision", () => {
  expect(readDecision({})).toBeUndefined();
  expect(readDecision({ outcome: "postponed" })).toBeUndefined();
});
