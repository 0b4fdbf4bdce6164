/** Pretended ways into running work: a log that grows, a toy shell, and what a site notes. */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { SiteEvents, Workload } from "../src/api/__generated__";
import { workloads } from "./work.ts";

const sockets = new WebSocketServer({ noServer: true });
const EVERY_MS = 500;

/** The same text whenever it is asked for; a member's log grows by two lines a second. */
export function logOf(workload: Workload, replica: number): Buffer {
  const from = Date.parse(workload.started_at ?? "");
  if (Number.isNaN(from)) return Buffer.alloc(0);
  const isRunning = workload.state === "running";
  const lines = isRunning ? Math.min(200, Math.floor((Date.now() - from) / EVERY_MS)) + (Math.floor(Date.now() / EVERY_MS) % 100_000) - (born % 100_000) : 40;
  return Buffer.from(Array.from({ length: Math.max(0, lines) }, (_, at) => line(at, replica)).join(""));
}

/** Now and then in colours, and now and then written over, as progress bars are. */
function line(at: number, replica: number): string {
  if (at % 25 === 10) return `[${replica}] eval 10 %\r[${replica}] eval 60 %\r[${replica}] eval 100 %\n`;
  if (at % 25 === 20) return `[${replica}] \u001b[33mWARN\u001b[0m the checkpoint took ${(at % 7) + 1} s\n`;
  return `[${replica}] step ${at} 步 loss ${(2 / (1 + at / 50)).toFixed(4)}\n`;
}

const born = Math.floor(Date.now() / EVERY_MS);

export function logChunk(workload: Workload, query: URLSearchParams): object {
  const offset = Number(query.get("offset") ?? 0);
  const bytes = logOf(workload, Number(query.get("replica") ?? 0)).subarray(offset);
  const isOver = ["succeeded", "failed", "cancelled"].includes(workload.state);
  return { text: bytes.toString(), next_offset: offset + bytes.length, is_complete: isOver, message: "" };
}

export function notesOf(workload: Workload): SiteEvents {
  if (workload.state === "queued") return { events: [], message: "It is not at a site." };
  if (workload.state === "cancelled") return { events: [], message: "" };
  const at = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();
  const image = workload.image || "registry.example/train:1";
  return {
    message: "",
    events: [
      { at: at(300), reason: "Scheduled", message: `Assigned default/aq-${workload.id} to the node.`, is_warning: false, count: 1 },
      { at: at(280), reason: "Pulling", message: `Pulling image "${image}"`, is_warning: false, count: 2 },
      { at: at(200), reason: "BackOff", message: "Back-off pulling image: the registry did not answer in time.", is_warning: true, count: 4 },
      { at: at(90), reason: "Started", message: "Started container work", is_warning: false, count: 1 },
    ],
  };
}

const end = (socket: WebSocket, exitCode: number | null, code = "", message = "") => {
  socket.send(JSON.stringify({ type: "end", exit_code: exitCode, code, message }));
  socket.close(1000);
};

function serveLog(socket: WebSocket, workload: Workload, query: URLSearchParams): void {
  let offset = Number(query.get("offset") ?? 0);
  if (workload.name.startsWith("no-sockets")) return end(socket, null, "not-offered", "This kind of site shows no logs.");
  if (workload.state === "queued" || workload.state === "admitted") return end(socket, null, "not-running", "The work is not running.");
  socket.send(JSON.stringify({ type: "open" }));
  const more = () => {
    const bytes = logOf(workload, Number(query.get("replica") ?? 0)).subarray(offset);
    offset += bytes.length;
    // Cut in odd places, as a network would.
    for (let at = 0; at < bytes.length; at += 1021) socket.send(bytes.subarray(at, at + 1021));
    if (workload.state !== "running") end(socket, workload.exit_code);
  };
  more();
  const timer = setInterval(more, EVERY_MS);
  socket.once("close", () => clearInterval(timer));
}

/** Knows `exit N`, `end CODE`, `size`, `colours`, `flood` and `break`; says again whatever else it is told. */
function serveShell(socket: WebSocket, workload: Workload, query: URLSearchParams): void {
  if (workload.state !== "running") return end(socket, null, "not-running", "The work is not running.");
  if (workload.name.startsWith("no-shell")) return end(socket, null, "not-offered", "This kind of site has no shell.");
  const say = (text: string) => socket.send(Buffer.concat([Buffer.from([1]), Buffer.from(text.replaceAll("\n", "\r\n"))]));
  const prompt = () => say(`\u001b[32mroot@${workload.name}-${query.get("replica") ?? 0}\u001b[0m:/work# `);
  let line = "";
  let size = "?";
  const obey = (words: string[]) => {
    if (words[0] === "exit") return end(socket, Number(words[1] ?? 0));
    if (words[0] === "end") return end(socket, null, words[1] ?? "unavailable", "The pretended site says no.");
    if (words[0] === "break") return socket.terminate();
    if (words[0] === "size") say(`${size}\n`);
    else if (words[0] === "flood") for (let at = 0; at < 300; at += 1) say(`${"no end of it ".repeat(5_000)}\n`);
    else if (words[0] === "colours") say(`${[31, 32, 33, 34, 35, 36].map((colour) => `\u001b[${colour}mcolour ${colour}`).join("\n")}\u001b[0m\n`);
    else if (words[0]) say(`${words.join(" ")}\n`);
    prompt();
  };
  socket.send(JSON.stringify({ type: "open" }));
  say("A pretended shell. Try: size, colours, flood, exit 3, end idle, break\n");
  prompt();
  socket.on("message", (data, isBinary) => {
    const text = String(data);
    if (!isBinary) {
      const message = JSON.parse(text) as { type: string; columns?: number; rows?: number };
      if (message.type === "ping") socket.send(JSON.stringify({ type: "pong" }));
      if (message.type === "resize") size = `${message.columns} × ${message.rows}`;
      return;
    }
    for (const letter of text) {
      if (letter === "\r") {
        say("\n");
        const words = line.trim().split(/\s+/);
        line = "";
        obey(words);
      } else if (letter === "\u007f") {
        if (line) say("\b \b");
        line = line.slice(0, -1);
      } else if (letter >= " ") {
        line += letter;
        say(letter);
      }
    }
  });
}

/** Takes the upgrade when it is for one of these sockets. */
export function enter(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
  const url = new URL(request.url ?? "/", "http://mock");
  const found = /^\/ws\/workloads\/([^/]+)\/(logs|shell)$/.exec(url.pathname);
  if (!found) return false;
  const workload = workloads.find((each) => each.id === found[1]);
  if (!workload) {
    socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    return true;
  }
  const serve = found[2] === "logs" ? serveLog : serveShell;
  sockets.handleUpgrade(request, socket, head, (opened) => serve(opened, workload, url.searchParams));
  return true;
}
