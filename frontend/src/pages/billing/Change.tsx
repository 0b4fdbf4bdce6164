import { useLingui } from "@lingui/react/macro";
import { formatMoney } from "~/lib/format";
import { minus } from "~/lib/decimal";

/** By how much an amount would be more or less, to the cent, with its sign. */
export function Change({ was, wouldBe, currency }: { was: string; wouldBe: string; currency: string }) {
  const { i18n } = useLingui();
  const difference = minus(wouldBe, was);
  const sign = difference.startsWith("-") ? "" : /[1-9]/.test(difference) ? "+" : "±";
  return <strong className="aq-nowrap">{sign}{formatMoney(difference, currency, i18n.locale, 2)}</strong>;
}
