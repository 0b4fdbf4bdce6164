/** The lines of a proposal as its page shows them: the largest change first, and how long each bar is. */
import type { Difference } from "~/api/__generated__";

export interface DrawnLine {
  line: Difference;
  /** In 1/1000 of the longest: the part that stays, and what comes or goes. */
  stays: number;
  changes: number;
  isMore: boolean;
}

const most = (line: Difference) => Math.max(Number(line.was), Number(line.would_be), 0);

export function drawnLines(lines: readonly Difference[]): DrawnLine[] {
  const longest = Math.max(...lines.map(most), 0);
  const share = (amount: number) => (longest > 0 ? (1000 * Math.max(0, amount)) / longest : 0);
  return lines
    .map((line) => ({
      line,
      stays: share(Math.min(Number(line.was), Number(line.would_be))),
      changes: share(most(line)) - share(Math.min(Number(line.was), Number(line.would_be))),
      isMore: Number(line.difference) > 0,
    }))
    .toSorted((one, other) => Math.abs(Number(other.line.difference)) - Math.abs(Number(one.line.difference)));
}
