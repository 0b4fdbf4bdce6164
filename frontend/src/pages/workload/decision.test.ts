import { expect, test } from "vitest";
import { filtersOf, partsOf } from "./decision";

test("what each filter removed comes in the order they are asked, whatever order the database gives", () => {
  expect(filtersOf({ filters: { cpu: 3, later: 1, closed: 2, accelerators: 7 } })).toEqual([["closed", 2], ["accelerators", 7], ["cpu", 3], ["later", 1]]);
  expect(filtersOf({ filters: {} })).toEqual([]);
});

test("the parts of a score come in one order for all candidates", () => {
  expect(partsOf({ parts: { money: -1, later: 0, packing: 1.5 } })).toEqual([["packing", 1.5], ["money", -1], ["later", 0]]);
});
