import { expect, test } from "vitest";
import { addText, asShown, EMPTY_TEXT } from "./log";

const whole = (log: typeof EMPTY_TEXT) => log.blocks.map((block) => block.text).join("");

test("pieces are put together, and a block that is full stays as it is", () => {
  const line = `${"x".repeat(99)}\n`;
  const one = addText(EMPTY_TEXT, line.repeat(200));
  const two = addText(one, "more");
  expect(whole(two)).toBe(`${line.repeat(200)}more`);
  expect(two.blocks[0]).toBe(one.blocks[0]);
  expect(new Set(two.blocks.map((block) => block.key)).size).toBe(two.blocks.length);
});

test("a very long log keeps its end, cut at a line", () => {
  const line = `${"x".repeat(99)}\n`;
  let log = EMPTY_TEXT;
  for (let at = 0; at < 20; at += 1) log = addText(log, line.repeat(1000));
  log = addText(log, "the end\n");
  expect(log.length).toBeLessThanOrEqual(1_000_000);
  expect(log.length).toBe(whole(log).length);
  expect(log.isCut).toBe(true);
  expect(whole(log).startsWith("x".repeat(99))).toBe(true);
  expect(whole(log).endsWith("the end\n")).toBe(true);
});

test("one piece longer than what is kept, and a line longer than a block", () => {
  const log = addText(addText(EMPTY_TEXT, "old\n"), `${"y\n".repeat(600_000)}end`);
  expect(log.length).toBeLessThanOrEqual(1_000_000);
  expect(log.isCut).toBe(true);
  expect(whole(log).endsWith("y\nend")).toBe(true);
  const long = addText(EMPTY_TEXT, "z".repeat(50_000));
  expect(whole(long)).toBe("z".repeat(50_000));
});

test("colours go, and of a line that was written over the last writing stays", () => {
  expect(asShown("\u001b[1;33mWARN\u001b[0m slow\n")).toBe("WARN slow\n");
  expect(asShown("\u001b]0;title\u0007x")).toBe("x");
  expect(asShown("10 %\r60 %\r100 %\r\nnext\r\n5 %\r")).toBe("100 %\nnext\n5 %");
  expect(asShown("\r\r\n")).toBe("\n");
});
