/** What the last look of placement was: a funnel of the nodes that fell out, or the nodes that scored best. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Badge, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Explanation } from "~/api/__generated__";
import { nodesRetrieveOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { FILTERS, PARTS } from "~/lib/placement";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { useMissText } from "~/parts/misses";
import { usePolicyWords } from "~/parts/policies";
import { useWord } from "~/parts/words";
import { Funnel } from "~/ui/Funnel";
import { ScoreBars } from "~/ui/ScoreBars";
import { filtersOf, partsOf } from "./decision";

export function WhyNot({ refused }: { refused: Explanation }) {
  const { t } = useLingui();
  const word = useWord();
  const missText = useMissText();
  const { miss } = refused;
  const filters = filtersOf(refused);
  return (
    <>
      {miss && (
        <Text size="sm" mt="sm">
          {miss.node ? (
            <Trans>Nearest: <NodeLink id={miss.node} name={miss.name} isInText /> – {missText(miss, refused.is_final)}.</Trans>
          ) : (
            <Trans>Nearest: {missText(miss, refused.is_final)}.</Trans>
          )}
        </Text>
      )}
      {filters.length > 0 && (
        <>
          <Text size="sm" c="dimmed" mt="md"><Trans>Nodes looked at, and why each was left out</Trans></Text>
          <Funnel label={t`Nodes left after each filter`} steps={filters.map(([name, removed]) => ({ key: name, label: word(FILTERS, name), removed }))} />
        </>
      )}
    </>
  );
}

/** To wait helps, or it never will. */
export function WaitsBadge({ isFinal }: { isFinal: boolean }) {
  return isFinal ? (
    <Badge className="aq-badge-bad" variant="outline" tt="none"><Trans>never fits: waiting does not help</Trans></Badge>
  ) : (
    <Badge className="aq-badge-waiting" variant="outline" tt="none"><Trans>waits its turn</Trans></Badge>
  );
}

export function WhyThere({ placed, isPast }: { placed: Explanation; isPast: boolean }) {
  const { t } = useLingui();
  const word = useWord();
  const policy = usePolicyWords()(placed.policy).title;
  return (
    <>
      <Text size="sm" c="dimmed" mt="md">
        {isPast ? <Trans>Why it was placed there last time: the nodes that scored best ({policy})</Trans> : <Trans>Why there: the nodes that scored best ({policy})</Trans>}
      </Text>
      <ScoreBars
        label={t`Nodes by score`}
        nameOf={(part) => word(PARTS, part)}
        rows={placed.candidates.map((each, at) => ({ key: each.node, score: each.score, parts: partsOf(each), label: <NodeLink id={each.node} name={each.name} isChosen={at === 0} /> }))}
      />
    </>
  );
}

interface NodeLinkProps {
  id: string;
  /** Known from elsewhere, for the time until the node has been read or where it is gone. */
  name?: string;
  isChosen?: boolean;
  isInText?: boolean;
}

function NodeLink({ id, name = "", isChosen = false, isInText = false }: NodeLinkProps) {
  const node = useQuery({ ...nodesRetrieveOptions({ path: { id } }), staleTime: Number.POSITIVE_INFINITY });
  if (!node.data) return <Text span size="xs" c="dimmed">{name || (node.isError ? id : "…")}</Text>;
  return (
    <>
      <AppLink path={pb.cluster(node.data.cluster, { node: id })} fw={isChosen ? 600 : undefined} underline={isInText ? "always" : "hover"}>{node.data.name}</AppLink>
      <Text span size="xs" c="dimmed"> · {node.data.cluster_name}</Text>
      {isChosen && <Text span size="xs" c="dimmed"> · <Trans>chosen</Trans></Text>}
    </>
  );
}
