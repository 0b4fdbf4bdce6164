import type { End } from "./protocol";

export type Next =
  /** All was read. */
  | { go: "finish" }
  /** A newer attempt: another log, from its begin. */
  | { go: "restart" }
  | { go: "reconnect"; waitMs: number }
  /** Ask again and again instead; `retryMs` says when to try a socket again. */
  | { go: "poll"; retryMs: number | null }
  | { go: "stop" };

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 15_000;
const MOST_FAILURES = 4;
const TRY_AGAIN_MS = 30_000;

/** What to do once a log's socket closed. `failures`: how many times in a row nothing was heard on it. */
export function afterLogSocket(end: End | undefined, wasOpen: boolean, failures: number, random = Math.random()): Next {
  // Jitter, so that many consoles do not come back in the same instant.
  const waitMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures) * (0.5 + random / 2);
  if (!end) {
    // A browser is not told why a handshake fails; polling says it in words.
    if (!wasOpen && (failures === 0 || failures >= MOST_FAILURES)) return { go: "poll", retryMs: TRY_AGAIN_MS };
    return { go: "reconnect", waitMs };
  }
  switch (end.code) {
    case "":
      return { go: "finish" };
    case "moved":
      return { go: "restart" };
    case "access-lost":
      return { go: "stop" };
    case "idle":
    case "too-long":
      return { go: "reconnect", waitMs };
    case "unavailable":
      return { go: "poll", retryMs: TRY_AGAIN_MS };
    default:
      return { go: "poll", retryMs: null };
  }
}
