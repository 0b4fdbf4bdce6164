/** From a line of an invoice to what happened: its charges, the usage each was made of, and the changes of state behind that. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Text } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { Charge, UsageEvent, UsageRecord } from "~/api/__generated__";
import { chargesListInfiniteOptions, usageRecordsEventsOptions, usageRecordsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMilli, formatMoney } from "~/lib/format";
import { formatLength, formatMoment } from "~/lib/time";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { byCursor, type Column, Loading, QueryTable, Rows } from "~/parts/QueryTable";
import { useReason, useStateWord } from "~/parts/words";

/** Which row is open: one at a time. */
export function useOpen(): { isOpen: (id: string) => boolean; toggle: (id: string) => void } {
  const [open, setOpen] = useState<string>();
  return { isOpen: (id) => open === id, toggle: (id) => setOpen((now) => (now === id ? undefined : id)) };
}

export function Opener({ isOpen, onToggle, children }: { isOpen: boolean; onToggle: () => void; children: ReactNode }) {
  return (
    <Button size="compact-xs" variant="default" aria-expanded={isOpen} leftSection={isOpen ? <IconChevronDown size={14} /> : <IconChevronRight size={14} />} onClick={onToggle}>
      {children}
    </Button>
  );
}

export function ChargesOf({ line }: { line: string }) {
  const { t, i18n } = useLingui();
  const { isOpen, toggle } = useOpen();
  const query = useInfiniteQuery({ ...chargesListInfiniteOptions({ query: { line, limit: 20 } }), ...byCursor });
  const columns: Column<Charge>[] = [
    { key: "from", header: t`From`, cell: (row) => <><span className="aq-nowrap">{formatMoment(row.period_start, i18n.locale)}</span><Text size="xs" c="dimmed">{row.workload_name}</Text></> },
    { key: "quantity", header: t`Hours`, align: "right", cell: (row) => row.quantity !== null && Number(row.quantity).toLocaleString(i18n.locale, { maximumFractionDigits: 9 }) },
    { key: "price", header: t`Price`, align: "right", cell: (row) => row.contracted_unit_price !== null && <span className="aq-nowrap">{formatMoney(row.contracted_unit_price, row.currency, i18n.locale)}</span> },
    { key: "cost", header: t`Cost`, align: "right", cell: (row) => <span className="aq-nowrap">{formatMoney(row.billed_cost, row.currency, i18n.locale)}</span> },
    {
      key: "rules",
      header: t`Price and rules`,
      cell: (row) => <><Text size="xs" title={row.price_version ?? ""}>{row.price_version?.slice(-12) ?? "–"}</Text><Text size="xs" c="dimmed"><Trans>rules {row.rule_version}</Trans>{row.reverses && <> · <Trans>takes another back</Trans></>}</Text></>,
    },
    { key: "usage", header: t`Proof`, cell: (row) => row.usage_records.length > 0 && <Opener isOpen={isOpen(row.id)} onToggle={() => toggle(row.id)}><Trans>usage</Trans></Opener> },
  ];
  return (
    <QueryTable
      query={query}
      columns={columns}
      rowKey={(row) => row.id}
      label={t`Charges`}
      empty={<Text size="sm" c="dimmed"><Trans>There are no charges behind this line yet: what its hours came to is charged when they are over.</Trans></Text>}
      detail={(row) => isOpen(row.id) && <UsageOf charge={row.id} />}
    />
  );
}

function UsageOf({ charge }: { charge: string }) {
  const { t, i18n } = useLingui();
  const { isOpen, toggle } = useOpen();
  const query = useInfiniteQuery({ ...usageRecordsListInfiniteOptions({ query: { charge, limit: 20 } }), ...byCursor });
  const columns: Column<UsageRecord>[] = [
    { key: "from", header: t`From`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.start_at, i18n.locale)}</span> },
    { key: "length", header: t`For`, align: "right", cell: (row) => <span className="aq-nowrap">{formatLength(row.seconds, i18n.locale)}</span> },
    { key: "held", header: t`Held`, cell: (row) => <span className="aq-nowrap">{formatMilli(row.held_milli, i18n.locale)} × {row.flavor}</span> },
    { key: "where", header: t`Where`, cell: (row) => <><Text size="sm">{row.site}</Text><Text size="xs" c="dimmed">{row.node}</Text></> },
    { key: "proven", header: t`Proven until`, cell: (row) => <span className="aq-nowrap">{row.proof_at ? formatMoment(row.proof_at, i18n.locale) : "–"}</span> },
    { key: "events", header: t`Proof`, cell: (row) => <Opener isOpen={isOpen(row.id)} onToggle={() => toggle(row.id)}><Trans>what happened</Trans></Opener> },
  ];
  return (
    <QueryTable
      query={query}
      columns={columns}
      rowKey={(row) => row.id}
      label={t`Usage`}
      empty={<Text size="sm" c="dimmed"><Trans>No usage stands behind it.</Trans></Text>}
      detail={(row) => isOpen(row.id) && <EventsOf record={row.id} />}
    />
  );
}

function EventsOf({ record }: { record: string }) {
  const { t, i18n } = useLingui();
  const word = useStateWord();
  const reason = useReason();
  const query = useQuery(usageRecordsEventsOptions({ path: { id: record } }));
  if (query.isError) return <ProblemAlert error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Loading label={t`What happened`} />;
  const columns: Column<UsageEvent>[] = [
    { key: "what", header: t`What happened`, cell: (row) => <Text size="sm" fw={600}>{word(row.object_type, row.to_state)}</Text> },
    { key: "site", header: t`At the site`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.effective_at, i18n.locale)}</span> },
    { key: "written", header: t`Written`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.at, i18n.locale)}</span> },
    { key: "by", header: t`By`, cell: (row) => row.by },
    { key: "why", header: t`Why`, cell: (row) => <>{row.reason && reason(row.reason)}{row.message && <Text size="xs" c="dimmed">{row.message}</Text>}</> },
  ];
  return <Rows rows={query.data} columns={columns} rowKey={(row) => String(row.id)} label={t`What happened`} />;
}
