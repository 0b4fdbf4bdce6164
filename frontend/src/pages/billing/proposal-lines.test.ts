import { expect, test } from "vitest";
import { drawnLines } from "./proposal-lines";

const line = (project: string, was: string, would_be: string, difference: string) => ({ project, flavor: "h100", site: "shanghai", meter: "accelerator", was, would_be, difference });

test("the largest change comes first, and bars are as long as their amounts", () => {
  const drawn = drawnLines([line("a", "50", "40", "-10"), line("b", "0", "100", "100"), line("c", "20", "20", "0")]);
  expect(drawn.map(({ line: { project }, stays, changes, isMore }) => [project, stays, changes, isMore])).toEqual([
    ["b", 0, 1000, true],
    ["a", 400, 100, false],
    ["c", 200, 0, false],
  ]);
});

test("nothing at all is no bar", () => {
  expect(drawnLines([line("a", "0", "0", "0")])[0]).toMatchObject({ stays: 0, changes: 0 });
  expect(drawnLines([])).toEqual([]);
});
