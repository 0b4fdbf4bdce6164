/** What things cost in a month: over time, by whatever they can be told apart, and what follows from it. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Group, Progress, Select, Skeleton, Stack, Text } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import type { CostSeries, Costs as Found } from "~/api/__generated__";
import { costsListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { dayOf, daysBetween } from "~/lib/days";
import { formatMoneyShort } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { splitPath } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { type Column, Loading, Rows } from "~/parts/QueryTable";
import { useRecentMonths } from "~/parts/useRecentMonths";
import { Fold } from "~/ui/Fold";
import { Empty } from "~/ui/Panel";
import { Forecasts } from "./Forecasts";
import { IdleCost } from "./IdleCost";
import { Loans } from "./Loans";
import { UnitCosts } from "./UnitCosts";
import { asked, DIMENSIONS, MEASURES, oneOf, useSeriesNames } from "./words";

const CostChart = lazy(async () => ({ default: (await import("./CostChart")).CostChart }));
const MOST = 6;

export function Costs() {
  const { t, i18n } = useLingui();
  const navigate = useNavigate();
  const months = useRecentMonths();
  const search = useSearch({ strict: false });
  const period = months.includes(search.period ?? "") ? search.period! : months[0]!;
  const by = oneOf(DIMENSIONS, search.by, "project");
  const measure = oneOf(MEASURES, search.measure, "billed");
  const go = (changed: { period?: string; by?: string; measure?: string }) =>
    void navigate({ ...splitPath(pb.billing({ tab: "costs", period, by, measure, ...changed })), replace: true });
  const query = useQuery({ ...costsListOptions({ query: { period, by: asked(by), measure, step: "day", top: MOST } }), placeholderData: keepPreviousData });
  const choices = <Name extends string>(names: Record<Name, (typeof DIMENSIONS)["tenant"]>) =>
    Object.entries<(typeof DIMENSIONS)["tenant"]>(names).map(([value, label]) => ({ value, label: i18n._(label) }));
  return (
    <Stack>
      <Group gap="xs">
        <Select size="xs" w={130} aria-label={t`Month`} allowDeselect={false} value={period} data={months} onChange={(value) => go({ period: value ?? period })} />
        <Select size="xs" w={180} aria-label={t`By`} allowDeselect={false} value={by} data={choices(DIMENSIONS)} onChange={(value) => go({ by: value ?? by })} />
        <Select size="xs" w={220} aria-label={t`Measured`} allowDeselect={false} value={measure} data={choices(MEASURES)} onChange={(value) => go({ measure: value ?? measure })} />
      </Group>
      {query.isError && <ProblemAlert error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Loading label={t`Costs`} />}
      {query.data && <Shown what={i18n._(DIMENSIONS[by])} found={query.data} />}
      <Fold label={<Trans>What the month will come to</Trans>} startsOpen><Forecasts period={period} measure={measure} /></Fold>
      <Fold label={<Trans>What an hour of a card costs</Trans>}><UnitCosts period={period} /></Fold>
      <Fold label={<Trans>What stood idle, and who bears it</Trans>}><IdleCost period={period} /></Fold>
      <Fold label={<Trans>Who borrowed of whom</Trans>}><Loans period={period} /></Fold>
    </Stack>
  );
}

/** One chart and one table for each currency: amounts of two are never added up. */
function Shown({ what, found }: { what: string; found: Found }) {
  if (found.totals.length === 0) return <Empty title={<Trans>No costs in this month</Trans>}><Trans>Usage is charged ten minutes after its hour has ended.</Trans></Empty>;
  return found.totals.map(({ currency, cost }) => (
    <InCurrency key={currency} what={what} currency={currency} cost={cost} series={found.series.filter((each) => each.currency === currency)} found={found} />
  ));
}

function InCurrency({ what, currency, cost, series, found }: { what: string; currency: string; cost: string; series: CostSeries[]; found: Found }) {
  const { t, i18n } = useLingui();
  const names = useSeriesNames()(series);
  const money = (amount: string) => formatMoneyShort(amount, currency, i18n.locale);
  const days = found.start && found.end ? daysBetween(found.start, found.end, found.zone) : [];
  const rows = series.map((each, at) => ({ ...each, name: names[at] ?? "" }));
  const bars = rows.map((each) => {
    const amounts = new Map(each.points.map((point) => [point.start ? dayOf(point.start, found.zone) : "", Number(point.cost)]));
    return { name: each.name, isRest: each.keys.length === 0, amounts: days.map((day) => amounts.get(day) ?? 0) };
  });
  const columns: Column<(typeof rows)[number]>[] = [
    { key: "name", header: what, cell: (row) => <Text size="sm" fw={600}>{row.name}</Text> },
    { key: "cost", header: t`Cost`, align: "right", cell: (row) => <span className="aq-nowrap">{money(row.total)}</span> },
    { key: "share", header: t`Share`, align: "right", cell: (row) => <Share of={row.share} /> },
  ];
  return (
    <div>
      <Text size="sm" c="dimmed"><Trans>All of it, in {currency}</Trans></Text>
      <Text className="aq-figure" mb="sm">{money(cost)}</Text>
      <Suspense fallback={<Skeleton height={300} />}><CostChart title={t`Costs by day, in ${currency}`} currency={currency} days={days} bars={bars} /></Suspense>
      <Rows rows={rows} columns={columns} rowKey={(row) => row.name} label={t`Costs`} />
    </div>
  );
}

function Share({ of }: { of: string | null }) {
  const { i18n } = useLingui();
  if (of === null) return "–";
  const share = new Intl.NumberFormat(i18n.locale, { style: "percent", maximumFractionDigits: 1 }).format(Number(of));
  return (
    <Group gap="xs" justify="flex-end" wrap="nowrap">
      <Progress visibleFrom="sm" w={90} size="sm" value={Math.max(0, Number(of) * 100)} aria-hidden />
      <Text size="sm" w={56} ta="right">{share}</Text>
    </Group>
  );
}
