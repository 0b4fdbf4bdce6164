import { expect, test } from "vitest";
import { readDecision } from "./decision";

test("a refusal tells what each filter removed, in order", () => {
  expect(readDecision({ outcome: "refused", is_final: true, filters: { closed: 2, accelerators: 7, odd: "x" } })).toEqual({
    outcome: "refused",
    isFinal: true,
    filters: [["closed", 2], ["accelerators", 7]],
  });
});

test("a placement tells the best candidates", () => {
  expect(readDecision({ outcome: "placed", policy: "best-fit", candidates: [{ node: "n", score: 0.5 }, null] })).toEqual({
    outcome: "placed",
    policy: "best-fit",
    candidates: [{ node: "n", score: 0.5 }],
  });
});

test("nothing decided yet, and what a later server may say, are no decision", () => {
  expect(readDecision({})).toBeUndefined();
  expect(readDecision({ outcome: "postponed" })).toBeUndefined();
});
