/** The nodes of a cluster: open or closed and why, what is held, and below each its devices. */
import { Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Group, Skeleton, Stack, Text } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { Node } from "~/api/__generated__";
import { nodesListInfiniteOptions, nodesRetrieveOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMemory, formatMilli } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { AppLink, splitPath } from "~/parts/AppLink";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { VerbMenu } from "~/parts/Verbs";
import { StateCell } from "~/parts/words";
import { Empty, Panel } from "~/ui/Panel";
import { Amount } from "./Amount";
import { NodeCards } from "./ClusterCards";
import { NodeDevices } from "./NodeDevices";
import { Guests, Nesting } from "./Nesting";
import { NodePower } from "./NodePower";
import { NODE_VERBS } from "./verbs";

export function NodesTable({ cluster: id }: { cluster: string }) {
  const { t, i18n } = useLingui();
  const navigate = useNavigate();
  const { node: opened } = useSearch({ strict: false });
  const nodes = useInfiniteQuery({ ...nodesListInfiniteOptions({ query: { cluster: id, limit: 100 } }), ...byCursor });
  const isListed = nodes.data?.pages.some((page) => page.results.some((row) => row.id === opened));
  const toggle = (node: string) => void navigate({ ...splitPath(pb.cluster(id, { node: node === opened ? undefined : node })), replace: true, resetScroll: false });
  const columns: Column<Node>[] = [
    {
      key: "name",
      header: t`Node`,
      cell: (row) => (
        <Group gap={4} wrap="nowrap" align="flex-start">
          <ActionIcon variant="subtle" color="gray" size="sm" aria-expanded={row.id === opened} aria-label={t`Devices of ${row.name}`} onClick={() => toggle(row.id)}>
            {row.id === opened ? <IconChevronDown size={16} /> : <IconChevronRight size={16} />}
          </ActionIcon>
          <div>
            <Text size="sm" fw={600}>{row.name}</Text>
            {row.rack && <Text size="xs" c="dimmed">{row.rack}</Text>}
            <Nesting node={row} />
          </div>
        </Group>
      ),
    },
    {
      key: "state",
      header: t`State`,
      cell: (row) => (
        <>
          <StateCell noun="node" of={row} withAge={false} />
          {row.message && <Text size="xs" c="dimmed" maw={320}>{row.message}</Text>}
        </>
      ),
    },
    {
      key: "cards",
      header: t`Cards held`,
      align: "right",
      cell: (row) => <AppLink path={pb.allocations({ node: row.id })}><NodeCards cluster={id} node={row.id} /></AppLink>,
    },
    {
      key: "cpu",
      header: t`Cores held`,
      align: "right",
      cell: (row) => <Amount held={row.held_cpu_milli} others={row.foreign_cpu_milli} all={row.cpu_milli} text={(milli) => formatMilli(milli, i18n.locale)} />,
    },
    {
      key: "memory",
      header: t`Memory held`,
      align: "right",
      cell: (row) => <Amount held={row.held_memory_mib} others={row.foreign_memory_mib} all={row.memory_mib} text={(mib) => formatMemory(mib, i18n.locale)} />,
    },
    { key: "verbs", header: <span className="aq-hidden">{t`Actions`}</span>, cell: (row) => <VerbMenu noun="node" thing={row} verbs={NODE_VERBS} /> },
  ];
  return (
    <Stack>
      {opened && nodes.data && !isListed && <OneNode id={opened} />}
      <Panel title={<Trans>Nodes</Trans>}>
        <QueryTable
          query={nodes}
          columns={columns}
          rowKey={(row) => row.id}
          label={t`Nodes`}
          detail={(row) => row.id === opened && <Inside node={row} />}
          empty={<Empty title={<Trans>No nodes yet</Trans>}><Trans>They appear with the first inventory the site sends.</Trans></Empty>}
        />
      </Panel>
    </Stack>
  );
}

/** A link leads to a node that the list has not come to yet. */
function OneNode({ id }: { id: string }) {
  const node = useQuery(nodesRetrieveOptions({ path: { id } }));
  if (node.isError) return null;
  return (
    <Panel title={node.data?.name}>
      {node.data ? (
        <>
          <Nesting node={node.data} />
          <Inside node={node.data} />
        </>
      ) : <Skeleton height={80} />}
    </Panel>
  );
}

function Inside({ node }: { node: Node }) {
  return (
    <>
      <Guests node={node} />
      <NodeDevices node={node.id} name={node.name} />
      <NodePower node={node} />
    </>
  );
}
