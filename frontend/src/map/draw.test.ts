import { expect, test } from "vitest";
import { lookOf, partBoxes } from "./draw";
import type { Card } from "./fleet";

const card = (over: Partial<Card>): Card => ({
  id: "", label: "", model: "", health: "healthy", role: "whole", twinOf: null, parts: [],
  heldMilli: 0, foreignMilli: 0, busyPercent: null, memoryUsedMib: null, memoryMib: 1, ...over,
});

test.each<[string, Partial<Card>]>([
  ["free", {}],
  ["foreign", { foreignMilli: 10 }],
  ["used", { heldMilli: 500, foreignMilli: 500, busyPercent: 50 }],
  ["unhealthy", { health: "unhealthy", foreignMilli: 1000 }],
  ["divided", { role: "divided" }],
  ["unhealthy", { role: "divided", health: "unhealthy" }],
  ["elsewhere", { role: "twin", health: "unhealthy", heldMilli: 1000 }],
])("a card looks %s", (look, over) => {
  expect(lookOf(card(over))).toBe(look);
});

test.each([1, 2, 3, 4, 7, 8, 56])("%i parts lie inside their card, each in its own place", (count) => {
  for (const size of [9, 13, 18, 26]) {
    const boxes = partBoxes(count, size);
    expect(boxes).toHaveLength(count);
    expect(new Set(boxes.map(({ x, y }) => `${x} ${y}`)).size).toBe(count);
    for (const { x, y, width, height } of boxes) {
      expect(Math.min(x, y)).toBeGreaterThanOrEqual(1);
      expect(Math.max(x + width, y + height)).toBeLessThanOrEqual(size - 1 + 1e-9);
    }
  }
});
