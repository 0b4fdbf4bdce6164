import { Trans, useLingui } from "@lingui/react/macro";
import { Select, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { UnitCost } from "~/api/__generated__";
import { costsUnitsOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMoney, formatPercent } from "~/lib/format";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { type Column, Loading, Rows } from "~/parts/QueryTable";

const BY = ["model", "site", "tenant"] as const;

export function UnitCosts({ period }: { period: string }) {
  const { t, i18n } = useLingui();
  const [by, setBy] = useState<(typeof BY)[number]>("model");
  const query = useQuery(costsUnitsOptions({ query: { period, by } }));
  const names = { model: t`Model`, site: t`Site`, tenant: t`Tenant` };
  const money = (row: UnitCost, amount: string | null) => <span className="aq-nowrap">{amount === null ? "–" : formatMoney(amount, row.currency, i18n.locale, 4)}</span>;
  const columns: Column<UnitCost>[] = [
    { key: "name", header: names[by], cell: (row) => <Text size="sm" fw={600}>{row.name || t`none`}</Text> },
    { key: "hours", header: t`Card-hours`, align: "right", cell: (row) => Number(row.card_hours).toLocaleString(i18n.locale, { maximumFractionDigits: 1 }) },
    { key: "used", header: t`An hour used`, align: "right", cell: (row) => money(row, row.per_card_hour) },
    { key: "share", header: t`Busy now`, align: "right", cell: (row) => (row.busy_share === null ? "–" : formatPercent(Number(row.busy_share) * 100, i18n.locale)) },
    { key: "busy", header: t`An hour busy`, align: "right", cell: (row) => money(row, row.per_busy_card_hour) },
  ];
  return (
    <>
      <Select size="xs" w={180} mb="xs" aria-label={t`By`} allowDeselect={false} value={by} data={BY.map((value) => ({ value, label: names[value] }))} onChange={(value) => setBy(BY.find((each) => each === value) ?? by)} />
      <Text size="sm" c="dimmed" mb="xs"><Trans>With reservations spread, and what of them was not used. An hour busy is what it would cost if cards had always been as busy as those that are held now.</Trans></Text>
      {query.isError && <ProblemAlert error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Loading label={t`Cost of an hour`} />}
      {query.data && <Rows rows={query.data.units} columns={columns} rowKey={(row) => `${row.key} ${row.currency}`} label={t`Cost of an hour`} />}
    </>
  );
}
