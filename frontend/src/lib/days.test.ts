import { expect, test } from "vitest";
import { dayOf, daysBetween, startOf } from "./days";

test("a day is one of the zone and not of the browser", () => {
  expect(dayOf("2026-11-09T16:00:00Z", "Asia/Shanghai")).toBe("2026-11-10");
  expect(dayOf("2026-11-09T15:59:59Z", "Asia/Shanghai")).toBe("2026-11-09");
});

test("a month has all its days, those of 23 and 25 hours too", () => {
  const november = daysBetween("2026-10-31T16:00:00Z", "2026-11-30T16:00:00Z", "Asia/Shanghai");
  expect([november.length, november[0], november.at(-1)]).toEqual([30, "2026-11-01", "2026-11-30"]);
  const october = daysBetween("2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z", "Europe/Berlin");
  expect([october.length, october[0], october.at(-1)]).toEqual([31, "2026-10-01", "2026-10-31"]);
  expect(daysBetween("2026-02-28T16:00:00Z", "2026-02-28T16:00:00Z", "Asia/Shanghai")).toEqual([]);
});

test("a day begins by the clocks of the zone, also beside a change of them", () => {
  expect(startOf("2026-11-01", "Asia/Shanghai").toISOString()).toBe("2026-10-31T16:00:00.000Z");
  expect(startOf("2026-10-25", "Europe/Berlin").toISOString()).toBe("2026-10-24T22:00:00.000Z");
  expect(startOf("2026-10-26", "Europe/Berlin").toISOString()).toBe("2026-10-25T23:00:00.000Z");
  expect(startOf("2026-03-29", "Europe/Berlin").toISOString()).toBe("2026-03-28T23:00:00.000Z");
  expect(startOf("2026-03-08", "America/New_York").toISOString()).toBe("2026-03-08T05:00:00.000Z");
});
