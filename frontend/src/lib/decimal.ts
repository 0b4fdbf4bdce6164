/** Sums of decimals in strings, exact: amounts have more digits than a float keeps. */

/** As a whole number of 10^-scale. */
function scaled(decimal: string, scale: number): bigint {
  const [, sign = "", whole = "0", part = ""] = /^(-?)(\d*)(?:\.(\d*))?$/.exec(decimal.trim()) ?? [];
  return BigInt(`${sign}${whole || "0"}${part.slice(0, scale).padEnd(scale, "0")}`);
}

const scaleOf = (decimal: string) => decimal.split(".")[1]?.trim().length ?? 0;

function unscaled(amount: bigint, scale: number): string {
  const text = String(amount < 0n ? -amount : amount).padStart(scale + 1, "0");
  const sign = amount < 0n ? "-" : "";
  return scale === 0 ? `${sign}${text}` : `${sign}${text.slice(0, -scale)}.${text.slice(-scale)}`;
}

export function plus(...amounts: string[]): string {
  const scale = Math.max(0, ...amounts.map(scaleOf));
  return unscaled(amounts.reduce((sum, each) => sum + scaled(each, scale), 0n), scale);
}

export const minus = (one: string, other: string) => plus(one, other.startsWith("-") ? other.slice(1) : `-${other}`);
