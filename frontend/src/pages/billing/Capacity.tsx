/** What the platform had, hour by hour, and what became of it. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Group, SegmentedControl, Select, Skeleton, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useMemo } from "react";
import { type CapacityHour, capacityHoursList } from "~/api/__generated__";
import { formatHours, formatPercent } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { serverNow } from "~/lib/time";
import { splitPath } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { cursorOf } from "~/parts/QueryTable";
import { Notice } from "~/ui/Notice";
import { Empty } from "~/ui/Panel";
import { PartsBar } from "~/ui/PartsBar";
import { everyHour, hoursOf, MILLI_SECONDS_OF_AN_HOUR, type Sum, sums } from "./capacity";
import { useFlavors, useSites } from "./choices";

const CapacityChart = lazy(async () => ({ default: (await import("./CapacityChart")).CapacityChart }));

const DAYS = ["1", "3", "7"];
/** As many pages as are read for one picture; beyond it, it is to be narrowed. */
const MOST_PAGES = 15;

interface Read {
  rows: CapacityHour[];
  isWhole: boolean;
}

async function read(query: { site?: string; flavor?: string; since: string }, signal: AbortSignal): Promise<Read> {
  const rows: CapacityHour[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const { data } = await capacityHoursList({ query: { ...query, limit: 200, cursor }, signal, throwOnError: true });
    rows.push(...data.results);
    cursor = cursorOf(data.next);
    if (!cursor) return { rows, isWhole: true };
  }
  return { rows, isWhole: false };
}

export function Capacity() {
  const { t, i18n } = useLingui();
  const navigate = useNavigate();
  const { site, flavor, days = "1" } = useSearch({ strict: false });
  const flavors = useFlavors();
  const sites = useSites();
  const long = DAYS.includes(days) ? days : "1";
  const since = new Date((Math.floor(serverNow() / MILLI_SECONDS_OF_AN_HOUR) - 24 * Number(long)) * MILLI_SECONDS_OF_AN_HOUR).toISOString();
  const query = useQuery({ queryKey: [{ _id: "capacityHoursList" }, { site, flavor, since }], queryFn: ({ signal }) => read({ site, flavor, since }, signal) });
  const go = (changed: { site?: string; flavor?: string; days?: string }) => void navigate({ ...splitPath(pb.billing({ tab: "capacity", site, flavor, days, ...changed })), replace: true });
  return (
    <Stack gap="sm">
      <Group gap="xs">
        <SegmentedControl size="xs" aria-label={t`For how long`} value={long} onChange={(value) => go({ days: value })} data={[{ value: "1", label: t`a day` }, { value: "3", label: t`3 days` }, { value: "7", label: t`a week` }]} />
        <Select size="xs" w={180} clearable searchable aria-label={t`Site`} placeholder={t`All sites`} value={site ?? null} data={sites} onChange={(value) => go({ site: value ?? undefined })} />
        <Select size="xs" w={180} clearable searchable aria-label={t`Flavor`} placeholder={t`All flavors`} value={flavor ?? null} data={flavors} onChange={(value) => go({ flavor: value ?? undefined })} />
      </Group>
      {query.isError && <ProblemAlert error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Skeleton height={260} />}
      {query.data && <Picture {...query.data} locale={i18n.locale} />}
    </Stack>
  );
}

function Picture({ rows, isWhole, locale }: Read & { locale: string }) {
  const { t } = useLingui();
  const hours = useMemo(() => everyHour(sums(rows, ({ hour }) => hour)), [rows]);
  const [all] = sums(rows, () => "all");
  if (!all) return <Empty title={<Trans>No capacity is known of this time</Trans>}><Trans>It is counted each hour, from the log of the cards that come and go.</Trans></Empty>;
  const text = (milliSeconds: number) => `${formatHours(Math.round(hoursOf(milliSeconds)), locale)} (${formatPercent((100 * milliSeconds) / Math.max(1, all.capacity), locale)})`;
  return (
    <>
      {!isWhole && <Notice tone="warning"><Trans>There is more than is shown: choose a site, a flavor or a shorter time.</Trans></Notice>}
      <Text size="sm"><Trans>{formatHours(Math.round(hoursOf(all.capacity)), locale)} hours of cards</Trans>, <Plural value={hours.length} one="# hour" other="# hours" /></Text>
      <PartsBar
        parts={[
          { name: t`worked`, className: "aq-busy", amount: all.work, text: text(all.work) },
          { name: t`held without proof`, className: "aq-held", amount: all.reserved, text: text(all.reserved) },
          { name: t`idle`, className: "aq-idle", amount: all.idle, text: text(all.idle) },
        ]}
      />
      <Suspense fallback={<Skeleton height={220} />}><CapacityChart hours={hours} /></Suspense>
      <BySite found={sums(rows, (row) => `${row.site}\n${row.flavor}`)} locale={locale} />
    </>
  );
}

function BySite({ found, locale }: { found: Sum[]; locale: string }) {
  const { t } = useLingui();
  const share = (part: number, sum: Sum) => formatPercent((100 * part) / Math.max(1, sum.capacity), locale);
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard
    <div className="aq-scroll" role="region" aria-label={t`Capacity by site and flavor`} tabIndex={0}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t`Site`}</Table.Th>
            <Table.Th>{t`Flavor`}</Table.Th>
            <Table.Th ta="right">{t`Hours of cards`}</Table.Th>
            <Table.Th ta="right">{t`Worked`}</Table.Th>
            <Table.Th ta="right">{t`Held without proof`}</Table.Th>
            <Table.Th ta="right">{t`Idle`}</Table.Th>
            <Table.Th ta="right">{t`Claimed twice`}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {found.map((sum) => {
            const [site, flavor] = sum.key.split("\n");
            return (
              <Table.Tr key={sum.key}>
                <Table.Td>{site}</Table.Td>
                <Table.Td><span className="aq-nowrap">{flavor}</span></Table.Td>
                <Table.Td ta="right">{formatHours(hoursOf(sum.capacity), locale)}</Table.Td>
                <Table.Td ta="right">{share(sum.work, sum)}</Table.Td>
                <Table.Td ta="right">{share(sum.reserved, sum)}</Table.Td>
                <Table.Td ta="right">{share(sum.idle, sum)}</Table.Td>
                <Table.Td ta="right">{sum.contested > 0 ? formatHours(hoursOf(sum.contested), locale) : "–"}</Table.Td>
              </Table.Tr>
            );
          })}
        </Table.Tbody>
      </Table>
    </div>
  );
}
