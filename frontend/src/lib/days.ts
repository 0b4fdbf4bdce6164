/** Days of a time zone, which need not be that of the browser. */

/** The day that an instant lies in, as 2026-11-30. */
export function dayOf(instant: string | number, zone: string): string {
  // Swedish writes dates as ISO does.
  return new Intl.DateTimeFormat("sv", { timeZone: zone }).format(new Date(instant));
}

/** All days between two instants, the second excluded. */
export function daysBetween(start: string, end: string, zone: string): string[] {
  const last = dayOf(new Date(end).getTime() - 1, zone);
  const found: string[] = [];
  for (let day = dayOf(start, zone); day <= last; day = following(day)) found.push(day);
  return found;
}

/** The instant at which a day begins. */
export function startOf(day: string, zone: string): Date {
  const wall = Date.parse(`${day}T00:00:00Z`);
  return new Date(wall - offsetAt(wall - offsetAt(wall, zone), zone));
}

/** How far the clocks of a zone are ahead of UTC, in milliseconds. */
function offsetAt(instant: number, zone: string): number {
  const shown = new Intl.DateTimeFormat("sv", { timeZone: zone, dateStyle: "short", timeStyle: "medium" }).format(instant);
  return Date.parse(`${shown.replace(" ", "T")}Z`) - Math.floor(instant / 1000) * 1000;
}

function following(day: string): string {
  const next = new Date(`${day}T00:00:00Z`);
  next.setUTCDate(next.getUTCDate() + 1);
  return next.toISOString().slice(0, 10);
}
