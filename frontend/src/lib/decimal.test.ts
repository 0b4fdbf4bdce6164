import { expect, test } from "vitest";
import { minus, plus } from "./decimal";

test("sums keep every digit", () => {
  expect(plus("0.1", "0.2")).toBe("0.3");
  expect(plus("9007199254740993.000000000000001", "1")).toBe("9007199254740994.000000000000001");
  expect(plus()).toBe("0");
  expect(plus("-0.5", "0.25")).toBe("-0.25");
});

test("differences have a sign where there is one", () => {
  expect(minus("10", "12.50")).toBe("-2.50");
  expect(minus("12.50", "10")).toBe("2.50");
  expect(minus("1.00", "1")).toBe("0.00");
  expect(minus("1", "-0.000000000000001")).toBe("1.000000000000001");
});
