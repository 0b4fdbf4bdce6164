import { Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery } from "@tanstack/react-query";
import type { Payment } from "~/api/__generated__";
import { paymentsListInfiniteOptions, paymentsReverseMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMoney } from "~/lib/format";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { type Verb, VerbMenu } from "~/parts/Verbs";
import { Empty } from "~/ui/Panel";

const VERBS: Verb[] = [
  {
    name: "reverse",
    permission: "invoice.issue",
    mutation: paymentsReverseMutation,
    isDangerous: true,
    confirm: <Trans>It did not come in, or went back: the invoice asks for it again.</Trans>,
  },
];

export function Payments({ invoice }: { invoice: string }) {
  const { t, i18n } = useLingui();
  const payments = useInfiniteQuery({ ...paymentsListInfiniteOptions({ query: { invoice, limit: 100 } }), ...byCursor });
  const columns: Column<Payment>[] = [
    { key: "on", header: t`Received on`, cell: (row) => row.received_on },
    { key: "reference", header: t`Reference`, cell: (row) => (row.reverses ? <Trans>{row.reference}, reversed</Trans> : row.reference) },
    { key: "by", header: t`Recorded by`, cell: (row) => row.by },
    { key: "amount", header: t`Amount`, align: "right", cell: (row) => <span className="aq-nowrap">{formatMoney(row.amount, row.currency, i18n.locale)}</span> },
    { key: "verbs", header: "", cell: (row) => row.actions.length > 0 && <VerbMenu noun="payment" thing={{ ...row, name: row.reference, state: "" }} verbs={VERBS} /> },
  ];
  return <QueryTable query={payments} columns={columns} rowKey={(row) => row.id} label={t`Payments`} empty={<Empty title={<Trans>Nothing was paid yet</Trans>} />} />;
}
