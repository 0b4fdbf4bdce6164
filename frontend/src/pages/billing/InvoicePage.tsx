import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Skeleton, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDownload, IconFileTypePdf } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { InvoiceLine, InvoiceWithTotals } from "~/api/__generated__";
import { invoicesLinesInfiniteOptions, invoicesRetrieveOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMoney } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { formatMoment } from "~/lib/time";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { VerbButtons } from "~/parts/Verbs";
import { StateCell } from "~/parts/words";
import { Facts } from "~/ui/Facts";
import { Notice } from "~/ui/Notice";
import { Empty, PageHead, Panel } from "~/ui/Panel";
import { useInvoiceName } from "./invoice-name";
import { NewPayment } from "./NewPayment";
import { Payments } from "./Payments";
import { ChargesOf, Opener, useOpen } from "./Proof";
import { INVOICE_VERBS } from "./verbs";

/** Whose it is; what no project has says what it is instead. */
function of(line: InvoiceLine) {
  switch (line.category) {
    case "adjustment":
      return <Trans>Rounding</Trans>;
    case "tax":
      return <Trans>Tax</Trans>;
    case "credit":
      return <Trans>Credit</Trans>;
    case "purchase":
      return <Trans>Reservation</Trans>;
    case "usage":
      return line.meter === "reservation" ? <Trans>Reserved and not used</Trans> : line.project_name;
  }
}

function Due({ invoice }: { invoice: InvoiceWithTotals }) {
  if (!invoice.due_on) return "–";
  return invoice.is_overdue ? <Text span c="red.8"><Trans>{invoice.due_on}, overdue</Trans></Text> : invoice.due_on;
}

export function InvoicePage() {
  const { t, i18n } = useLingui();
  const name = useInvoiceName();
  const { isOpen, toggle } = useOpen();
  const { id } = useParams({ from: "/inside/billing/invoices/$id" });
  const [isPaying, pay] = useDisclosure(false);
  const query = useQuery(invoicesRetrieveOptions({ path: { id } }));
  const lines = useInfiniteQuery({ ...invoicesLinesInfiniteOptions({ path: { id }, query: { limit: 200 } }), ...byCursor, initialPageParam: { path: { id } } });
  if (query.isError && !query.data) return <ProblemAlert error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Skeleton height={200} />;
  const invoice = query.data;
  const money = (amount: string) => formatMoney(amount, invoice.currency, i18n.locale);
  const columns: Column<InvoiceLine>[] = [
    { key: "project", header: t`Project`, cell: (row) => of(row) },
    { key: "site", header: t`Site`, cell: (row) => row.site },
    { key: "flavor", header: t`What`, cell: (row) => row.flavor },
    { key: "quantity", header: t`Hours`, align: "right", cell: (row) => Number(row.quantity).toLocaleString(i18n.locale, { maximumFractionDigits: 4 }) },
    { key: "price", header: t`Price`, align: "right", cell: (row) => (row.unit_price === null ? !row.is_rated && <Trans>no price</Trans> : money(row.unit_price)) },
    { key: "cost", header: t`Cost`, align: "right", cell: (row) => <span className="aq-nowrap">{money(row.cost)}</span> },
    { key: "proof", header: t`Proof`, cell: (row) => <Opener isOpen={isOpen(row.id)} onToggle={() => toggle(row.id)}><Trans>charges</Trans></Opener> },
  ];
  return (
    <Stack>
      <PageHead
        title={name(invoice)}
        aside={
          <>
            <Button component="a" variant="default" leftSection={<IconDownload size={16} />} href={`/api/v1/invoices/${invoice.id}/export.csv`} download><Trans>Export as CSV</Trans></Button>
            <Button component="a" variant="default" leftSection={<IconFileTypePdf size={16} />} href={`/api/v1/invoices/${invoice.id}/invoice.pdf?language=${i18n.locale === "en" ? "en" : "zh"}`} download><Trans>As PDF</Trans></Button>
            {invoice.actions.includes("pay") && <Button variant="default" onClick={pay.open}><Trans>Record a payment</Trans></Button>}
            <VerbButtons noun="invoice" thing={{ ...invoice, name: name(invoice) }} verbs={INVOICE_VERBS} />
          </>
        }
      >
        <AppLink path={pb.billing({ tab: "invoices" })}><Trans>All invoices</Trans></AppLink>
      </PageHead>
      {invoice.has_unrated && <Notice tone="warning"><Trans>Some of the usage has no price yet and costs 0 here.</Trans></Notice>}
      <Panel>
        <Text size="sm" c="dimmed"><Trans>To be paid</Trans></Text>
        <Text className="aq-figure" mb="sm">{money(invoice.payable)}</Text>
        <Facts
          items={[
            [t`State`, <StateCell key="state" noun="invoice" of={invoice} />],
            [t`Tenant`, <AppLink key="tenant" path={pb.tenant(invoice.tenant)}>{invoice.tenant_name}</AppLink>],
            [t`From`, formatMoment(invoice.period_start, i18n.locale)],
            [t`Until`, formatMoment(invoice.period_end, i18n.locale)],
            [t`Exact sum`, money(invoice.total)],
            [t`Due on`, <Due key="due" invoice={invoice} />],
            [t`Paid`, money(invoice.paid)],
            [t`Paid from the wallet`, money(invoice.from_wallet)],
          ]}
        />
      </Panel>
      {isPaying && <NewPayment invoice={invoice} onClose={pay.close} />}
      {invoice.state !== "draft" && !invoice.refers_to && <Panel title={<Trans>Payments</Trans>}><Payments invoice={invoice.id} /></Panel>}
      <Panel title={<Trans>Lines</Trans>}>
        <QueryTable query={lines} columns={columns} rowKey={(row) => row.id} label={t`Lines`} detail={(row) => isOpen(row.id) && <ChargesOf line={row.id} />} empty={<Empty title={<Trans>No lines yet</Trans>}><Trans>They appear as usage is metered.</Trans></Empty>} />
      </Panel>
    </Stack>
  );
}
