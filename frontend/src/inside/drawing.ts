/** Output on its way to the terminal. A browser cannot ask a socket to wait, so what comes far too fast is left out. */
const MOST_WAITING = 8 << 20; // xterm itself gives up, with an error, at 50 MB

export class Drawing {
  private waiting = 0;
  private hasLeftOut = false;

  constructor(
    private readonly draw: (data: Uint8Array | string, drawn?: () => void) => void,
    private readonly leftOut: () => string,
    private readonly most = MOST_WAITING,
  ) {}

  take(data: Uint8Array): void {
    // Once something is left out all is, until what waits is drawn: a gap in one place rather than in a thousand.
    if (this.hasLeftOut || this.waiting + data.length > this.most) {
      this.hasLeftOut = true;
      return;
    }
    this.waiting += data.length;
    this.draw(data, () => {
      this.waiting -= data.length;
      if (!this.hasLeftOut || this.waiting > 0) return;
      this.hasLeftOut = false;
      this.draw(`\r\n[${this.leftOut()}]\r\n`);
    });
  }
}
