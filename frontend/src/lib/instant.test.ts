import { expect, test } from "vitest";
import { hourField, monthField, toInstant } from "./instant";

test("what a field shows comes back as the same hour", () => {
  const at = new Date(2026, 10, 29, 18, 42, 7);
  expect(hourField(at)).toBe("2026-11-29T18:00");
  expect(toInstant(hourField(at))).toBe(new Date(2026, 10, 29, 18).toISOString());
});

test("an empty or broken field is no instant", () => {
  expect(toInstant("")).toBeNull();
  expect(toInstant("tomorrow")).toBeNull();
});

test("months are counted over the end of a year", () => {
  const now = new Date("2026-11-29T10:00:00Z");
  expect(toInstant(monthField(now, 0, "Asia/Shanghai"))).toBe("2026-10-31T16:00:00.000Z");
  expect(toInstant(monthField(now, 2, "Asia/Shanghai"))).toBe("2026-12-31T16:00:00.000Z");
  expect(toInstant(monthField(now, -11, "Asia/Shanghai"))).toBe("2025-11-30T16:00:00.000Z");
});
