/** Instants as a field of date and time holds them: of the reader's own time zone, without naming it. */
import { startOf } from "./days";
import { monthFrom } from "./months";

const two = (value: number) => String(value).padStart(2, "0");

/** What such a field shows for an instant, to the hour: "2026-11-29T18:00". */
export function hourField(at: Date): string {
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:00`;
}

/** As the API takes it; nothing for an empty field. */
export function toInstant(field: string): string | null {
  if (!field) return null;
  const at = new Date(field);
  return Number.isNaN(at.getTime()) ? null : at.toISOString();
}

/** The first hour of the month of a zone so many months from this one. */
export function monthField(now: Date, months: number, zone: string): string {
  return hourField(startOf(`${monthFrom(now, months, zone)}-01`, zone));
}
