import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Group, Stack, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import type { Allocation } from "~/api/__generated__";
import { allocationsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMilli } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { ALLOCATION_STATES, onlyState } from "~/lib/words";
import { AppLink } from "~/parts/AppLink";
import { FilterPills } from "~/parts/FilterPills";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { StateTabs } from "~/parts/StateTabs";
import { VerbMenu } from "~/parts/Verbs";
import { StateCell } from "~/parts/words";
import { Age } from "~/ui/Age";
import { Empty, PageHead, Panel } from "~/ui/Panel";
import { IN_PLACE } from "./verbs";

export function AllocationsPage() {
  const { t } = useLingui();
  const { state, cluster, node, workload, tenant } = useSearch({ strict: false });
  const filters = { state, cluster, node, workload, tenant };
  const allocations = useInfiniteQuery({ ...allocationsListInfiniteOptions({ query: { ...filters, state: onlyState(ALLOCATION_STATES, state), limit: 100 } }), ...byCursor });
  return (
    <Stack>
      <PageHead title={t`Allocations`}>
        <Text size="sm" c="dimmed"><Trans>Which cards and cores are held, by what. Everything not released holds hardware, the lost too.</Trans></Text>
      </PageHead>
      <Panel>
        <StateTabs states={Object.keys(ALLOCATION_STATES)} noun="allocation" current={state} path={(value) => pb.allocations({ ...filters, state: value })} />
        <FilterPills
          filters={[
            cluster && { label: t`one site`, path: pb.allocations({ ...filters, cluster: undefined }) },
            node && { label: t`one node`, path: pb.allocations({ ...filters, node: undefined }) },
            workload && { label: t`one workload`, path: pb.allocations({ ...filters, workload: undefined }) },
            tenant && { label: t`one tenant`, path: pb.allocations({ ...filters, tenant: undefined }) },
          ]}
        />
        <AllocationTable query={allocations} />
      </Panel>
    </Stack>
  );
}

type Query = Parameters<typeof QueryTable<Allocation>>[0]["query"];

/** On a workload's own page its name would stand in each row. */
export function AllocationTable({ query, withWorkload = true }: { query: Query; withWorkload?: boolean }) {
  const { t, i18n } = useLingui();
  const columns: Column<Allocation>[] = [
    {
      key: "workload",
      header: t`Workload`,
      cell: (row) => (
        <>
          <AppLink path={pb.workload(row.workload)} fw={600}>{row.workload_name}</AppLink>
          <Text size="xs" c="dimmed">{row.tenant_name}</Text>
        </>
      ),
    },
    { key: "state", header: t`State`, cell: (row) => <StateCell noun="allocation" of={row} /> },
    {
      key: "place",
      header: t`Where`,
      cell: (row) => (
        <>
          <AppLink path={pb.cluster(row.cluster)}>{row.cluster_name}</AppLink>
          <Text size="xs" c="dimmed">{row.node_name}</Text>
        </>
      ),
    },
    {
      key: "cards",
      header: t`Cards`,
      cell: (row) =>
        row.shares.length ? (
          <Group gap={4}>
            <Text size="sm">{row.shares[0]?.model}</Text>
            <Text size="sm" c="dimmed">
              {row.shares.map((share) => `#${share.index}${share.milli < 1000 ? ` (${formatMilli(share.milli, i18n.locale)})` : ""}`).join(" ")}
            </Text>
          </Group>
        ) : (
          <Text size="sm" c="dimmed"><Plural value={row.cpu_milli / 1000} one="# core" other="# cores" /></Text>
        ),
    },
    { key: "proof", header: t`Last proof`, cell: (row) => <span className="aq-nowrap"><Age at={row.proof_at} /></span> },
    { key: "started", header: t`Started`, cell: (row) => <span className="aq-nowrap"><Age at={row.started_at} never="–" /></span> },
    {
      key: "verbs",
      header: <span className="aq-hidden">{t`Actions`}</span>,
      // Many kinds of site can do nothing in place: then there is no menu of things that are never possible.
      cell: (row) => IN_PLACE.some((verb) => row.actions.includes(verb.name)) && <VerbMenu noun="allocation" thing={{ ...row, name: `${row.workload_name} ${row.replica}` }} verbs={IN_PLACE} />,
    },
  ];
  return (
    <QueryTable
      query={query}
      columns={withWorkload ? columns : columns.filter((column) => column.key !== "workload")}
      rowKey={(row) => row.id}
      label={t`Allocations`}
      empty={
        <Empty title={<Trans>Nothing is held here</Trans>}>
          <Trans>An allocation appears when a workload has been placed.</Trans>{" "}
          <AppLink path={pb.workloads()}><Trans>See the workloads</Trans></AppLink>
        </Empty>
      }
    />
  );
}
