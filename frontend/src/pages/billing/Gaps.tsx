/** Where proof is missing: work whose site was silent, of which nothing is billed before it is proven. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Group, SegmentedControl, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { UsageGap } from "~/api/__generated__";
import { usageGapsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMilli, formatPercent } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { formatLength, formatMoment } from "~/lib/time";
import { AppLink, splitPath } from "~/parts/AppLink";
import { FilterPills } from "~/parts/FilterPills";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { useNow } from "~/ui/now";
import { Empty } from "~/ui/Panel";
import { StateMark } from "~/ui/StateMark";
import { useTenants } from "./choices";

export function Gaps() {
  const { t, i18n } = useLingui();
  const navigate = useNavigate();
  const { state, site } = useSearch({ strict: false });
  const { nameOf } = useTenants();
  const now = useNow();
  const isOpen = state === "open" ? true : state === "ended" ? false : undefined;
  const gaps = useInfiniteQuery({ ...usageGapsListInfiniteOptions({ query: { limit: 100, is_open: isOpen, site } }), ...byCursor });
  const path = (changed: { state?: string; site?: string }) => pb.billing({ tab: "gaps", state, site, ...changed });
  const columns: Column<UsageGap>[] = [
    { key: "work", header: t`Work`, cell: (row) => <><AppLink path={pb.workload(row.workload)}>{t`the workload`}</AppLink><Text size="xs" c="dimmed">{nameOf(row.tenant)}</Text></> },
    { key: "place", header: t`Where`, cell: (row) => <><AppLink path={path({ site: row.site })}>{row.site}</AppLink><Text size="xs" c="dimmed">{row.cluster} · {row.node}</Text></> },
    { key: "held", header: t`Held`, cell: (row) => <span className="aq-nowrap">{formatMilli(row.held_milli, i18n.locale)} × {row.flavor}</span> },
    { key: "from", header: t`Last proof`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.start_at, i18n.locale)}</span> },
    {
      key: "to",
      header: t`Proof again`,
      cell: (row) => (row.end_at ? <span className="aq-nowrap">{formatMoment(row.end_at, i18n.locale)}</span> : <StateMark tone="warning" label={t`still silent`} />),
    },
    { key: "length", header: t`For`, align: "right", cell: (row) => <span className="aq-nowrap">{formatLength(secondsOf(row, now), i18n.locale)}</span> },
    {
      key: "proven",
      header: t`Proven since`,
      align: "right",
      cell: (row) => (row.proven_seconds == null ? "–" : <><span className="aq-nowrap">{formatLength(row.proven_seconds, i18n.locale)}</span><Text size="xs" c="dimmed">{formatPercent((100 * row.proven_seconds) / Math.max(1, secondsOf(row, now)), i18n.locale)}</Text></>),
    },
  ];
  return (
    <>
      <Group justify="space-between" mb="xs">
        <SegmentedControl
          size="xs"
          aria-label={t`Which gaps`}
          value={isOpen === undefined ? "all" : state ?? "all"}
          onChange={(value) => void navigate({ ...splitPath(path({ state: value === "all" ? undefined : value })), replace: true })}
          data={[{ value: "all", label: t`All` }, { value: "open", label: t`Still silent` }, { value: "ended", label: t`Ended` }]}
        />
        <Text size="sm" c="dimmed"><Trans>Nothing in a gap is billed until it is proven.</Trans></Text>
      </Group>
      <FilterPills filters={[site && { label: site, path: path({ site: undefined }) }]} />
      <QueryTable query={gaps} columns={columns} rowKey={(row) => row.id} label={t`Gaps in proof`} empty={<Empty title={<Trans>No gaps</Trans>}><Trans>All that ran is proven.</Trans></Empty>} />
    </>
  );
}

const secondsOf = (gap: UsageGap, now: number) => ((gap.end_at ? Date.parse(gap.end_at) : now) - Date.parse(gap.start_at)) / 1000;
