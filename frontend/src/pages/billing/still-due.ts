/** What is still to be paid, in whole cents, exact: amounts come as text with two decimals. */
export function stillDue(payable: string, ...paid: string[]): string {
  const cents = paid.reduce((left, amount) => left - toCents(amount), toCents(payable));
  const digits = (cents < 0n ? -cents : cents).toString().padStart(3, "0");
  return `${cents < 0n ? "-" : ""}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

function toCents(amount: string): bigint {
  const [whole = "0", fraction = ""] = amount.split(".");
  return BigInt(whole + fraction.padEnd(2, "0").slice(0, 2));
}
