import { Trans, useLingui } from "@lingui/react/macro";
import { Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { Pool } from "~/api/__generated__";
import { clustersListOptions, workloadsCountsOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { formatCount } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { STATES } from "~/lib/words";
import { AppLink } from "~/parts/AppLink";
import { useOrderWords, usePolicyWords } from "~/parts/policies";
import { useStateWord } from "~/parts/words";
import { Facts } from "~/ui/Facts";
import { Panel } from "~/ui/Panel";
import { StateMark } from "~/ui/StateMark";
import { PoolFrame } from "./frame";
import { PlacementForm } from "./PlacementForm";

export function PoolPage() {
  const { id } = useParams({ from: "/inside/pools/$id" });
  const can = useCan();
  return (
    <PoolFrame id={id} tab="pool">
      {(pool) => (
        <div className="aq-two">
          {/* A form of another version is another form: what was typed into an old one does not go over a newer one unseen. */}
          {can("pool.edit") ? <PlacementForm key={`${pool.id} ${pool.version}`} pool={pool} /> : <Placement pool={pool} />}
          <Stack>
            <Panel title={<Trans>Work</Trans>}><Work pool={pool} /></Panel>
            <Panel title={<Trans>What it is made of</Trans>}><Parts pool={pool} /></Panel>
          </Stack>
        </div>
      )}
    </PoolFrame>
  );
}

/** For those who may look and not change. */
function Placement({ pool }: { pool: Pool }) {
  const policy = usePolicyWords()(pool.policy);
  const order = useOrderWords()(pool.queue_order);
  return (
    <Panel title={<Trans>How work is placed</Trans>}>
      <Text fw={600} size="sm">{policy.title}</Text>
      <Text size="sm" c="dimmed">{policy.description}</Text>
      <Text fw={600} size="sm" mt="md"><Trans>Order of the queue</Trans>: {order.title}</Text>
      <Text size="sm" c="dimmed">{order.description}</Text>
    </Panel>
  );
}

function Work({ pool }: { pool: Pool }) {
  const { i18n } = useLingui();
  const word = useStateWord();
  const counts = useQuery(workloadsCountsOptions({ query: { pool: pool.id } }));
  const shown = counts.data?.filter((each) => each.count > 0) ?? [];
  if (counts.data && shown.length === 0) return <Text size="sm" c="dimmed"><Trans>No work has been sent here yet.</Trans></Text>;
  return (
    <Stack gap={6}>
      {shown.map((each) => (
        <Group key={each.state} justify="space-between" wrap="nowrap">
          <AppLink path={pb.workloads({ pool: pool.id, state: each.state })}><StateMark tone={STATES.workload?.[each.state]?.tone ?? "waiting"} label={word("workload", each.state)} /></AppLink>
          <Text size="sm" fw={600}>{formatCount(each.count, i18n.locale)}</Text>
        </Group>
      ))}
    </Stack>
  );
}

function Parts({ pool }: { pool: Pool }) {
  const { t } = useLingui();
  const clusters = useQuery(clustersListOptions({ query: { limit: 200 } }));
  const own = clusters.data?.results.filter((each) => pool.clusters.includes(each.id)) ?? [];
  return (
    <Facts
      items={[
        [
          t`Clusters`,
          pool.clusters.length === 0 ? (
            <Trans key="all">all there are</Trans>
          ) : (
            <Stack key="some" gap={6}>{own.map((each) => <AppLink key={each.id} path={pb.cluster(each.id)}>{each.name} · {each.site_name}</AppLink>)}</Stack>
          ),
        ],
        [t`Models`, pool.model_names.join(", ") || <Trans key="any">any, and nodes without accelerators too</Trans>],
        [t`Short name`, pool.slug],
      ]}
    />
  );
}
