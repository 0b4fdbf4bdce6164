import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { Trans, useLingui } from "@lingui/react/macro";
import { Table, Text } from "@mantine/core";
import { formatCount } from "~/lib/format";
import { useQuery } from "@tanstack/react-query";
import { nodesRetrieveOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useWord } from "~/parts/words";
import { readDecision } from "./decision";

/** What each filter looks for; a node is counted at the first that removes it. */
const FILTERS: Record<string, MessageDescriptor> = {
  closed: msg`closed to new work, or silent`,
  site: msg`at another site`,
  model: msg`without this model`,
  quota: msg`of a kind the quota has nothing left for`,
  accelerators: msg`without enough free accelerators`,
  "device-memory": msg`without enough free accelerator memory`,
  cpu: msg`without enough free CPU cores`,
  memory: msg`without enough free memory`,
};

const MOST_CANDIDATES = 4;

/** The raw result of the last look of placement: which nodes fell out where, or which were best. */
export function Evidence({ decision }: { decision: Record<string, unknown> }) {
  const { i18n } = useLingui();
  const word = useWord();
  const read = readDecision(decision);
  if (read?.outcome === "refused" && read.filters.length > 0) {
    return (
      <>
        <Text size="sm" c="dimmed" mt="sm"><Trans>Nodes looked at, and why each was left out</Trans></Text>
        <Table maw={460} withRowBorders={false} verticalSpacing={2}>
        <Table.Tbody>
          {read.filters.map(([name, nodes]) => (
            <Table.Tr key={name}>
              <Table.Td ta="right" w={70} fw={600}>{formatCount(nodes, i18n.locale)}</Table.Td>
              <Table.Td>{word(FILTERS, name)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
        </Table>
      </>
    );
  }
  if (read?.outcome === "placed" && read.candidates.length > 0) {
    const score = new Intl.NumberFormat(i18n.locale, { maximumFractionDigits: 3 });
    return (
      <>
        <Text size="sm" c="dimmed" mt="sm"><Trans>Why there: the nodes that scored best ({read.policy})</Trans></Text>
        <ol className="aq-ranks">
          {read.candidates.slice(0, MOST_CANDIDATES).map((each) => (
            <li key={each.node}>
              <NodeName id={each.node} /> {read.candidates.length > 1 && <Text span size="xs" c="dimmed">{score.format(each.score)}</Text>}
            </li>
          ))}
        </ol>
      </>
    );
  }
  return null;
}

function NodeName({ id }: { id: string }) {
  const node = useQuery({ ...nodesRetrieveOptions({ path: { id } }), staleTime: Number.POSITIVE_INFINITY });
  return node.data ? `${node.data.name} · ${node.data.cluster_name}` : <Text span size="xs">{id}</Text>;
}
