import { expect, test } from "vitest";
import { isAbove, isAmount, NO_PRICE, priceRequest, tiersOutOfOrder } from "./price-draft";

test("what is typed goes out digit by digit", () => {
  const sent = priceRequest({ ...NO_PRICE, flavor: "nvidia-h100", price: " 24.100000 " }, []);
  expect(sent).toMatchObject({ meter: "accelerator", flavor: "nvidia-h100", unit_price: "24.100000", valid_from: null, valid_to: null, minimum_seconds: 0, step_seconds: 1 });
  expect(sent).not.toHaveProperty("tiers");
  expect(sent).not.toHaveProperty("book");
});

test("tiers bring along how they count, and a book goes by its short name", () => {
  const sent = priceRequest({ ...NO_PRICE, book: "partners", tiers: [{ key: "a", start: "1000", price: "9.5" }] }, [{ slug: "partners" }]);
  expect(sent).toMatchObject({ book: "partners", tier_mode: "graduated", tier_scope: "tenant", tiers: [{ start: "1000", unit_price: "9.5" }] });
});

test.each([
  ["12", true], ["12.5", true], ["0.000001", true], ["0.0000001", false], ["", false], ["1e3", false], ["-1", false], ["1,000", false], ["1234567890123", false],
])("%s is an amount: %s", (text, expected) => expect(isAmount(text)).toBe(expected));

test.each([
  ["2", "1", true], ["10", "9", true], ["9", "10", false], ["1.5", "1.50", false], ["1.51", "1.5", true], ["0", "0", false], ["0.1", "0", true],
  ["9007199254740993", "9007199254740992", true], ["007", "8", false],
])("%s is above %s: %s", (one, other, expected) => expect(isAbove(one, other)).toBe(expected));

test("each tier begins above the one before it", () => {
  const tiers = ["1000", "500", "", "2000"].map((start, at) => ({ key: String(at), start, price: "1" }));
  expect(tiersOutOfOrder(tiers)).toEqual([1, 2]);
  expect(tiersOutOfOrder([{ key: "", start: "0", price: "1" }])).toEqual([0]);
});
