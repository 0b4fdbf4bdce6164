import { expect, test } from "vitest";
import type { Accelerator, ModelSummary } from "~/api/__generated__";
import { addUp, nested } from "./figures";

const row = (over: Partial<ModelSummary>): ModelSummary => ({
  vendor: "nvidia", model: "H100", physical: 0, unhealthy: 0, offered: 0, shareable: 0, parts: 0, held_milli: 0, foreign_milli: 0, elsewhere: 0, ...over,
});

test("ways of handing out add up to what there is to hand out", () => {
  const all = addUp([row({ physical: 8, offered: 6, shareable: 2, held_milli: 1500 }), row({ model: "H100/1g.10gb", offered: 14, parts: 14, held_milli: 3000 })]);
  expect(all).toMatchObject({ physical: 8, offered: 20, whole: 4, shareable: 2, parts: 14, held_milli: 4500 });
  expect(addUp([])).toMatchObject({ physical: 0, whole: 0 });
});

test("parts follow their card, whatever order they came in", () => {
  const device = (id: string, index: number, parent: string | null = null) => ({ id, index, parent, uuid: id }) as Accelerator;
  const found = nested([device("b1", 9, "b"), device("lonely", 1, "not here"), device("b", 2), device("a", 0), device("b0", 3, "b")]);
  expect(found.map(({ card, label, isInside }) => [card.id, label, isInside])).toEqual([
    ["a", "#0", false],
    ["lonely", "#1", false],
    ["b", "#2", false],
    ["b0", "#2.1", true],
    ["b1", "#2.2", true],
  ]);
});
