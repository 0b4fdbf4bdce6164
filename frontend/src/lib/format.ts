/** Amounts as people read them. The API counts accelerators and cores in 1/1000, memory in MiB. */

export function formatMilli(milli: number, locale: string): string {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: 3 }).format(milli / 1000);
}

export function formatSpeed(kibps: number, locale: string): string {
  const [value, unit] = kibps < 1024 ? [kibps, "KiB/s"] : kibps < 1024 * 1024 ? [kibps / 1024, "MiB/s"] : [kibps / 1048576, "GiB/s"];
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: value < 100 ? 1 : 0 }).format(value)} ${unit}`;
}

/** For headlines: one decimal at most, since a map of 2,000 cards is not read to the thousandth. */
export function formatMilliShort(milli: number, locale: string): string {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }).format(milli / 1000);
}

export function formatCount(count: number, locale: string): string {
  return new Intl.NumberFormat(locale).format(count);
}

export function formatPercent(percent: number, locale: string): string {
  return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 }).format(percent / 100);
}

export function formatMemory(mib: number, locale: string): string {
  const [value, unit] = mib < 1024 ? [mib, "MiB"] : mib < 1024 * 1024 ? [mib / 1024, "GiB"] : [mib / 1048576, "TiB"];
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: value < 100 ? 1 : 0 }).format(value)} ${unit}`;
}

/** Of files: "312 B", "4.2 KiB", "1.7 GiB". */
export function formatBytes(bytes: number, locale: string): string {
  if (bytes >= 1048576) return formatMemory(bytes / 1048576, locale);
  return bytes < 1024 ? `${formatCount(bytes, locale)} B` : `${new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }).format(bytes / 1024)} KiB`;
}

/** For headlines: to the cent. */
export const formatMoneyShort = (amount: string, currency: string, locale: string) => formatMoney(amount, currency, locale, 2);

/** Money arrives as a decimal in a string and is shown with all the digits it came with. */
export function formatMoney(amount: string, currency: string, locale: string, most = 20): string {
  const text = String(amount);
  const digits = Math.max(2, Math.min(most, text.split(".")[1]?.replace(/0+$/, "").length ?? 0));
  return new Intl.NumberFormat(locale, {
    style: "currency",
    currency,
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: 2,
    maximumFractionDigits: digits,
    // Intl takes a decimal string exactly, without going through a float.
  }).format(text as unknown as number);
}

/** "0.060000" is six per cent, with all its digits. */
export function formatRate(rate: string, locale: string): string {
  // Intl takes a decimal string exactly, without going through a float.
  return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 4 }).format(rate as unknown as number);
}

/** A hundredth of a decimal, by moving its point: "6.5" becomes "0.065". */
export function hundredth(decimal: string): string {
  const [whole = "", part = ""] = decimal.split(".");
  const padded = whole.padStart(3, "0");
  return `${padded.slice(0, -2)}.${padded.slice(-2)}${part}`.replace(/^0+(?=\d)/, "");
}

/** Hours of a card as the API gives them, with nine decimals, of which people read three. */
export function formatHours(hours: string | number, locale: string): string {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: 3 }).format(hours as unknown as number);
}
