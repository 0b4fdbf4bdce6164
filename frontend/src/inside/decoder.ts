/** Bytes of UTF-8 as they come, cut anywhere, to text; knows how many bytes at the end are not a letter yet. */
export class Utf8Stream {
  private decoder = new TextDecoder();
  private tail = new Uint8Array();

  decode(bytes: Uint8Array): string {
    const last = bytes.subarray(-3);
    const joined = new Uint8Array(this.tail.length + last.length);
    joined.set(this.tail);
    joined.set(last, this.tail.length);
    this.tail = joined.slice(-3);
    return this.decoder.decode(bytes, { stream: true });
  }

  /** Bytes that were taken in and gave no letter yet. */
  get pending(): number {
    for (let back = 1; back <= this.tail.length; back += 1) {
      const byte = this.tail[this.tail.length - back] ?? 0;
      if (byte < 0x80) return 0;
      if (byte < 0xc0) continue;
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return back < length ? back : 0;
    }
    return 0;
  }

  reset(): void {
    this.decoder = new TextDecoder();
    this.tail = new Uint8Array();
  }
}
