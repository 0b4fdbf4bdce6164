/** What its cards do now, with a line of the last minutes as long as this page is open. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Skeleton, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useSyncExternalStore } from "react";
import type { Allocation } from "~/api/__generated__";
import { formatMemory, formatMilli, formatPercent, formatSpeed } from "~/lib/format";
import { fleet } from "~/map/fleet";
import { fleetQuery } from "~/pages/overview/queries";
import { useLoadedFleet } from "~/map/useLoadedFleet";
import { Age } from "~/ui/Age";
import { Panel } from "~/ui/Panel";

const BusyChart = lazy(() => import("./BusyChart").then((module) => ({ default: module.BusyChart })));

/** Not every kind of site says what a process uses of the machine. */
const isMeasured = (allocation: Allocation) =>
  [allocation.used_cpu_milli, allocation.used_memory_mib, allocation.used_disk_read_kibps, allocation.used_net_in_kibps].some((use) => use != null);

export function LiveFigures({ allocations }: { allocations: Allocation[] }) {
  const { t, i18n } = useLingui();
  const query = useQuery(fleetQuery);
  useLoadedFleet(query.data);
  useSyncExternalStore(fleet.watch, () => allocations.reduce((sum, each) => sum + fleet.clusterVersion(each.cluster), 0));
  const shares = allocations.flatMap((allocation) => allocation.shares.map((share) => ({ share, allocation })));
  if (shares.length === 0 && !allocations.some(isMeasured)) return null;
  return (
    <Panel title={<Trans>Now</Trans>}>
      {shares.length > 0 && (
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard
        <div className="aq-scroll aq-dense" role="region" aria-label={t`Live figures`} tabIndex={0}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t`Card`}</Table.Th>
                <Table.Th ta="right">{t`Held`}</Table.Th>
                <Table.Th ta="right">{t`Busy`}</Table.Th>
                <Table.Th ta="right">{t`Memory`}</Table.Th>
                <Table.Th>{t`Age`}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {shares.map(({ share, allocation }) => {
                const card = fleet.card(share.accelerator);
                return (
                  <Table.Tr key={`${allocation.id} ${share.accelerator}`}>
                    <Table.Td>{allocation.node_name} #{share.index} <Text span size="xs" c="dimmed">{share.model}</Text></Table.Td>
                    <Table.Td ta="right">{formatMilli(share.milli, i18n.locale)}</Table.Td>
                    <Table.Td ta="right">{card?.busyPercent == null ? "–" : formatPercent(card.busyPercent, i18n.locale)}</Table.Td>
                    <Table.Td ta="right">{card?.memoryUsedMib == null ? "–" : `${formatMemory(card.memoryUsedMib, i18n.locale)} / ${formatMemory(card.memoryMib, i18n.locale)}`}</Table.Td>
                    <Table.Td><Age at={fleet.cluster(allocation.cluster)?.figuresAt} size="xs" staleAfterSeconds={30} /></Table.Td>
                  </Table.Tr>
                );
              })}
            </Table.Tbody>
          </Table>
        </div>
      )}
      {allocations.filter(isMeasured).map((allocation) => (
        <Text key={allocation.id} size="sm" c="dimmed" mt={4}>
          {allocation.node_name}: {allocation.used_cpu_milli == null ? "–" : <Trans>{formatMilli(allocation.used_cpu_milli, i18n.locale)} of {formatMilli(allocation.cpu_milli, i18n.locale)} cores used</Trans>}
          {" · "}
          {allocation.used_memory_mib == null ? "–" : <Trans>{formatMemory(allocation.used_memory_mib, i18n.locale)} of {formatMemory(allocation.memory_mib, i18n.locale)} memory used</Trans>}
          {allocation.used_disk_read_kibps != null && <>{" · "}<Trans>disk {formatSpeed(allocation.used_disk_read_kibps, i18n.locale)} read, {formatSpeed(allocation.used_disk_write_kibps ?? 0, i18n.locale)} written</Trans></>}
          {allocation.used_net_in_kibps != null && <>{" · "}<Trans>network {formatSpeed(allocation.used_net_in_kibps, i18n.locale)} in, {formatSpeed(allocation.used_net_out_kibps ?? 0, i18n.locale)} out</Trans></>}
          {" · "}
          <Age at={allocation.proof_at} size="xs" staleAfterSeconds={60} />
        </Text>
      ))}
      {shares.length > 0 && (
        <Suspense fallback={<Skeleton height={220} mt="sm" />}>
          <BusyChart cards={shares.map(({ share, allocation }) => ({ id: share.accelerator, name: `${allocation.node_name} #${share.index}` }))} />
        </Suspense>
      )}
    </Panel>
  );
}
