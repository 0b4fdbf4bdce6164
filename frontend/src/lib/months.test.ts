import { expect, test } from "vitest";
import { recentMonths } from "./months";

test("twelve months back over the turn of the year, also on a 31st", () => {
  const months = recentMonths(new Date(2026, 2, 31));
  expect(months.slice(0, 5)).toEqual(["2026-03", "2026-02", "2026-01", "2025-12", "2025-11"]);
  expect(months).toHaveLength(12);
});
