/** Where the bars of scores lie: all on one scale that has zero in it, parts below zero to its left. */
export interface Scored {
  score: number;
  parts: [name: string, points: number][];
}

export interface Segment {
  name: string;
  points: number;
  /** On a scale from 0 to 1000. */
  x: number;
  width: number;
}

export interface Bars {
  zero: number;
  rows: Segment[][];
}

/** A score that comes without parts is one part of its own, without a name. */
export function layOut(scored: Scored[]): Bars {
  const all = scored.map(({ score, parts }) => (parts.length > 0 ? parts : ([["", score]] as [string, number][])));
  const sum = (parts: [string, number][], sign: number) => parts.reduce((total, [, points]) => (points * sign > 0 ? total + points : total), 0);
  const low = Math.min(0, ...all.map((parts) => sum(parts, -1)));
  const high = Math.max(0, ...all.map((parts) => sum(parts, 1)));
  const span = high - low || 1;
  const at = (points: number) => (1000 * (points - low)) / span;
  return {
    zero: at(0),
    rows: all.map((parts) => {
      const ends = { 1: 0, [-1]: 0 };
      return parts.map(([name, points]) => {
        const sign = points < 0 ? -1 : 1;
        const from = ends[sign] ?? 0;
        const to = (ends[sign] = from + points);
        return { name, points, x: at(Math.min(from, to)), width: (1000 * Math.abs(points)) / span };
      });
    }),
  };
}

/** What a reader is to be told of how to read them. */
export function readingOf(scored: Scored[]): "equal" | "gains" | "losses" | "both" {
  const points = scored.flatMap(({ score, parts }) => (parts.length > 0 ? parts.map(([, each]) => each) : [score]));
  if (scored.length > 1 && scored.every(({ score }) => score === scored[0]?.score)) return "equal";
  if (points.every((each) => each >= 0)) return "gains";
  return points.every((each) => each <= 0) ? "losses" : "both";
}
