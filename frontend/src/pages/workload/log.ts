/** A log as read so far, in blocks of whole lines, so that only the last one is drawn anew. Long ones keep their end. */
export interface Block {
  key: number;
  text: string;
}

export interface LogText {
  blocks: readonly Block[];
  length: number;
  /** Whether the begin was let go. */
  isCut: boolean;
}

export const EMPTY_TEXT: LogText = { blocks: [], length: 0, isCut: false };
const KEEP_CHARACTERS = 1_000_000;
const BLOCK_CHARACTERS = 16_384;

/** After the last line that is whole and fits; a line longer than a block is cut where it must be. */
function cutAt(text: string): number {
  const at = text.lastIndexOf("\n", BLOCK_CHARACTERS - 1) + 1;
  if (at > 0) return at;
  const code = text.charCodeAt(BLOCK_CHARACTERS - 1);
  return code >= 0xd800 && code < 0xdc00 ? BLOCK_CHARACTERS - 1 : BLOCK_CHARACTERS;
}

// oxlint-disable-next-line no-control-regex -- these are the very characters that are looked for
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\))/g;

/** As a terminal would leave it: without colours, and of a line that was written over, the last writing. */
export function asShown(text: string): string {
  const plain = text.includes("\u001b") ? text.replace(ESCAPES, "") : text;
  if (!plain.includes("\r")) return plain;
  return plain
    .split("\n")
    .map((line) => {
      let end = line.length;
      while (end > 0 && line[end - 1] === "\r") end -= 1;
      return line.slice(end > 0 ? line.lastIndexOf("\r", end - 1) + 1 : 0, end);
    })
    .join("\n");
}

export function addText(before: LogText, text: string): LogText {
  if (!text) return before;
  const blocks = [...before.blocks];
  const last = blocks.pop() ?? { key: 0, text: "" };
  let { key } = last;
  // Far more than is kept: its begin would be let go at once.
  const skip = Math.max(0, text.length - KEEP_CHARACTERS);
  let rest = skip > 0 ? text.slice(text.indexOf("\n", skip) + 1 || skip) : last.text + text;
  if (skip > 0) {
    blocks.length = 0;
    key += 1;
  }
  while (rest.length > BLOCK_CHARACTERS) {
    const cut = cutAt(rest);
    blocks.push({ key, text: rest.slice(0, cut) });
    key += 1;
    rest = rest.slice(cut);
  }
  if (rest) blocks.push({ key, text: rest });
  let length = blocks.reduce((sum, block) => sum + block.text.length, 0);
  let dropped = 0;
  while (length > KEEP_CHARACTERS) {
    length -= blocks[dropped]?.text.length ?? length;
    dropped += 1;
  }
  return { blocks: blocks.slice(dropped), length, isCut: before.isCut || skip > 0 || dropped > 0 };
}
