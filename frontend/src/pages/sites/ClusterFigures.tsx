/** The cards of one cluster, told apart: those one could touch, what can be handed out, and who holds it. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Group, Skeleton, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { ModelSummary } from "~/api/__generated__";
import { acceleratorsSummaryOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatCount, formatMilli, formatMilliShort } from "~/lib/format";
import { sumUp } from "~/map/summary";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { CardBar } from "~/ui/CardBar";
import { Panel } from "~/ui/Panel";
import { useCluster } from "./ClusterCards";
import { addUp } from "./figures";

export function ClusterFigures({ cluster: id }: { cluster: string }) {
  const { t, i18n } = useLingui();
  const summary = useQuery(acceleratorsSummaryOptions({ query: { cluster: id } }));
  const live = useCluster(id);
  const count = (number: number) => formatCount(number, i18n.locale);
  const milli = (number: number) => formatMilliShort(number, i18n.locale);
  if (summary.isError && !summary.data) return <ProblemAlert error={summary.error} retry={() => void summary.refetch()} />;
  if (!summary.data) return <Skeleton height={120} />;
  if (summary.data.length === 0) return null;
  const all = addUp(summary.data);
  const ways = [
    all.whole > 0 && t`${count(all.whole)} whole`,
    all.shareable > 0 && t`${count(all.shareable)} that can be shared`,
    all.parts > 0 && t`${count(all.parts)} parts of cards`,
  ].filter((text): text is string => text !== false);
  const sums = sumUp(live?.nodes.flatMap((node) => node.cards) ?? []);
  return (
    <Panel title={<Trans>Accelerators</Trans>}>
      <div className="aq-tiles">
        <Tile name={t`Physical cards`} value={count(all.physical)}>
          {all.elsewhere > 0 && <Trans>{count(all.elsewhere)} more are seen here and count in another place</Trans>}
        </Tile>
        <Tile name={t`To hand out`} value={count(all.offered)}>{ways.join(" · ")}</Tile>
        <Tile name={t`Held by us`} value={milli(all.held_milli)} />
        <Tile name={t`Used by others`} value={milli(all.foreign_milli)}>
          {all.foreign_milli > 0 && <Trans>not ours: never touched, never billed</Trans>}
        </Tile>
        <Tile name={t`Unhealthy cards`} value={count(all.unhealthy)} />
      </div>
      {sums.offered > 0 && <div className="aq-gap-above"><CardBar {...sums} /></div>}
      {summary.data.length > 1 || all.parts > 0 ? <ByModel rows={summary.data} /> : null}
    </Panel>
  );
}

function Tile({ name, value, children }: { name: string; value: string; children?: ReactNode }) {
  return (
    <div>
      <Text size="xs" c="dimmed">{name}</Text>
      <Text className="aq-figure">{value}</Text>
      {children && <Text size="xs" c="dimmed">{children}</Text>}
    </div>
  );
}

function ByModel({ rows }: { rows: ModelSummary[] }) {
  const { t, i18n } = useLingui();
  const count = (number: number) => (number === 0 ? "–" : formatCount(number, i18n.locale));
  const milli = (number: number) => (number === 0 ? "–" : formatMilli(number, i18n.locale));
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard
    <div className="aq-scroll aq-dense aq-gap-above" role="region" aria-label={t`By model`} tabIndex={0}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t`Model`}</Table.Th>
            <Table.Th ta="right">{t`Physical cards`}</Table.Th>
            <Table.Th ta="right">{t`To hand out`}</Table.Th>
            <Table.Th ta="right">{t`Held by us`}</Table.Th>
            <Table.Th ta="right">{t`Used by others`}</Table.Th>
            <Table.Th ta="right">{t`Unhealthy cards`}</Table.Th>
            <Table.Th ta="right">{t`Counted elsewhere`}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => (
            <Table.Tr key={`${row.vendor} ${row.model}`}>
              <Table.Td><Group gap={6} wrap="nowrap">{row.model}<Text span size="xs" c="dimmed">{row.vendor}</Text></Group></Table.Td>
              <Table.Td ta="right">{count(row.physical)}</Table.Td>
              <Table.Td ta="right">{count(row.offered)}</Table.Td>
              <Table.Td ta="right">{milli(row.held_milli)}</Table.Td>
              <Table.Td ta="right">{milli(row.foreign_milli)}</Table.Td>
              <Table.Td ta="right">{count(row.unhealthy)}</Table.Td>
              <Table.Td ta="right">{count(row.elsewhere)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}
