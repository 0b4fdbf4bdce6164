import { expect, test } from "vitest";
import { afterLogSocket } from "./after";
import { Utf8Stream } from "./decoder";
import { ENDS } from "./ends";
import { forwardCommand, inFrames, readControl, readOutput, workSocketUrl } from "./protocol";

const end = (code: string) => ({ type: "end" as const, exit_code: null, code, message: "" });

test("control frames are read, and what nobody knows is left alone", () => {
  expect(readControl('{"type":"open"}')).toEqual({ type: "open" });
  expect(readControl('{"type":"end","exit_code":3}')).toEqual({ type: "end", exit_code: 3, code: "", message: "" });
  expect(readControl('{"type":"later"}')).toBeUndefined();
  expect(readControl("null")).toBeUndefined();
  expect(readControl("not JSON")).toBeUndefined();
});

test("the first byte of output tells its stream", () => {
  expect(readOutput(new Uint8Array([2, 104, 105]))).toEqual({ isError: true, bytes: new Uint8Array([104, 105]) });
  expect(readOutput(new Uint8Array([9]))).toBeUndefined();
  expect(readOutput(new Uint8Array())).toBeUndefined();
});

test("a long paste goes in several frames", () => {
  expect(inFrames(new Uint8Array(70), 32).map((frame) => frame.length)).toEqual([32, 32, 6]);
  expect(inFrames(new Uint8Array())).toEqual([]);
});

test("the address keeps to the page's own origin", () => {
  expect(workSocketUrl("a b", "shell", { replica: 1, tty: 1 }, { protocol: "https:", host: "hub:1" })).toBe("wss://hub:1/ws/workloads/a%20b/shell?replica=1&tty=1");
});

test("letters cut anywhere come out whole, and pending bytes are known", () => {
  const bytes = new TextEncoder().encode("a水😀é!");
  const stream = new Utf8Stream();
  let text = "";
  const pending: number[] = [];
  for (const byte of bytes) {
    text += stream.decode(new Uint8Array([byte]));
    pending.push(stream.pending);
  }
  expect(text).toBe("a水😀é!");
  expect(pending).toEqual([0, 1, 2, 0, 1, 2, 3, 0, 1, 0, 0]);
});

test("what follows the close of a log's socket", () => {
  expect(afterLogSocket(end(""), true, 0).go).toBe("finish");
  expect(afterLogSocket(end("moved"), true, 0).go).toBe("restart");
  expect(afterLogSocket(end("access-lost"), true, 0).go).toBe("stop");
  expect(afterLogSocket(end("not-offered"), true, 0)).toEqual({ go: "poll", retryMs: null });
  expect(afterLogSocket(end("unavailable"), true, 0)).toEqual({ go: "poll", retryMs: 30_000 });
  expect(afterLogSocket(end("too-long"), true, 0).go).toBe("reconnect");
  expect(afterLogSocket(undefined, false, 0).go).toBe("poll");
  expect(afterLogSocket(undefined, true, 0, 1)).toEqual({ go: "reconnect", waitMs: 500 });
  expect(afterLogSocket(undefined, false, 2, 1)).toEqual({ go: "reconnect", waitMs: 2000 });
  expect(afterLogSocket(undefined, false, 4).go).toBe("poll");
});

test("every code a server may end with has words", () => {
  for (const code of "not-running not-possible not-offered unavailable idle too-long access-lost moved".split(" ")) expect(ENDS[code]).toBeDefined();
});

test("the line for a port names the member where it is not the first", () => {
  expect(forwardCommand("w1", 8888, 0, "https://hub")).toBe("python3 aquifer-forward https://hub w1 8888");
  expect(forwardCommand("w1", 8888, 2, "https://hub")).toBe("python3 aquifer-forward https://hub w1 8888 --replica 2");
});
