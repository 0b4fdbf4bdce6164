/** A pretended back end inside Vite's own server, for `npm run dev` without one. Never part of a build. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Plugin, PreviewServer, ViteDevServer } from "vite";
import { WebSocketServer } from "ws";
import { tick } from "./fleet.ts";
import { enter } from "./inside.ts";
import { answer, problem } from "./routes.ts";

const COOKIE = "mock-session=1";

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = "";
  for await (const piece of request) text += String(piece);
  return text ? (JSON.parse(text) as Record<string, unknown>) : {};
}

function install(server: ViteDevServer | PreviewServer): void {
  const sockets = new WebSocketServer({ noServer: true });
  let seq = 0;
  const tell = (frame: object) => {
    for (const socket of sockets.clients) socket.send(JSON.stringify(frame));
  };
  const timer = setInterval(() => {
    const at = new Date().toISOString();
    for (const { cluster, rows } of tick()) tell({ type: "figures", cluster, seq: Date.now(), at, d: rows });
  }, 1000);
  server.httpServer?.once("close", () => clearInterval(timer));
  server.httpServer?.on("upgrade", (request: IncomingMessage, socket, head) => {
    if (enter(request, socket, head) || request.url !== "/ws/events") return;
    sockets.handleUpgrade(request, socket as never, head, (opened) => {
      opened.send(JSON.stringify({ type: "hello", streams: { platform: seq } }));
    });
  });
  server.middlewares.use((request: IncomingMessage, response: ServerResponse, next: () => void) => {
    const url = new URL(request.url ?? "/", "http://mock");
    if (url.pathname === "/aquifer-forward") return void response.end("# The server hands out the script; this is the mock.\n");
    if (!url.pathname.startsWith("/api/v1/")) return next();
    void handle(request, response, url, (topic, id) => tell({ type: "changed", stream: "platform", seq: ++seq, topic, id }));
  });
}

async function handle(request: IncomingMessage, response: ServerResponse, url: URL, changed: (topic: string, id: string) => void): Promise<void> {
  const isSignedIn = (request.headers.cookie ?? "").includes(COOKIE);
  const path = url.pathname.split("/").slice(3).map(decodeURIComponent);
  const found = await bodyOf(request)
    .then((body) => answer({ method: request.method ?? "GET", path, query: url.searchParams, body, isSignedIn }))
    .catch((error: unknown) => problem(500, "server-error", String(error)));
  if (found.signIn !== undefined) response.setHeader("Set-Cookie", `${COOKIE}; Path=/; ${found.signIn ? "" : "Max-Age=0"}`);
  response.statusCode = found.status;
  response.setHeader("Content-Type", found.status < 400 ? "application/json" : "application/problem+json");
  response.end(found.body === undefined ? "" : JSON.stringify(found.body));
  if (found.changed) changed(...found.changed);
}

export function mockApi(): Plugin {
  return { name: "aquifer-mock-api", configureServer: install, configurePreviewServer: install };
}
