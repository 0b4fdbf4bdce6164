import { expect, test } from "vitest";
import { isCombination, parseWeights, printWeights } from "./combination";

test.each([
  ["utilisation:1+money:0.5", { utilisation: 1, money: 0.5 }],
  [" utilisation : 1 + energy:2", { utilisation: 1, energy: 2 }],
  ["utilisation:+money:x+fairness:2", { fairness: 2 }],
  ["packing", {}],
])("%s weighs %j", (policy, weights) => {
  expect(parseWeights(policy)).toEqual(weights);
});

test("what has no weight is not written, and long fractions are cut", () => {
  expect(printWeights({ utilisation: 1, waiting: 0, money: 0.15000000000000002 })).toBe("utilisation:1+money:0.15");
  expect(printWeights({ money: 0 })).toBe("");
  expect(printWeights(parseWeights("utilisation:1+money:0.5"))).toBe("utilisation:1+money:0.5");
});

test("only combinations are told as such", () => {
  expect(isCombination("best-fit")).toBe(false);
  expect(isCombination("energy:1")).toBe(true);
});
