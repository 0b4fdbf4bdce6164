import { useLingui } from "@lingui/react/macro";
import type { Invoice } from "~/api/__generated__";

/** A draft has no number yet. */
export function useInvoiceName(): (invoice: Pick<Invoice, "number" | "refers_to" | "period">) => string {
  const { t } = useLingui();
  return ({ number, refers_to, period }) => {
    if (number) return refers_to ? t`Credit note ${number}` : number;
    return t`Draft of ${period}`;
  };
}
