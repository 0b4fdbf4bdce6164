import { expect, test } from "vitest";
import { formatMemory, formatMilli, formatMilliShort, formatMoney, formatRate, formatSpeed, hundredth } from "./format";

test("thousandths stay exact, headlines are short", () => {
  expect(formatMilli(1_250, "en")).toBe("1.25");
  expect(formatMilli(333, "en")).toBe("0.333");
  expect(formatMilliShort(1_234_567, "en")).toBe("1,234.6");
});

test("memory in the unit that reads best", () => {
  expect(formatMemory(512, "en")).toBe("512 MiB");
  expect(formatMemory(81_920, "en")).toBe("80 GiB");
  expect(formatMemory(2_097_152, "en")).toBe("2 TiB");
});

test("money keeps every digit it came with", () => {
  expect(formatMoney("12.5", "CNY", "zh-Hans")).toBe("¥12.50");
  expect(formatMoney("0.004167", "CNY", "zh-Hans")).toBe("¥0.004167");
  expect(formatMoney("9007199254740993.01", "USD", "en")).toBe("$9,007,199,254,740,993.01");
});

test("a rate in per cent, there and back without a float", () => {
  expect(formatRate("0.060000", "en")).toBe("6%");
  expect(formatRate("0.065000", "en")).toBe("6.5%");
  expect(["6", "6.5", "13", "0.25", "100", "0"].map(hundredth)).toEqual(["0.06", "0.065", "0.13", "0.0025", "1.00", "0.00"]);
});

test("a rate has the largest unit that leaves a number", () => {
  expect(formatSpeed(0, "en")).toBe("0 KiB/s");
  expect(formatSpeed(1536, "en")).toBe("1.5 MiB/s");
  expect(formatSpeed(3 * 1024 * 1024, "zh-Hans")).toBe("3 GiB/s");
});
