/** What became of capacity, added up: rows of an hour, a site and a flavor. Milli-seconds become hours of a card. */
import type { CapacityHour } from "~/api/__generated__";

type Amounts = Pick<CapacityHour, "capacity" | "work" | "reserved" | "idle" | "contested">;

export interface Sum {
  key: string;
  capacity: number;
  work: number;
  reserved: number;
  idle: number;
  contested: number;
}

export const MILLI_SECONDS_OF_AN_HOUR = 3_600_000;

export function sums<Row extends Amounts>(rows: readonly Row[], keyOf: (row: Row) => string): Sum[] {
  const found = new Map<string, Sum>();
  for (const row of rows) {
    const key = keyOf(row);
    const sum = found.get(key) ?? { key, capacity: 0, work: 0, reserved: 0, idle: 0, contested: 0 };
    found.set(key, sum);
    sum.capacity += row.capacity;
    sum.work += row.work;
    sum.reserved += row.reserved;
    sum.idle += row.idle;
    sum.contested += row.contested ?? 0;
  }
  return [...found.values()].toSorted((one, other) => (one.key < other.key ? -1 : 1));
}

export const hoursOf = (milliSeconds: number) => milliSeconds / MILLI_SECONDS_OF_AN_HOUR;

/** Hours without a row stand empty in the plot rather than being left out of it. */
export function everyHour(found: readonly Sum[]): Sum[] {
  const first = found[0];
  const last = found.at(-1);
  if (!first || !last) return [];
  const known = new Map(found.map((sum) => [Date.parse(sum.key), sum]));
  const all: Sum[] = [];
  for (let at = Date.parse(first.key); at <= Date.parse(last.key); at += MILLI_SECONDS_OF_AN_HOUR) {
    all.push(known.get(at) ?? { key: new Date(at).toISOString(), capacity: 0, work: 0, reserved: 0, idle: 0, contested: 0 });
  }
  return all;
}
