import { afterEach, expect, test, vi } from "vitest";
import { formatAge, formatLength, formatUntil, learnServerTime, serverNow } from "./time";

const now = Date.parse("2026-11-21T12:00:00Z");
const ago = (seconds: number) => new Date(now - seconds * 1000).toISOString();

afterEach(() => {
  learnServerTime(new Date().toUTCString());
  vi.useRealTimers();
});

test.each([
  [0, "0 sec. ago", "0秒前"],
  [59, "59 sec. ago", "59秒前"],
  [60, "1 min. ago", "1分钟前"],
  [3_599, "59 min. ago", "59分钟前"],
  [7_200, "2 hr. ago", "2小时前"],
  [200_000, "2 days ago", "2天前"],
])("%i seconds ago", (seconds, english, chinese) => {
  expect(formatAge(ago(seconds), "en", now)).toBe(english);
  expect(formatAge(ago(seconds), "zh-Hans", now)).toBe(chinese);
});

test("what seems to come from the future is now, not a negative age", () => {
  expect(formatAge(ago(-30), "en", now)).toBe("0 sec. ago");
  expect(formatUntil(ago(-3_700), "en", now)).toBe("in 1 hr.");
});

test("lengths show their two largest units", () => {
  expect(formatLength(0, "en")).toBe("0 sec");
  expect(formatLength(65, "en")).toBe("1 min 5 sec");
  expect(formatLength(3_600, "en")).toBe("1 hr");
  expect(formatLength(90_061, "en")).toBe("1 day 1 hr");
});

test("a browser whose clock is off takes the server's", () => {
  vi.useFakeTimers();
  vi.setSystemTime(now);
  learnServerTime(new Date(now - 300_000).toUTCString());
  expect(serverNow()).toBe(now - 300_000 + 500);
  learnServerTime(new Date(now).toUTCString());
  expect(serverNow()).toBe(now);
  learnServerTime("no date");
  expect(serverNow()).toBe(now);
});
