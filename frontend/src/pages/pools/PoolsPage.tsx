/** The pools: where work queues, over which clusters, and how it is placed. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Stack, Text } from "@mantine/core";
import { IconStack2 } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import type { Pool } from "~/api/__generated__";
import { poolsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { useOrderWords, usePolicyWords } from "~/parts/policies";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { Empty, PageHead, Panel } from "~/ui/Panel";

const query = { ...poolsListInfiniteOptions({ query: { limit: 100 } }), ...byCursor };

export function PoolsPage() {
  const { t } = useLingui();
  const can = useCan();
  const policy = usePolicyWords();
  const order = useOrderWords();
  const pools = useInfiniteQuery(query);
  const columns: Column<Pool>[] = [
    {
      key: "name",
      header: t`Pool`,
      cell: (row) => (
        <>
          <AppLink path={pb.pool(row.id)} fw={600}>{row.name}</AppLink>
          <Text size="xs" c="dimmed">{row.slug}</Text>
        </>
      ),
    },
    { key: "clusters", header: t`Clusters`, cell: (row) => (row.clusters.length === 0 ? <Trans>all</Trans> : <Plural value={row.clusters.length} one="# cluster" other="# clusters" />) },
    { key: "models", header: t`Models`, cell: (row) => row.model_names.join(", ") || <Trans>any</Trans> },
    { key: "policy", header: t`Placement`, cell: (row) => policy(row.policy).title },
    { key: "order", header: t`Order of the queue`, cell: (row) => order(row.queue_order).title },
    { key: "waiting", header: t`Queue`, cell: (row) => <AppLink path={pb.workloads({ pool: row.id, state: "queued" })}><Trans>See what waits</Trans></AppLink> },
    ...(can("pool.edit") ? [{ key: "what-if", header: t`What if`, cell: (row: Pool) => <AppLink path={pb.poolWhatIf(row.id)}><Trans>Try a change</Trans></AppLink> }] : []),
  ];
  return (
    <Stack>
      <PageHead title={t`Pools`} />
      <Panel>
        <QueryTable
          query={pools}
          columns={columns}
          rowKey={(row) => row.id}
          label={t`Pools`}
          empty={
            <Empty icon={<IconStack2 size={32} aria-hidden />} title={<Trans>No pools yet</Trans>}>
              <Trans>A pool is where work queues, over one or many clusters. Make one through the API: POST /api/v1/pools.</Trans>
            </Empty>
          }
        />
      </Panel>
    </Stack>
  );
}
