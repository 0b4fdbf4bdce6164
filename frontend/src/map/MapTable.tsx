/** The table twin of the map: the same cards, figures and ages, for reading, searching and hearing. */
import { Plural, useLingui } from "@lingui/react/macro";
import { Group, Pagination, Table, Text, TextInput } from "@mantine/core";
import { useDeferredValue, useMemo, useState, useSyncExternalStore } from "react";
import { formatMemory, formatMilli, formatPercent } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { Age } from "~/ui/Age";
import { useLookWord } from "./CardTip";
import { lookOf } from "./draw";
import { type Card, fleet } from "./fleet";

const PAGE = 50;

export function MapTable() {
  const { t, i18n } = useLingui();
  const word = useLookWord();
  const [search, setSearch] = useState("");
  const [page, setPage] = useState(1);
  const wanted = useDeferredValue(search.trim().toLowerCase());
  useSyncExternalStore(fleet.watch, () => fleet.clusters.reduce((sum, cluster) => sum + cluster.version, 0));
  const { clusters } = fleet;
  const rows = useMemo(
    () =>
      clusters.flatMap((cluster) =>
        cluster.nodes.flatMap((node) =>
          node.cards
            .flatMap((card) => [card, ...card.parts])
            .map((card) => ({ card, node, cluster }))
            .filter(({ card }) => !wanted || `${cluster.site} ${cluster.name} ${node.name} ${card.model}`.toLowerCase().includes(wanted)),
        ),
      ),
    [clusters, wanted],
  );
  // A card in parts is held by its parts, and a twin in the place where it counts.
  const amount = (card: Card, milli: number) => (card.role === "divided" || card.role === "twin" ? "–" : formatMilli(milli, i18n.locale));
  const cards = rows.filter(({ card }) => card.role !== "part" && card.role !== "twin").length;
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const current = Math.min(page, pages);
  return (
    <>
      <Group mb="xs" justify="space-between">
        <TextInput size="xs" w={260} aria-label={t`Search by site, node or model`} placeholder={t`Search by site, node or model`} value={search} onChange={(event) => setSearch(event.currentTarget.value)} />
        <Text size="sm" c="dimmed"><Plural value={cards} one="# card" other="# cards" /></Text>
      </Group>
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard */}
      <div className="aq-scroll aq-dense" role="region" aria-label={t`Accelerators`} tabIndex={0}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t`Card`}</Table.Th>
              <Table.Th>{t`Site`}</Table.Th>
              <Table.Th>{t`Model`}</Table.Th>
              <Table.Th>{t`Status`}</Table.Th>
              <Table.Th ta="right">{t`Held`}</Table.Th>
              <Table.Th ta="right">{t`Others`}</Table.Th>
              <Table.Th ta="right">{t`Busy`}</Table.Th>
              <Table.Th ta="right">{t`Memory`}</Table.Th>
              <Table.Th>{t`Age`}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.slice((current - 1) * PAGE, current * PAGE).map(({ card, node, cluster }) => (
              <Table.Tr key={card.id}>
                <Table.Td><AppLink path={pb.allocations({ node: node.id })}>{node.name} #{card.label}</AppLink></Table.Td>
                <Table.Td>{cluster.site} · {cluster.name}</Table.Td>
                <Table.Td>{card.model}</Table.Td>
                <Table.Td>{word(lookOf(card))}</Table.Td>
                <Table.Td ta="right">{amount(card, card.heldMilli)}</Table.Td>
                <Table.Td ta="right">{amount(card, card.foreignMilli)}</Table.Td>
                <Table.Td ta="right">{card.busyPercent === null ? "–" : formatPercent(card.busyPercent, i18n.locale)}</Table.Td>
                <Table.Td ta="right">{card.memoryUsedMib === null ? "–" : formatMemory(card.memoryUsedMib, i18n.locale)}</Table.Td>
                <Table.Td><Age at={cluster.figuresAt} size="xs" staleAfterSeconds={30} /></Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
      {pages > 1 && (
        <Pagination mt="sm" size="sm" total={pages} value={current} onChange={setPage} getControlProps={(control) => ({ "aria-label": { previous: t`Previous page`, next: t`Next page`, first: t`First page`, last: t`Last page` }[control] })} />
      )}
    </>
  );
}
