/** What sensors say, in groups that belong together, with units as people write them. */
import type { Reading } from "~/api/__generated__";

/** By UCUM's names for units; what is not here is shown as it came. */
const UNITS: Record<string, string> = { Cel: "°C", "{rpm}": "rpm", W: "W", V: "V", A: "A", J: "J", "%": "%", "kW.h": "kWh" };

/** Temperatures first, as they are what one looks for. */
const ORDER = ["Cel", "W", "{rpm}", "%", "V", "A", "J", "kW.h"];

export interface Group {
  unit: string;
  readings: Reading[];
  unhealthy: number;
}

export const unitText = (unit: string) => UNITS[unit] ?? unit;

const place = (unit: string) => (ORDER.includes(unit) ? ORDER.indexOf(unit) : ORDER.length);

export function grouped(readings: readonly Reading[]): Group[] {
  const units = [...new Set(readings.map(({ unit }) => unit))].toSorted((one, other) => place(one) - place(other));
  return units.map((unit) => {
    const own = readings.filter((reading) => reading.unit === unit).toSorted((one, other) => Number(one.is_healthy) - Number(other.is_healthy));
    return { unit, readings: own, unhealthy: own.filter((reading) => !reading.is_healthy).length };
  });
}
