/** Ages and lengths of time. Ages are counted by the server's clock: a browser's may be minutes off. */

let offsetMilliseconds = 0;

/** Learn the server's clock from the Date header of an answer; its grain is one second, so less is not a skew. */
export function learnServerTime(dateHeader: string | null, now = Date.now()): void {
  const server = dateHeader ? Date.parse(dateHeader) : Number.NaN;
  if (Number.isNaN(server)) return;
  const offset = server + 500 - now;
  offsetMilliseconds = Math.abs(offset) > 2000 ? offset : 0;
}

export const serverNow = () => Date.now() + offsetMilliseconds;

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** "3 min. ago", "3分钟前". The future (a clock ahead of ours) counts as now; times to come use `formatUntil`. */
export function formatAge(at: string, locale: string, now = serverNow()): string {
  return relative(-Math.max(0, Math.floor((now - Date.parse(at)) / 1000)), locale);
}

export function formatUntil(at: string, locale: string, now = serverNow()): string {
  return relative(Math.max(0, Math.floor((Date.parse(at) - now) / 1000)), locale);
}

function relative(seconds: number, locale: string): string {
  const format = new Intl.RelativeTimeFormat(locale, { style: "short", numeric: "always" });
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  const count = Math.trunc(seconds / size);
  return format.format(count === 0 ? -0 : count, unit);
}

/** "1 h 5 min", "1小时5分钟": the two largest units that are not zero. */
export function formatLength(totalSeconds: number, locale: string): string {
  let rest = Math.max(0, Math.round(totalSeconds));
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 && parts.length < 2) parts.push(unitText(count, unit, locale));
    else if (parts.length > 0) break;
  }
  return parts.join(" ") || unitText(0, "second", locale);
}

function unitText(count: number, unit: Intl.RelativeTimeFormatUnit, locale: string): string {
  return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short" }).format(count);
}

export function formatMoment(at: string, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(at));
}

export function formatDay(at: string, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium" }).format(new Date(at));
}

export const secondsSince = (at: string, now = serverNow()) => (now - Date.parse(at)) / 1000;
