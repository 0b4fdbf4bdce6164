import { dayOf } from "./days";

/** The month of a time zone so many months after the present one, as the API names it. */
export function monthFrom(now: Date, months: number, zone: string): string {
  const [year = 0, month = 1] = dayOf(now.getTime(), zone).split("-").map(Number);
  return new Date(Date.UTC(year, month - 1 + months, 1)).toISOString().slice(0, 7);
}

/** The last twelve months, the present one first. */
export function recentMonths(now: Date, zone: string): string[] {
  return Array.from({ length: 12 }, (_, back) => monthFrom(now, -back, zone));
}
