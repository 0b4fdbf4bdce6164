/** Where we are in each numbered stream. Says when something in between was lost. */
export type Step = "next" | "gap" | "old";

export class Positions {
  private readonly seen = new Map<string, number>();

  /** The server's first word on a connection: where each stream stands. */
  start(streams: Record<string, number>): void {
    this.seen.clear();
    for (const [stream, seq] of Object.entries(streams)) this.seen.set(stream, seq);
  }

  /** A message with its number. The first of a stream nobody announced is taken as it is. */
  step(stream: string, seq: number): Step {
    const last = this.seen.get(stream);
    if (last !== undefined && seq <= last) return "old";
    this.seen.set(stream, seq);
    return last === undefined || seq === last + 1 ? "next" : "gap";
  }
}
