import { Trans } from "@lingui/react/macro";
import { invoicesCancelMutation, invoicesIssueMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import type { Verb } from "~/parts/Verbs";

export const INVOICE_VERBS: Verb[] = [
  {
    name: "issue",
    permission: "invoice.issue",
    mutation: invoicesIssueMutation,
    confirm: <Trans>It gets a number, the sum is rounded once, and nothing in it changes any more.</Trans>,
  },
  {
    name: "cancel",
    permission: "invoice.issue",
    mutation: invoicesCancelMutation,
    isDangerous: true,
    confirm: <Trans>A credit note takes it back, and the month can be drafted anew.</Trans>,
  },
];
