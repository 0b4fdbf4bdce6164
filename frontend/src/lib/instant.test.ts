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
  const now = new Date(2026, 10, 29, 18);
  expect(monthField(now, 0)).toBe("2026-11-01T00:00");
  expect(monthField(now, 2)).toBe("2027-01-01T00:00");
  expect(monthField(now, -11)).toBe("2025-12-01T00:00");
});
