/** One clock for the page: everything that shows an age ticks together, once a second. */
import { useSyncExternalStore } from "react";
import { serverNow } from "~/lib/time";

let now = serverNow();
let timer: ReturnType<typeof setInterval> | undefined;
const watchers = new Set<() => void>();

function watch(watcher: () => void): () => void {
  watchers.add(watcher);
  now = serverNow();
  timer ??= setInterval(() => {
    now = serverNow();
    for (const each of watchers) each();
  }, 1000);
  return () => {
    watchers.delete(watcher);
    if (watchers.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

export const useNow = () => useSyncExternalStore(watch, () => now);
