import { expect, test } from "vitest";
import { stillDue } from "./still-due";

test.each([
  ["10.00", "3.99", "6.01"],
  ["90071992547409931.37", "0.00", "90071992547409931.37"],
  ["-5.00", "0.00", "-5.00"],
  ["-5.00", "-4.95", "-0.05"],
  ["10.00", "10.00", "0.00"],
])("of %s with %s paid, %s is still due", (payable, paid, due) => {
  expect(stillDue(payable, paid)).toBe(due);
});
