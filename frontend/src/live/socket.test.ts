import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Listener, LiveSocket } from "./socket";

class FakeSocket extends EventTarget {
  static all: FakeSocket[] = [];
  constructor() {
    super();
    FakeSocket.all.push(this);
  }
  hear(frame: object) {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(frame) }));
  }
  close(code = 1006) {
    this.dispatchEvent(Object.assign(new Event("close"), { code }));
  }
}

function connect() {
  const listener = {
    changed: vi.fn(),
    figures: vi.fn(),
    lost: vi.fn(),
    connection: vi.fn(),
    refused: vi.fn(),
  } satisfies Listener;
  const live = new LiveSocket("ws://test", listener, () => new FakeSocket() as unknown as WebSocket);
  live.start();
  return { live, listener, last: () => FakeSocket.all.at(-1)! };
}

beforeEach(() => {
  FakeSocket.all = [];
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

test("changes are passed on, a gap in their numbers asks to read everything again", () => {
  const { listener, last } = connect();
  last().hear({ type: "hello", streams: { platform: 4 } });
  expect(listener.connection).toHaveBeenLastCalledWith("live");
  last().hear({ type: "changed", stream: "platform", seq: 5, topic: "workload", id: "w1" });
  expect(listener.changed).toHaveBeenCalledExactlyOnceWith("workload", "w1");
  expect(listener.lost).not.toHaveBeenCalled();
  last().hear({ type: "changed", stream: "platform", seq: 7, topic: "workload", id: "w2" });
  expect(listener.lost).toHaveBeenCalledOnce();
});

test("it comes back by itself and then has everything read again", () => {
  const { listener, last } = connect();
  last().hear({ type: "hello", streams: { platform: 4 } });
  last().close();
  expect(listener.connection).toHaveBeenLastCalledWith("down");
  vi.advanceTimersByTime(500);
  expect(FakeSocket.all).toHaveLength(2);
  last().hear({ type: "hello", streams: { platform: 4 } });
  expect(listener.lost).toHaveBeenCalledOnce();
  expect(listener.connection).toHaveBeenLastCalledWith("live");
});

test("a server that accepts and stays silent is given up", () => {
  const { listener } = connect();
  vi.advanceTimersByTime(10_000);
  expect(listener.connection).toHaveBeenLastCalledWith("down");
});

test("stopped means stopped", () => {
  const { live, last } = connect();
  last().hear({ type: "hello", streams: {} });
  live.stop();
  vi.advanceTimersByTime(60_000);
  expect(FakeSocket.all).toHaveLength(1);
});

test("figures are passed on as they come", () => {
  const { listener, last } = connect();
  const frame = { type: "figures", cluster: "a", seq: 1, at: "2026-11-21T00:00:00Z", d: [["x", 50, 100, 1000]] };
  last().hear(frame);
  expect(listener.figures).toHaveBeenCalledExactlyOnceWith(frame);
});

test("whoever is signed out is told so", () => {
  const { listener, last } = connect();
  last().close(4401);
  expect(listener.refused).toHaveBeenCalledOnce();
});
