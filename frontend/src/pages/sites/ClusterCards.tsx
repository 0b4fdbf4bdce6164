/** The cards of a site or node in numbers, from the same live picture as the map. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { formatCount, formatMilli } from "~/lib/format";
import { fleet, type FleetCluster } from "~/map/fleet";
import { sumUp } from "~/map/summary";
import { useLoadedFleet } from "~/map/useLoadedFleet";
import { fleetQuery } from "~/pages/overview/queries";
import { CardBar } from "~/ui/CardBar";
import { Amount } from "./Amount";

/** One cluster of the live picture, drawn anew when its figures change. */
export function useCluster(id: string): FleetCluster | undefined {
  useLoadedFleet(useQuery(fleetQuery).data);
  useSyncExternalStore(fleet.watch, () => fleet.clusterVersion(id));
  return fleet.cluster(id);
}

export function ClusterCards({ cluster: id }: { cluster: string }) {
  const { i18n } = useLingui();
  const cluster = useCluster(id);
  const sums = sumUp(cluster?.nodes.flatMap((node) => node.cards) ?? []);
  if (sums.cards + sums.twins === 0) return <Text size="sm" c="dimmed">–</Text>;
  return (
    <div className="aq-cell-bar">
      <Text size="sm">
        <strong>{formatCount(sums.cards, i18n.locale)}</strong>
        {sums.offered !== sums.cards && <> · <Trans>{formatCount(sums.offered, i18n.locale)} to hand out</Trans></>}
        {sums.twins > 0 && <> · <Trans>{formatCount(sums.twins, i18n.locale)} counted elsewhere</Trans></>}
      </Text>
      {sums.offered > 0 && <CardBar {...sums} />}
    </div>
  );
}

export function NodeCards({ cluster: id, node }: { cluster: string; node: string }) {
  const { i18n } = useLingui();
  const cluster = useCluster(id);
  const sums = sumUp(cluster?.nodes.find((each) => each.id === node)?.cards ?? []);
  return <Amount held={sums.heldMilli} others={sums.foreignMilli} all={sums.offered * 1000} text={(milli) => formatMilli(milli, i18n.locale)} />;
}
