/** Nodes that are virtual machines on other nodes: what a node is inside of, and what is inside of it. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Group, Skeleton, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Host, Node } from "~/api/__generated__";
import { nodesListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMemory, formatMilli } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { StateCell, useReason } from "~/parts/words";

/** Below the name of a node, where there is anything to say. */
export function Nesting({ node }: { node: Node }) {
  const reason = useReason();
  return (
    <>
      {node.host && <Text size="xs" c="dimmed" maw={320}><Trans>in a VM on <HostLink host={node.host} /></Trans></Text>}
      {node.outer_hosts.map((outer) => (
        <Text key={outer.id} size="xs" c="dimmed" maw={320}><Trans>that is in a VM on <HostLink host={outer} /></Trans></Text>
      ))}
      {node.guests > 0 && <Text size="xs" c="dimmed"><Plural value={node.guests} one="hosts # node" other="hosts # nodes" /></Text>}
      {node.host_problem && <Text size="xs" c="dimmed" maw={320}>{reason(node.host_problem)}</Text>}
    </>
  );
}

function HostLink({ host }: { host: Host }) {
  return (
    <>
      <AppLink path={pb.cluster(host.cluster, { node: host.id })} size="xs">{host.name}</AppLink>
      {` (${host.site_name})`}
    </>
  );
}

/** The nodes inside of a host, above its devices. */
export function Guests({ node }: { node: Node }) {
  const { i18n } = useLingui();
  const guests = useQuery({ ...nodesListOptions({ query: { host: node.id, limit: 200 } }), enabled: node.guests > 0 });
  if (node.guests === 0) return null;
  if (guests.isError && !guests.data) return <ProblemAlert error={guests.error} retry={() => void guests.refetch()} />;
  if (!guests.data) return <Skeleton height={24} />;
  const cores = formatMilli(node.nested_cpu_milli, i18n.locale);
  const memory = formatMemory(node.nested_memory_mib, i18n.locale);
  return (
    <Stack gap={2} mb="sm">
      <Text size="sm"><Trans>Nodes inside: {cores} cores and {memory} of this one are theirs, and count once</Trans></Text>
      {guests.data.results.map((guest) => (
        <Group key={guest.id} gap="xs">
          <AppLink path={pb.cluster(guest.cluster, { node: guest.id })}>{guest.name}</AppLink>
          <Text size="xs" c="dimmed">{guest.cluster_name}</Text>
          <StateCell noun="node" of={guest} withAge={false} />
        </Group>
      ))}
    </Stack>
  );
}
