import { expect, test } from "vitest";
import { recentMonths } from "./months";

test("twelve months back over the turn of the year, also on a 31st", () => {
  const months = recentMonths(new Date("2026-03-31T12:00:00Z"), "UTC");
  expect(months.slice(0, 5)).toEqual(["2026-03", "2026-02", "2026-01", "2025-12", "2025-11"]);
  expect(months).toHaveLength(12);
});

test("the month is that of the zone which is billed, wherever the browser is", () => {
  const at = new Date("2026-11-30T16:30:00Z");
  expect(recentMonths(at, "Asia/Shanghai")[0]).toBe("2026-12");
  expect(recentMonths(at, "America/New_York")[0]).toBe("2026-11");
});
