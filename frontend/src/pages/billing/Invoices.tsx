import { Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery } from "@tanstack/react-query";
import type { Invoice } from "~/api/__generated__";
import { invoicesListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMoney } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { StateCell } from "~/parts/words";
import { Empty } from "~/ui/Panel";
import { useInvoiceName } from "./invoice-name";

const query = { ...invoicesListInfiniteOptions({ query: { limit: 50 } }), ...byCursor };

export function Invoices() {
  const { t, i18n } = useLingui();
  const name = useInvoiceName();
  const invoices = useInfiniteQuery(query);
  const columns: Column<Invoice>[] = [
    { key: "number", header: t`Invoice`, cell: (row) => <AppLink path={pb.invoice(row.id)} fw={600}>{name(row)}</AppLink> },
    { key: "tenant", header: t`Tenant`, cell: (row) => row.tenant_name },
    { key: "period", header: t`Month`, cell: (row) => row.period },
    { key: "state", header: t`State`, cell: (row) => <StateCell noun="invoice" of={row} /> },
    { key: "total", header: t`To be paid`, align: "right", cell: (row) => <span className="aq-nowrap">{formatMoney(row.payable, row.currency, i18n.locale)}</span> },
  ];
  return (
    <QueryTable
      query={invoices}
      columns={columns}
      rowKey={(row) => row.id}
      label={t`Invoices`}
      empty={<Empty title={<Trans>No invoices yet</Trans>}><Trans>A draft appears with the first usage of a month.</Trans></Empty>}
    />
  );
}
