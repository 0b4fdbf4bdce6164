import { expect, test } from "vitest";
import type { Card } from "./fleet";
import { sumUp } from "./summary";

const card = (over: Partial<Card>): Card => ({ id: "", index: 0, model: "", health: "healthy", heldMilli: 0, busyPercent: null, memoryUsedMib: null, memoryMib: 1, ...over });

test("the parts of a fleet add up to its total", () => {
  const sums = sumUp([
    card({}),
    card({ heldMilli: 1000, busyPercent: 80 }),
    card({ heldMilli: 400, busyPercent: 0 }),
    card({ heldMilli: 500, busyPercent: null }),
    card({ health: "unhealthy", heldMilli: 300 }),
  ]);
  expect(sums).toEqual({ cards: 5, totalMilli: 5000, heldMilli: 2200, busyMilli: 1000, idleMilli: 400, freeMilli: 2100, unhealthyMilli: 700 });
  expect(sums.heldMilli + sums.freeMilli + sums.unhealthyMilli).toBe(sums.totalMilli);
});
