/** The same pretended world each time: a small seeded generator (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

let count = 0;

/** An id that looks like the server's: a UUID of version 7, rising. */
export function nextId(): string {
  count += 1;
  const tail = count.toString(16).padStart(12, "0");
  return `01990000-0000-7000-8000-${tail}`;
}
