import { expect, test } from "vitest";
import { appendLog, EMPTY_LOG } from "./log";

test("pieces are put together and read on where they ended", () => {
  const one = appendLog(EMPTY_LOG, { text: "a\n", next_offset: 2, is_complete: false });
  const two = appendLog(one, { text: "", next_offset: 2, is_complete: true });
  expect(one).toEqual({ text: "a\n", offset: 2, isComplete: false, hasMore: true });
  expect(two).toEqual({ text: "a\n", offset: 2, isComplete: true, hasMore: false });
});

test("a very long log keeps its end, cut at a line", () => {
  const line = `${"x".repeat(99)}\n`;
  const log = appendLog(EMPTY_LOG, { text: `${line.repeat(12_000)}the end\n`, next_offset: 1, is_complete: false });
  expect(log.text.length).toBeLessThanOrEqual(1_000_000);
  expect(log.text.startsWith("x".repeat(99))).toBe(true);
  expect(log.text.endsWith("the end\n")).toBe(true);
});
