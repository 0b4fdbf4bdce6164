import { Trans, useLingui } from "@lingui/react/macro";
import { Badge, Stack, Text } from "@mantine/core";
import { IconBuildingCommunity } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import type { Tenant } from "~/api/__generated__";
import { projectsListOptions, quotasListOptions, tenantsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { VerbMenu } from "~/parts/Verbs";
import { StateCell } from "~/parts/words";
import { Empty, PageHead, Panel } from "~/ui/Panel";
import { QuotaBar } from "./QuotaBar";
import { tenantQuotas } from "./sum-quotas";
import { TENANT_VERBS } from "./verbs";

const query = { ...tenantsListInfiniteOptions({ query: { limit: 50 } }), ...byCursor };

export function TenantsPage() {
  const { t } = useLingui();
  const tenants = useInfiniteQuery(query);
  const columns: Column<Tenant>[] = [
    {
      key: "name",
      header: t`Tenant`,
      cell: (row) => (
        <>
          <AppLink path={pb.tenant(row.id)} fw={600}>{row.name}</AppLink>{" "}
          {row.is_demo && <Badge size="xs" variant="default"><Trans>demo</Trans></Badge>}
          <Text size="xs" c="dimmed">{row.slug}</Text>
        </>
      ),
    },
    { key: "state", header: t`State`, cell: (row) => <StateCell noun="tenant" of={row} withAge={false} /> },
    { key: "projects", header: t`Projects`, cell: (row) => <Projects tenant={row.id} /> },
    { key: "quota", header: t`Quota`, cell: (row) => <TenantQuota tenant={row.id} /> },
    { key: "verbs", header: <span className="aq-hidden">{t`Actions`}</span>, cell: (row) => <VerbMenu noun="tenant" thing={row} verbs={TENANT_VERBS} /> },
  ];
  return (
    <Stack>
      <PageHead title={t`Tenants`} />
      <Panel>
        <QueryTable
          query={tenants}
          columns={columns}
          rowKey={(row) => row.id}
          label={t`Tenants`}
          empty={
            <Empty icon={<IconBuildingCommunity size={32} aria-hidden />} title={<Trans>No tenants yet</Trans>}>
              <Trans>A tenant owns projects, holds quota and is billed. The first one is made through the API: POST /api/v1/tenants.</Trans>
            </Empty>
          }
        />
      </Panel>
    </Stack>
  );
}

function Projects({ tenant }: { tenant: string }) {
  const projects = useQuery(projectsListOptions({ query: { tenant, limit: 50 } }));
  const names = projects.data?.results ?? [];
  return (
    <Text size="sm" maw={260}>
      {names.slice(0, 6).map((project, at) => (
        <span key={project.id}>
          {at > 0 && ", "}
          <AppLink path={pb.workloads({ project: project.id })}>{project.name}</AppLink>
        </span>
      ))}
      {names.length > 6 && " …"}
      {projects.data && names.length === 0 && "–"}
    </Text>
  );
}

const MOST_BARS = 3;

function TenantQuota({ tenant }: { tenant: string }) {
  const query = useQuery(quotasListOptions({ query: { tenant, limit: 200 } }));
  const quotas = tenantQuotas(query.data?.results ?? []);
  if (query.data && quotas.length === 0) return <Text size="sm" c="dimmed"><Trans>none</Trans></Text>;
  return (
    <Stack gap={6}>
      {quotas.slice(0, MOST_BARS).map((quota) => <QuotaBar key={quota.flavor} quota={quota} />)}
      {quotas.length > MOST_BARS && <AppLink path={pb.tenant(tenant)} size="xs"><Trans>and {quotas.length - MOST_BARS} more</Trans></AppLink>}
    </Stack>
  );
}
