/** The live connection as React sees it: its state, and the polling that stands in for it. */
import type { QueryClient } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { sessionQuery } from "~/api/session";
import { fleet } from "~/map/fleet";
import { Invalidator } from "./invalidate";
import { type Connection, LiveSocket } from "./socket";

export const POLL_MS = 10_000;

let connection: Connection = "connecting";
let live: LiveSocket | undefined;
const watchers = new Set<() => void>();

/** How often queries are read while the socket is down. */
export const pollInterval = () => (connection === "down" ? POLL_MS : false);

export function useConnection(): Connection {
  return useSyncExternalStore(
    (watch) => {
      watchers.add(watch);
      return () => watchers.delete(watch);
    },
    () => connection,
  );
}

/** Called when somebody has signed in; twice is once. */
export function startLive(client: QueryClient): void {
  if (live) return;
  const invalidator = new Invalidator(client);
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/events`;
  live = new LiveSocket(url, {
    changed: (topic, id) => invalidator.changed(topic, id),
    figures: (frame) => fleet.merge(frame),
    lost: () => invalidator.everything(),
    refused: () => void client.invalidateQueries({ queryKey: sessionQuery.queryKey }),
    connection: (state) => {
      if (state === connection) return;
      connection = state;
      // Queries ask for their interval after each read, so reading once starts the polling.
      if (state === "down") invalidator.everything();
      for (const watch of watchers) watch();
    },
  });
  live.start();
}

export function stopLive(): void {
  live?.stop();
  live = undefined;
}
