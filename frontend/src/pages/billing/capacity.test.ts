import { expect, test } from "vitest";
import { everyHour, hoursOf, sums } from "./capacity";

const row = (hour: string, site: string, work: number, reserved: number, idle: number) => ({ hour, site, capacity: work + reserved + idle, work, reserved, idle, contested: 1 });
const ROWS = [row("2026-11-29T10:00:00Z", "b", 1, 2, 3), row("2026-11-29T08:00:00Z", "a", 10, 20, 30), row("2026-11-29T10:00:00Z", "a", 100, 200, 300)];

test("rows add up by whatever they are looked at by, in order", () => {
  expect(sums(ROWS, ({ hour }) => hour).map(({ key, work, capacity }) => [key, work, capacity])).toEqual([["2026-11-29T08:00:00Z", 10, 60], ["2026-11-29T10:00:00Z", 101, 606]]);
  expect(sums(ROWS, ({ site }) => site).map(({ key, reserved, idle, contested }) => [key, reserved, idle, contested])).toEqual([["a", 220, 330, 2], ["b", 2, 3, 1]]);
});

test("an hour without rows stands empty", () => {
  const hours = everyHour(sums(ROWS, ({ hour }) => hour));
  expect(hours.map(({ capacity }) => capacity)).toEqual([60, 0, 606]);
  expect(everyHour([])).toEqual([]);
});

test("a card for an hour is an hour of a card", () => expect(hoursOf(1000 * 3600)).toBe(1));
