import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { workloadsLogs } from "~/api/__generated__";
import { LogFollower, wholeLog } from "./follower";

vi.mock("~/api/__generated__", () => ({ workloadsLogs: vi.fn() }));
const asked = vi.mocked(workloadsLogs);

const answer = (text: string, next_offset: number, is_complete = false, message = "") =>
  asked.mockResolvedValueOnce({ data: { text, next_offset, is_complete, message } } as never);

class FakeSocket extends EventTarget {
  static all: FakeSocket[] = [];
  sent: string[] = [];
  isClosed = false;
  constructor(readonly url: string) {
    super();
    FakeSocket.all.push(this);
  }
  says(word: object) {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(word) }));
  }
  gives(bytes: Uint8Array) {
    this.dispatchEvent(new MessageEvent("message", { data: bytes.slice().buffer }));
  }
  ends(code?: string) {
    if (code !== undefined) this.says({ type: "end", exit_code: null, code, message: "" });
    this.dispatchEvent(new Event("close"));
  }
  send(text: string) {
    this.sent.push(text);
  }
  close() {
    this.isClosed = true;
  }
}

const bytes = (text: string) => new TextEncoder().encode(text);
const last = () => FakeSocket.all.at(-1)!;
const textOf = (follower: LogFollower) => follower.read().blocks.map((block) => block.text).join("");

function follow(): LogFollower {
  const follower = new LogFollower("w1", 1);
  follower.start();
  return follower;
}

beforeEach(() => {
  FakeSocket.all = [];
  asked.mockReset();
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("location", { protocol: "https:", host: "hub" });
  vi.stubGlobal("document", { hidden: true });
  vi.stubGlobal("cancelAnimationFrame", () => undefined);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("it is read as it comes, and goes on after a break from between two letters", async () => {
  const follower = follow();
  expect(last().url).toBe("wss://hub/ws/workloads/w1/logs?replica=1&offset=0");
  last().says({ type: "open" });
  last().gives(bytes("损失\n失").subarray(0, 8));
  expect(textOf(follower)).toBe("损失\n");
  last().ends();
  await vi.advanceTimersByTimeAsync(500);
  expect(last().url).toContain("offset=7");
  last().says({ type: "open" });
  last().gives(bytes("失\n"));
  last().ends("");
  expect(follower.read().mode).toBe("complete");
  expect(textOf(follower)).toBe("损失\n失\n");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSocket.all).toHaveLength(2);
});

test("a silent log is kept open, and a closed one is not talked to", async () => {
  follow();
  const socket = last();
  socket.says({ type: "open" });
  await vi.advanceTimersByTimeAsync(65_000);
  expect(socket.sent).toEqual(['{"type":"ping"}', '{"type":"ping"}']);
  socket.ends("");
  await vi.advanceTimersByTimeAsync(65_000);
  expect(socket.sent).toHaveLength(2);
});

test("work that was started anew has a new log, from its begin", async () => {
  const follower = follow();
  last().says({ type: "open" });
  last().gives(bytes("old\n"));
  last().ends("moved");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(last().url).toContain("offset=0");
  last().says({ type: "open" });
  last().gives(bytes("new\n"));
  expect(textOf(follower)).toBe("new\n");
});

test("where a site offers no socket it is asked until it is complete", async () => {
  answer("a\n", 2);
  answer("b\n", 4, true);
  const follower = follow();
  last().ends("not-offered");
  await vi.advanceTimersByTimeAsync(10);
  expect(follower.read()).toMatchObject({ mode: "poll", code: "" });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked.mock.calls.map(([{ query }]) => query)).toEqual([{ replica: 1, offset: 0 }, { replica: 1, offset: 2 }]);
  expect(textOf(follower)).toBe("a\nb\n");
  expect(follower.read().mode).toBe("complete");
  expect(FakeSocket.all).toHaveLength(1);
});

test("where a site did not answer, the socket is tried again after half a minute of asking", async () => {
  asked.mockResolvedValue({ data: { text: "", next_offset: 0, is_complete: false, message: "The site did not answer." } } as never);
  const follower = follow();
  last().ends("unavailable");
  await vi.advanceTimersByTimeAsync(2_000);
  expect(follower.read()).toMatchObject({ mode: "poll", code: "unavailable", message: "The site did not answer." });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(FakeSocket.all).toHaveLength(2);
  last().says({ type: "open" });
  expect(follower.read()).toMatchObject({ mode: "socket", message: "" });
});

test("after stopping nothing is heard and nothing is tried", async () => {
  const follower = follow();
  follower.stop();
  expect(last().isClosed).toBe(true);
  last().gives(bytes("late\n"));
  last().ends();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(textOf(follower)).toBe("");
  expect(FakeSocket.all).toHaveLength(1);
});

test("a file has all of it, piece by piece", async () => {
  answer("0123", 4);
  answer("4567", 8);
  answer("", 8);
  expect(await (await wholeLog("w1", 0)).text()).toBe("01234567");
});
