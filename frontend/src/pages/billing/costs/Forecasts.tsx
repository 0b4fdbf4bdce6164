import { Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Forecast } from "~/api/__generated__";
import { costsForecastOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMoneyShort } from "~/lib/format";
import { formatMoment } from "~/lib/time";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { type Column, Loading, Rows } from "~/parts/QueryTable";
import type { Measure } from "./words";

export function Forecasts({ period, measure }: { period: string; measure: Measure }) {
  const { t, i18n } = useLingui();
  const query = useQuery(costsForecastOptions({ query: { period, measure, by: "project", top: 10 } }));
  if (query.isError) return <ProblemAlert error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Loading label={t`Forecast`} />;
  const { forecasts, charged_until, left_off } = query.data;
  if (forecasts.length === 0) return <Text size="sm" c="dimmed"><Trans>Nothing is spent in this month, and nothing is reserved.</Trans></Text>;
  const money = (row: Forecast, amount: string) => <span className="aq-nowrap">{formatMoneyShort(amount, row.currency, i18n.locale)}</span>;
  const columns: Column<Forecast>[] = [
    { key: "of", header: t`Project`, cell: (row) => <><Text size="sm" fw={600}>{row.project_name || <Trans>no project</Trans>}</Text><Text size="xs" c="dimmed">{row.tenant_name}</Text></> },
    { key: "spent", header: t`Spent`, align: "right", cell: (row) => money(row, row.spent) },
    { key: "daily", header: t`A day`, align: "right", cell: (row) => money(row, row.daily) },
    { key: "expected", header: t`By the month's end`, align: "right", cell: (row) => money(row, row.expected) },
    { key: "range", header: t`Likely between`, align: "right", cell: (row) => (row.low === null || row.high === null ? "–" : <>{money(row, row.low)} – {money(row, row.high)}</>) },
  ];
  return (
    <>
      <Text size="sm" c="dimmed" mb="xs">
        <Trans>Each day that is left is taken to cost what the last whole days did on average, seven at most; reservations that begin later come on top. The range is drawn to hold eight months of ten; work that comes or ends all at once goes beyond it. Without tax; charged until {formatMoment(charged_until, i18n.locale)}.</Trans>
      </Text>
      <Rows rows={forecasts} columns={columns} rowKey={(row) => `${row.tenant} ${row.project} ${row.currency}`} label={t`Forecast`} />
      {left_off > 0 && <Text size="sm" c="dimmed" mt="xs"><Trans>{left_off} more have spent less.</Trans></Text>}
    </>
  );
}
