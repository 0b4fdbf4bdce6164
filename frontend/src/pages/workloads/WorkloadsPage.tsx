import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Group, Select, Stack, Text, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconPlus, IconSearch, IconStack2 } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { Workload } from "~/api/__generated__";
import { poolsListOptions, projectsListOptions, workloadsCountsOptions, workloadsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { formatMilli } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { onlyState, WORKLOAD_KINDS, WORKLOAD_STATES } from "~/lib/words";
import { AppLink, LinkButton, splitPath } from "~/parts/AppLink";
import { FilterPills } from "~/parts/FilterPills";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { StateTabs } from "~/parts/StateTabs";
import { VerbMenu } from "~/parts/Verbs";
import { StateCell, useReason, useWord } from "~/parts/words";
import { Age } from "~/ui/Age";
import { Empty, PageHead, Panel } from "~/ui/Panel";
import { WORKLOAD_VERBS } from "./verbs";

export function WorkloadsPage() {
  const { t } = useLingui();
  const can = useCan();
  const reason = useReason();
  const navigate = useNavigate();
  const search = useSearch({ strict: false });
  const filters = { state: search.state, reason: search.reason, project: search.project, pool: search.pool, tenant: search.tenant, name: search.name };
  const go = (changed: Partial<typeof filters>) => void navigate({ ...splitPath(pb.workloads({ ...filters, ...changed })), replace: true });
  const searchFor = useDebouncedCallback((text: string) => go({ name: text }), 300);
  const { state, ...others } = filters;
  const counts = useQuery(workloadsCountsOptions({ query: others }));
  const projects = useQuery(projectsListOptions({ query: { limit: 200 } }));
  const pools = useQuery(poolsListOptions({ query: { limit: 200 } }));
  const workloads = useInfiniteQuery({ ...workloadsListInfiniteOptions({ query: { ...others, state: onlyState(WORKLOAD_STATES, state), limit: 50 } }), ...byCursor });
  const isFiltered = Object.values(filters).some(Boolean);
  const create = can("workload.create") && <LinkButton path={pb.workloadNew()} leftSection={<IconPlus size={16} />}><Trans>New workload</Trans></LinkButton>;
  return (
    <Stack>
      <PageHead title={t`Workloads`} aside={create} />
      <Panel>
        <StateTabs
          noun="workload"
          states={Object.keys(WORKLOAD_STATES)}
          current={filters.state}
          counts={counts.data && Object.fromEntries(counts.data.map((each) => [each.state, each.count]))}
          path={(state) => pb.workloads({ ...filters, state })}
        />
        <Group gap="xs" mb="xs">
          <TextInput size="xs" w={220} aria-label={t`Search by name`} placeholder={t`Search by name`} leftSection={<IconSearch size={14} />} defaultValue={filters.name} onChange={(event) => searchFor(event.currentTarget.value)} />
          <Select size="xs" w={180} clearable searchable aria-label={t`Project`} placeholder={t`Project`} value={filters.project ?? null} onChange={(project) => go({ project: project ?? undefined })} data={projects.data?.results.map((project) => ({ value: project.id, label: project.name })) ?? []} />
          <Select size="xs" w={180} clearable searchable aria-label={t`Pool`} placeholder={t`Pool`} value={filters.pool ?? null} onChange={(pool) => go({ pool: pool ?? undefined })} data={pools.data?.results.map((pool) => ({ value: pool.id, label: pool.name })) ?? []} />
        </Group>
        <FilterPills
          filters={[
            filters.reason && { label: reason(filters.reason), path: pb.workloads({ ...filters, reason: undefined }) },
            filters.tenant && { label: t`one tenant`, path: pb.workloads({ ...filters, tenant: undefined }) },
          ]}
        />
        <WorkloadTable
          query={workloads}
          empty={
            isFiltered ? (
              <Empty title={<Trans>No workload fits these filters</Trans>}><AppLink path={pb.workloads()}><Trans>Show all workloads</Trans></AppLink></Empty>
            ) : (
              <Empty icon={<IconStack2 size={32} aria-hidden />} title={<Trans>No workloads yet</Trans>}>
                <Trans>A workload is something to run: say what it needs, and it is placed where that is free.</Trans> {create}
              </Empty>
            )
          }
        />
      </Panel>
    </Stack>
  );
}

type Query = Parameters<typeof QueryTable<Workload>>[0]["query"];

function WorkloadTable({ query, empty }: { query: Query; empty: React.ReactNode }) {
  const { t } = useLingui();
  const word = useWord();
  const columns: Column<Workload>[] = [
    {
      key: "name",
      header: t`Name`,
      cell: (row) => (
        <>
          <AppLink path={pb.workload(row.id)} fw={600}>{row.name}</AppLink>
          <Text size="xs" c="dimmed">{row.tenant_name} · {row.project_name}</Text>
        </>
      ),
    },
    { key: "state", header: t`State`, cell: (row) => <StateCell noun="workload" of={row} /> },
    { key: "kind", header: t`Kind`, cell: (row) => <span className="aq-nowrap">{word(WORKLOAD_KINDS, row.kind)}</span> },
    { key: "wants", header: t`Wants`, cell: (row) => <Wants workload={row} /> },
    { key: "pool", header: t`Pool`, cell: (row) => row.pool_name },
    { key: "queued", header: t`Submitted`, cell: (row) => <span className="aq-nowrap"><Age at={row.created_at} /></span> },
    { key: "verbs", header: <span className="aq-hidden">{t`Actions`}</span>, cell: (row) => <VerbMenu noun="workload" thing={row} verbs={WORKLOAD_VERBS} /> },
  ];
  return <QueryTable query={query} columns={columns} rowKey={(row) => row.id} label={t`Workloads`} empty={empty} />;
}

/** What it asks for, in one line: "2 × 4 H100", "0.5 card", "8 cores". */
export function Wants({ workload }: { workload: Pick<Workload, "replicas" | "accelerators" | "accelerator_milli" | "model_names" | "cpu_milli"> }) {
  const { i18n } = useLingui();
  const cards = (workload.accelerators * workload.accelerator_milli) / 1000;
  const models = workload.model_names.join(" / ");
  const members = workload.replicas > 1 ? `${workload.replicas} × ` : "";
  return (
    <span className="aq-nowrap">
      {members}
      {workload.accelerators === 0 ? (
        <Plural value={workload.cpu_milli / 1000} one="# core" other="# cores" />
      ) : models ? (
        `${formatMilli(cards * 1000, i18n.locale)} ${models}`
      ) : (
        <Plural value={cards} one="# card" other="# cards" />
      )}
    </span>
  );
}
