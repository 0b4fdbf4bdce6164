import { expect, test } from "vitest";
import { partsText, roomFor, slicesOf, slicesOfCard, slicesTaken } from "./parts";

const H100 = { "1g.10gb": 7, "1g.20gb": 4, "2g.20gb": 3, "3g.40gb": 2, "4g.40gb": 1, "7g.80gb": 1 };

test("a card has as many slices as fill it", () => {
  expect(slicesOf("3g.40gb")).toBe(3);
  expect(slicesOf("all")).toBe(0);
  expect(slicesOfCard(H100)).toBe(7);
  expect(slicesOfCard({})).toBe(0);
});

test("what is chosen leaves room for less", () => {
  const chosen = { "3g.40gb": 1, "1g.10gb": 2 };
  expect(slicesTaken(chosen)).toBe(5);
  expect(Object.keys(H100).map((profile) => roomFor(profile, chosen, H100))).toEqual([2, 2, 1, 0, 0, 0]);
});

test("a card is never asked for more of a profile than it has", () => {
  expect(roomFor("1g.20gb", { "1g.20gb": 4 }, H100)).toBe(0);
  expect(roomFor("strange", { strange: 1 }, { ...H100, strange: 3 })).toBe(2);
});

test("parts in words", () => expect(partsText({ "3g.40gb": 2, "1g.10gb": 0, "1g.20gb": 1 })).toBe("2 × 3g.40gb, 1 × 1g.20gb"));
