import { Trans, useLingui } from "@lingui/react/macro";
import { Skeleton, Stack, Text } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { Node } from "~/api/__generated__";
import { clustersRetrieveOptions, nodesListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMemory, formatMilli } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { CLUSTER_KINDS } from "~/lib/words";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { VerbButtons, VerbMenu } from "~/parts/Verbs";
import { StateCell, useWord } from "~/parts/words";
import { Age } from "~/ui/Age";
import { Facts } from "~/ui/Facts";
import { Empty, PageHead, Panel } from "~/ui/Panel";
import { ClusterCards, NodeCards } from "./ClusterCards";
import { CLUSTER_VERBS, NODE_VERBS } from "./verbs";

export function ClusterPage() {
  const { t, i18n } = useLingui();
  const { id } = useParams({ from: "/inside/clusters/$id" });
  const word = useWord();
  const query = useQuery(clustersRetrieveOptions({ path: { id } }));
  const nodes = useInfiniteQuery({ ...nodesListInfiniteOptions({ query: { cluster: id, limit: 100 } }), ...byCursor });
  if (query.isError && !query.data) return <ProblemAlert error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Skeleton height={200} />;
  const cluster = query.data;
  const columns: Column<Node>[] = [
    { key: "name", header: t`Node`, cell: (row) => <><Text size="sm" fw={600}>{row.name}</Text>{row.rack && <Text size="xs" c="dimmed">{row.rack}</Text>}</> },
    { key: "state", header: t`State`, cell: (row) => <StateCell noun="node" of={row} withAge={false} /> },
    {
      key: "cards",
      header: t`Cards held`,
      align: "right",
      cell: (row) => <AppLink path={pb.allocations({ node: row.id })}><NodeCards cluster={id} node={row.id} /></AppLink>,
    },
    { key: "cpu", header: t`Cores held`, align: "right", cell: (row) => `${formatMilli(row.held_cpu_milli, i18n.locale)} / ${formatMilli(row.cpu_milli, i18n.locale)}` },
    { key: "memory", header: t`Memory held`, align: "right", cell: (row) => `${formatMemory(row.held_memory_mib, i18n.locale)} / ${formatMemory(row.memory_mib, i18n.locale)}` },
    { key: "verbs", header: <span className="aq-hidden">{t`Actions`}</span>, cell: (row) => <VerbMenu noun="node" thing={row} verbs={NODE_VERBS} /> },
  ];
  return (
    <Stack>
      <PageHead title={cluster.name} aside={<VerbButtons noun="cluster" thing={cluster} verbs={CLUSTER_VERBS} />}>
        <AppLink path={pb.sites()}>{cluster.site_name}</AppLink>
      </PageHead>
      <Panel>
        <Facts
          items={[
            [t`State`, <StateCell key="state" noun="cluster" of={cluster} />],
            [t`Kind`, word(CLUSTER_KINDS, cluster.kind)],
            [t`Last word`, <Age key="seen" at={cluster.last_seen_at} staleAfterSeconds={40} />],
            [t`Inventory`, <Age key="inventory" at={cluster.inventory_at} />],
            [t`Figures`, <Age key="figures" at={cluster.figures_at} staleAfterSeconds={30} />],
            [t`Version`, cluster.site_version || "–"],
            [t`Epoch`, cluster.epoch],
            [t`Cards`, <ClusterCards key="cards" cluster={cluster.id} />],
          ]}
        />
        {cluster.message && <Text size="sm" mt="sm">{cluster.message}</Text>}
      </Panel>
      <Panel title={<Trans>Nodes</Trans>}>
        <QueryTable
          query={nodes}
          columns={columns}
          rowKey={(row) => row.id}
          label={t`Nodes`}
          empty={<Empty title={<Trans>No nodes yet</Trans>}><Trans>They appear with the first inventory the site sends.</Trans></Empty>}
        />
      </Panel>
    </Stack>
  );
}
