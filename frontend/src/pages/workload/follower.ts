/** Follows the log of one member: by a socket, or by asking again and again where there is none. Lives outside React. */
import { workloadsLogs } from "~/api/__generated__";
import { afterLogSocket } from "~/inside/after";
import { Utf8Stream } from "~/inside/decoder";
import { type End, readControl, workSocketUrl } from "~/inside/protocol";
import { addText, EMPTY_TEXT, type LogText } from "./log";

const OPEN_WITHIN_MS = 15_000;
const FOLLOW_MS = 1_000;
const WAIT_MS = 3_000;
const PING_MS = 30_000; // proxies cut what is silent for a minute
const MOST_CHARACTERS = 256 << 20; // of a file; a browser has to hold it all

export interface Followed extends LogText {
  mode: "socket" | "poll" | "waiting" | "complete" | "stopped";
  /** The server's word for why there is no more. */
  code: string;
  message: string;
  error: unknown;
}

const START: Followed = { ...EMPTY_TEXT, mode: "waiting", code: "", message: "", error: undefined };

export class LogFollower {
  private state = START;
  private readonly watchers = new Set<() => void>();
  private readonly letters = new Utf8Stream();
  private offset = 0;
  private failures = 0;
  private arrived: string[] = [];
  private frame = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private pings: ReturnType<typeof setInterval> | undefined;
  private retryAt = Number.POSITIVE_INFINITY;
  private socket: WebSocket | undefined;
  private asked: AbortController | undefined;
  private isStarted = false;

  constructor(
    private readonly workload: string,
    private readonly replica: number,
  ) {}

  read = (): Followed => this.state;

  watch = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };

  start(): void {
    this.isStarted = true;
    if (this.state.mode !== "complete") this.connect();
  }

  stop(): void {
    this.isStarted = false;
    this.halt();
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  /** The work has changed its state: what could not be had by a socket may be there now. */
  nudge(): void {
    if (this.isStarted && this.state.mode === "poll") this.connect();
  }

  private halt(): void {
    clearTimeout(this.timer);
    clearInterval(this.pings);
    const { socket, asked } = this;
    this.socket = undefined;
    this.asked = undefined;
    socket?.close();
    asked?.abort();
  }

  private connect(): void {
    this.halt();
    // The server knows nothing of letters: bytes that are half of one are asked for once more.
    this.offset -= this.letters.pending;
    this.letters.reset();
    const socket = new WebSocket(workSocketUrl(this.workload, "logs", { replica: this.replica, offset: this.offset }));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let wasOpen = false;
    let end: End | undefined;
    this.timer = setTimeout(() => socket.close(), OPEN_WITHIN_MS);
    socket.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (socket !== this.socket) return;
      if (typeof data === "string") {
        const control = readControl(data);
        if (control?.type === "end") end = control;
        if (control?.type !== "open") return;
        wasOpen = true;
        clearTimeout(this.timer);
        this.pings = setInterval(() => socket.send(JSON.stringify({ type: "ping" })), PING_MS);
        this.set({ mode: "socket", code: "", message: "", error: undefined });
        return;
      }
      const bytes = new Uint8Array(data);
      this.failures = 0;
      this.offset += bytes.length;
      this.take(this.letters.decode(bytes));
    });
    socket.addEventListener("close", () => {
      if (socket !== this.socket) return;
      clearTimeout(this.timer);
      clearInterval(this.pings);
      this.socket = undefined;
      this.closed(end, wasOpen);
    });
  }

  private closed(end: End | undefined, wasOpen: boolean): void {
    const next = afterLogSocket(end, wasOpen, this.failures);
    this.failures += 1;
    const why = { code: end?.code ?? "", message: end?.message ?? "" };
    switch (next.go) {
      case "finish":
        this.set({ mode: "complete", ...why });
        break;
      case "stop":
        this.set({ mode: "stopped", ...why });
        break;
      case "restart":
        this.arrived = [];
        this.offset = 0;
        this.failures = 0;
        this.letters.reset();
        this.state = START;
        this.set({});
        // The rows may learn of the next attempt a moment later than we do.
        this.timer = setTimeout(() => this.connect(), FOLLOW_MS);
        break;
      case "reconnect":
        this.set({ mode: "waiting", ...why });
        this.timer = setTimeout(() => this.connect(), next.waitMs);
        break;
      case "poll":
        // The next try of a socket is the first of its kind: one that fails comes straight back here.
        this.failures = 0;
        this.retryAt = next.retryMs === null ? Number.POSITIVE_INFINITY : Date.now() + next.retryMs;
        this.offset -= this.letters.pending;
        this.letters.reset();
        this.set({ mode: "poll", ...why });
        void this.poll();
        break;
    }
  }

  private async poll(): Promise<void> {
    const asked = new AbortController();
    this.asked = asked;
    let waitMs = WAIT_MS;
    try {
      const { data } = await workloadsLogs({
        path: { id: this.workload },
        query: { replica: this.replica, offset: this.offset },
        signal: asked.signal,
        throwOnError: true,
      });
      if (asked !== this.asked) return;
      this.offset = data.next_offset;
      this.take(data.text);
      // Why the socket ended is no news any more once asking goes well.
      const code = data.message ? this.state.code : "";
      this.set({ mode: data.is_complete ? "complete" : "poll", code, message: data.message, error: undefined });
      if (data.is_complete) return;
      waitMs = data.text ? FOLLOW_MS / 4 : FOLLOW_MS;
    } catch (error) {
      if (asked !== this.asked) return;
      this.set({ error });
    }
    this.timer = setTimeout(() => (Date.now() >= this.retryAt ? this.connect() : void this.poll()), waitMs);
  }

  private take(text: string): void {
    if (!text) return;
    this.arrived.push(text);
    // Drawn once a frame however many pieces arrive; a page that is not looked at gets no frames and waits.
    if (document.hidden) this.settle();
    else this.frame ||= requestAnimationFrame(() => this.settle());
  }

  private settle(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const text = this.arrived.join("");
    this.arrived = [];
    this.set(addText(this.state, text));
  }

  private set(change: Partial<Followed>): void {
    this.state = { ...this.state, ...change };
    for (const watcher of this.watchers) watcher();
  }
}

/** The whole log of one member, from its begin to what there is now. */
export async function wholeLog(workload: string, replica: number): Promise<Blob> {
  const pieces: string[] = [];
  let length = 0;
  for (let offset = 0; ; ) {
    const { data } = await workloadsLogs({ path: { id: workload }, query: { replica, offset }, throwOnError: true });
    pieces.push(data.text);
    length += data.text.length;
    if (length > MOST_CHARACTERS || data.is_complete || data.next_offset <= offset) return new Blob(pieces, { type: "text/plain;charset=utf-8" });
    offset = data.next_offset;
  }
}
