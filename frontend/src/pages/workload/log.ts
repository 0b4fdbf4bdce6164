/** A log as read so far. Long ones keep their end: that is what one looks for. */
export interface LogSoFar {
  text: string;
  offset: number;
  isComplete: boolean;
  hasMore: boolean;
}

export const EMPTY_LOG: LogSoFar = { text: "", offset: 0, isComplete: false, hasMore: false };
const KEEP_CHARACTERS = 1_000_000;

export function appendLog(before: LogSoFar, chunk: { text: string; next_offset: number; is_complete: boolean }): LogSoFar {
  const text = before.text + chunk.text;
  return {
    text: text.length > KEEP_CHARACTERS ? text.slice(text.indexOf("\n", text.length - KEEP_CHARACTERS) + 1) : text,
    offset: chunk.next_offset,
    isComplete: chunk.is_complete,
    hasMore: chunk.text.length > 0,
  };
}
