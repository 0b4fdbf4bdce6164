/** What is said on the sockets into running work: text frames are JSON, binary frames are bytes. */
export interface End {
  type: "end";
  exit_code: number | null;
  code: string;
  message: string;
}

export type Control = { type: "open" } | { type: "pong" } | End;

/** A frame of text; what a later server may say beside this is left alone. */
export function readControl(text: string): Control | undefined {
  let found: Record<string, unknown>;
  try {
    found = Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (found.type === "open" || found.type === "pong") return { type: found.type };
  if (found.type !== "end") return undefined;
  return {
    type: "end",
    exit_code: typeof found.exit_code === "number" ? found.exit_code : null,
    code: typeof found.code === "string" ? found.code : "",
    message: typeof found.message === "string" ? found.message : "",
  };
}

/** A frame of a shell's output: the first byte tells the stream. */
export function readOutput(frame: Uint8Array): { isError: boolean; bytes: Uint8Array } | undefined {
  if (frame[0] !== 1 && frame[0] !== 2) return undefined;
  return { isError: frame[0] === 2, bytes: frame.subarray(1) };
}

const MOST_BYTES = 32 * 1024;

/** The server takes no frame above 64 KiB, and a paste may be longer. */
export function inFrames(bytes: Uint8Array, most = MOST_BYTES): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += most) frames.push(bytes.subarray(at, at + most));
  return frames;
}

export function workSocketUrl(workload: string, what: "logs" | "shell", query: Record<string, string | number>, place: Pick<Location, "protocol" | "host"> = location): string {
  const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  return `${place.protocol === "https:" ? "wss" : "ws"}://${place.host}/ws/workloads/${encodeURIComponent(workload)}/${what}?${search}`;
}

/** The line to run at home; the script asks for the token, so that none ends up in the history of a shell. */
export function forwardCommand(workload: string, port: number, member: number, origin = location.origin): string {
  return `python3 aquifer-forward ${origin} ${workload} ${port}${member > 0 ? ` --replica ${member}` : ""}`;
}
