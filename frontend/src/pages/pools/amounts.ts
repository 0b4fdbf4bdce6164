/** What a field of numbers holds: a number, or nothing while it is being typed. */
export const amountOf = (value: number | string): number | "" => (typeof value === "number" && Number.isFinite(value) ? value : "");
