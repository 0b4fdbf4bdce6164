import { useLingui } from "@lingui/react/macro";
import { Skeleton, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { clustersRetrieveOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { pb } from "~/lib/path-builder";
import { CLUSTER_KINDS } from "~/lib/words";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { VerbButtons } from "~/parts/Verbs";
import { StateCell, useWord } from "~/parts/words";
import { Age } from "~/ui/Age";
import { Facts } from "~/ui/Facts";
import { PageHead, Panel } from "~/ui/Panel";
import { ClusterFigures } from "./ClusterFigures";
import { ConnectionPanel } from "./ConnectionPanel";
import { Freshness } from "./Freshness";
import { NodesTable } from "./NodesTable";
import { CLUSTER_VERBS } from "./verbs";

/** That it is followed live is known for seconds only, and no event tells it. */
const READ_AGAIN_MS = 10_000;

export function ClusterPage() {
  const { t } = useLingui();
  const { id } = useParams({ from: "/inside/clusters/$id" });
  const word = useWord();
  const query = useQuery({ ...clustersRetrieveOptions({ path: { id } }), refetchInterval: READ_AGAIN_MS });
  if (query.isError && !query.data) return <ProblemAlert error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Skeleton height={200} />;
  const cluster = query.data;
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
            [t`Inventory`, <Freshness key="inventory" cluster={cluster} />],
            [t`Figures`, <Age key="figures" at={cluster.figures_at} staleAfterSeconds={30} />],
            [t`Version`, cluster.site_version || "–"],
            [t`Epoch`, cluster.epoch],
          ]}
        />
        {cluster.message && <Text size="sm" mt="sm">{cluster.message}</Text>}
      </Panel>
      {cluster.driver === "kubernetes" && <ConnectionPanel cluster={cluster} />}
      <ClusterFigures cluster={id} />
      <NodesTable cluster={id} />
    </Stack>
  );
}
