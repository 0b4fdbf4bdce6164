import { expect, test } from "vitest";
import type { Card } from "./fleet";
import { sumUp } from "./summary";

const card = (over: Partial<Card>): Card => ({
  id: "", label: "", model: "", health: "healthy", role: "whole", twinOf: null, parts: [],
  heldMilli: 0, foreignMilli: 0, busyPercent: null, memoryUsedMib: null, memoryMib: 1, ...over,
});

test("the parts of a fleet add up to its total", () => {
  const sums = sumUp([
    card({}),
    card({ heldMilli: 1000, busyPercent: 80 }),
    card({ heldMilli: 400, busyPercent: 0 }),
    card({ heldMilli: 500, busyPercent: null, foreignMilli: 200 }),
    card({ health: "unhealthy", heldMilli: 300 }),
    card({ foreignMilli: 1000 }),
  ]);
  expect(sums).toEqual({
    cards: 6, sickCards: 1, offered: 6, parts: 0, twins: 0,
    totalMilli: 6000, heldMilli: 2200, busyMilli: 1000, idleMilli: 400, foreignMilli: 1200, freeMilli: 1900, unhealthyMilli: 700,
  });
  expect(sums.heldMilli + sums.foreignMilli + sums.freeMilli + sums.unhealthyMilli).toBe(sums.totalMilli);
});

test("a card in parts is one card and as many to hand out; one that counts elsewhere is neither", () => {
  const part = (over: Partial<Card>) => card({ role: "part", ...over });
  const sums = sumUp([
    card({ role: "divided", health: "unhealthy", parts: [part({ heldMilli: 1000, busyPercent: 50 }), part({}), part({ foreignMilli: 1000 })] }),
    card({ role: "twin", heldMilli: 1000 }),
  ]);
  expect(sums).toMatchObject({ cards: 1, sickCards: 1, offered: 3, parts: 3, twins: 1, totalMilli: 3000, heldMilli: 1000, busyMilli: 1000, foreignMilli: 1000, freeMilli: 1000 });
});

test("others who use more than is left do not make a card larger", () => {
  expect(sumUp([card({ heldMilli: 600, foreignMilli: 1000 })])).toMatchObject({ totalMilli: 1000, heldMilli: 600, foreignMilli: 400, freeMilli: 0 });
});
