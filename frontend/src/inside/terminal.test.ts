import { expect, test } from "vitest";
import { Drawing } from "./drawing";
import { isTelling } from "./ends";
import { isCopy, isWayOut } from "./keys";

test("output that comes faster than it is drawn is left out in one place, and that is said", () => {
  const drawn: string[] = [];
  const waiting: (() => void)[] = [];
  const drawing = new Drawing((data, done) => {
    drawn.push(typeof data === "string" ? data.trim() : `${data.length} bytes`);
    if (done) waiting.push(done);
  }, () => "left out", 100);
  for (const length of [60, 40, 1]) drawing.take(new Uint8Array(length));
  expect(drawn).toEqual(["60 bytes", "40 bytes"]);
  waiting.shift()?.();
  drawing.take(new Uint8Array(1));
  expect(drawn).toHaveLength(2);
  waiting.shift()?.();
  expect(drawn.at(-1)).toBe("[left out]");
  drawing.take(new Uint8Array(100));
  expect(drawn.at(-1)).toBe("100 bytes");
});

test("only the keys that are ours are kept from the work", () => {
  const key = { type: "keydown", key: "m", ctrlKey: true, shiftKey: false, altKey: false, metaKey: false };
  expect(isWayOut(key)).toBe(true);
  for (const other of [{ ctrlKey: false }, { altKey: true }, { type: "keyup" }, { key: "j" }, { shiftKey: true }]) expect(isWayOut({ ...key, ...other })).toBe(false);
  expect(isCopy({ ...key, key: "C", shiftKey: true })).toBe(true);
  expect(isCopy({ ...key, key: "c" })).toBe(false);
});

test("the site's own words are shown where ours do not say enough", () => {
  const end = { type: "end" as const, exit_code: null, code: "not-possible", message: "There is no shell in it." };
  expect(isTelling(end)).toBe(true);
  expect(isTelling({ ...end, code: "idle" })).toBe(false);
  expect(isTelling({ ...end, message: "" })).toBe(false);
});
