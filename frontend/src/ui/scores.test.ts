import { expect, test } from "vitest";
import { layOut, readingOf } from "./scores";

const plain = (...scores: number[]) => scores.map((score) => ({ score, parts: [] }));

test("scores without parts are bars from zero", () => {
  const { zero, rows } = layOut(plain(4, 1));
  expect(zero).toBe(0);
  expect(rows.map(([part]) => [part?.x, part?.width])).toEqual([[0, 1000], [0, 250]]);
});

test("what is below zero lies to the left of it, longest where it is lowest", () => {
  const { zero, rows } = layOut(plain(-1, -4));
  expect(zero).toBe(1000);
  expect(rows.map(([part]) => [part?.x, part?.width])).toEqual([[750, 250], [0, 1000]]);
});

test("parts are stacked away from zero, gains to the right and losses to the left, and never overlap", () => {
  const { zero, rows } = layOut([{ score: 5, parts: [["a", 6], ["b", -2], ["c", 1], ["d", -1]] }]);
  expect(zero).toBe(300);
  const at = Object.fromEntries((rows[0] ?? []).map(({ name, x, width }) => [name, [x, x + width]]));
  expect(at).toEqual({ a: [300, 900], c: [900, 1000], b: [100, 300], d: [0, 100] });
});

test("nothing scored, and all zero, divide by nothing", () => {
  expect(layOut([])).toEqual({ zero: 0, rows: [] });
  expect(layOut(plain(0, 0)).rows.flat().every(({ x, width }) => x === 0 && width === 0)).toBe(true);
});

test.each([
  [plain(3, 3), "equal"],
  [plain(3, 1, 0), "gains"],
  [plain(-1, -2), "losses"],
  [plain(1, -2), "both"],
  [[{ score: 1, parts: [["a", 2], ["b", -1]] as [string, number][] }], "both"],
  [plain(3), "gains"],
])("%j reads as %s", (scored, reading) => {
  expect(readingOf(scored)).toBe(reading);
});
