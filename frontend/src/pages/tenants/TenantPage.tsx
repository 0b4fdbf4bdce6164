import { Trans, useLingui } from "@lingui/react/macro";
import { Skeleton, Stack, Text } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { Project, Quota } from "~/api/__generated__";
import { projectsListInfiniteOptions, quotasListOptions, tenantsRetrieveOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { VerbButtons } from "~/parts/Verbs";
import { StateCell } from "~/parts/words";
import { Age } from "~/ui/Age";
import { Empty, PageHead, Panel } from "~/ui/Panel";
import { QuotaBar } from "./QuotaBar";
import { TENANT_VERBS } from "./verbs";

export function TenantPage() {
  const { t } = useLingui();
  const { id } = useParams({ from: "/inside/tenants/$id" });
  const query = useQuery(tenantsRetrieveOptions({ path: { id } }));
  const projects = useInfiniteQuery({ ...projectsListInfiniteOptions({ query: { tenant: id, limit: 100 } }), ...byCursor });
  const quotas = useQuery(quotasListOptions({ query: { tenant: id, limit: 200 } }));
  if (query.isError && !query.data) return <ProblemAlert error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Skeleton height={200} />;
  const tenant = query.data;
  const ofProject = (project: string | null) => (quotas.data?.results ?? []).filter((quota) => quota.project === project);
  const columns: Column<Project>[] = [
    {
      key: "name",
      header: t`Project`,
      cell: (row) => (
        <>
          <Text size="sm" fw={600}>{row.name}</Text>
          <Text size="xs" c="dimmed">{row.slug}</Text>
        </>
      ),
    },
    { key: "quota", header: t`Quota`, cell: (row) => <Bars quotas={ofProject(row.id)} /> },
    { key: "workloads", header: t`Workloads`, cell: (row) => <AppLink path={pb.workloads({ project: row.id })}><Trans>See its workloads</Trans></AppLink> },
    { key: "made", header: t`Made`, cell: (row) => <span className="aq-nowrap"><Age at={row.created_at} /></span> },
  ];
  return (
    <Stack>
      <PageHead title={tenant.name} aside={<VerbButtons noun="tenant" thing={tenant} verbs={TENANT_VERBS} />}>
        <StateCell noun="tenant" of={tenant} />
      </PageHead>
      <Panel title={<Trans>Quota of the tenant</Trans>}>
        {quotas.isError ? <ProblemAlert error={quotas.error} retry={() => void quotas.refetch()} /> : <Bars quotas={ofProject(null)} />}
      </Panel>
      <Panel title={<Trans>Projects</Trans>}>
        <QueryTable
          query={projects}
          columns={columns}
          rowKey={(row) => row.id}
          label={t`Projects`}
          empty={<Empty title={<Trans>No projects yet</Trans>}><Trans>Work is submitted in a project. Make one through the API: POST /api/v1/projects.</Trans></Empty>}
        />
      </Panel>
    </Stack>
  );
}

function Bars({ quotas }: { quotas: Quota[] }) {
  if (quotas.length === 0) return <Text size="sm" c="dimmed"><Trans>No quota of its own.</Trans></Text>;
  return <div className="aq-quotas">{quotas.map((quota) => <QuotaBar key={quota.id} quota={quota} />)}</div>;
}
