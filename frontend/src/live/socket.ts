/** One WebSocket for the whole console: keeps itself open, numbers what it hears, tells when something was lost. */
import { Positions } from "./positions";

export type Connection = "connecting" | "live" | "down";

/** [accelerator, busy percent, memory used in MiB, held in 1/1000] */
export type FigureRow = [string, number | null, number | null, number | null];

export interface FiguresFrame {
  type: "figures";
  /** Rises with time; frames of one moment may share it. */
  seq: number;
  cluster: string;
  at: string;
  d: FigureRow[];
}

type Frame =
  | { type: "hello"; streams: Record<string, number> }
  | { type: "changed"; stream: string; seq: number; topic: string; id: string }
  | FiguresFrame;

export interface Listener {
  changed(topic: string, id: string): void;
  figures(frame: FiguresFrame): void;
  /** Things were lost: everything shown has to be read again. */
  lost(): void;
  connection(state: Connection): void;
  /** Nobody is signed in here any more. */
  refused(): void;
}

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 15_000;
const HELLO_WITHIN_MS = 10_000;
const CLOSED_UNAUTHORISED = 4401;

export class LiveSocket {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private retries = 0;
  private isStopped = true;
  private wasLive = false;
  private readonly positions = new Positions();

  constructor(
    private readonly url: string,
    private readonly listener: Listener,
    private readonly open: (url: string) => WebSocket = (address) => new WebSocket(address),
  ) {}

  start(): void {
    if (!this.isStopped) return;
    this.isStopped = false;
    this.connect();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = undefined;
    socket?.close();
  }

  private connect(): void {
    this.listener.connection(this.retries === 0 ? "connecting" : "down");
    const socket = this.open(this.url);
    this.socket = socket;
    // A server that accepts and then says nothing is as good as none.
    clearTimeout(this.timer);
    this.timer = setTimeout(() => socket.close(), HELLO_WITHIN_MS);
    socket.addEventListener("message", (event) => {
      if (socket === this.socket) this.hear(JSON.parse(String(event.data)) as Frame);
    });
    socket.addEventListener("close", (event) => {
      if (socket !== this.socket) return;
      if (event.code === CLOSED_UNAUTHORISED) this.listener.refused();
      this.retry();
    });
  }

  private retry(): void {
    clearTimeout(this.timer);
    this.socket = undefined;
    if (this.isStopped) return;
    this.listener.connection("down");
    // Jitter, so that two hundred consoles do not come back in the same instant.
    const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.retries) * (0.5 + Math.random() / 2);
    this.retries += 1;
    this.timer = setTimeout(() => this.connect(), wait);
  }

  private hear(frame: Frame): void {
    switch (frame.type) {
      case "hello": {
        clearTimeout(this.timer);
        this.retries = 0;
        const isReconnect = this.wasLive;
        this.wasLive = true;
        this.positions.start(frame.streams);
        this.listener.connection("live");
        if (isReconnect) this.listener.lost();
        break;
      }
      case "changed": {
        const step = this.positions.step(frame.stream, frame.seq);
        if (step === "gap") this.listener.lost();
        else if (step === "next") this.listener.changed(frame.topic, frame.id);
        break;
      }
      case "figures":
        // Each frame is complete for its cards and says its order, so one that is lost costs a second, not a refetch.
        this.listener.figures(frame);
        break;
    }
  }
}
