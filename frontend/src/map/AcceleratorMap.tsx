/** Every card of every site on one page: grouped by site and node, filled by what one asks for. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Group, SegmentedControl, Skeleton, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useMemo, useState } from "react";
import { pb } from "~/lib/path-builder";
import { fleetQuery } from "~/pages/overview/queries";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { Empty, Panel } from "~/ui/Panel";
import { ClusterCanvas } from "./ClusterCanvas";
import { type FillBy, type Look, lookOf } from "./draw";
import { fleet, type FleetCluster } from "./fleet";
import { Legend } from "./Legend";
import { cellSize } from "./layout";
import { useLoadedFleet } from "./useLoadedFleet";

const MapTable = lazy(() => import("./MapTable").then((module) => ({ default: module.MapTable })));

function looksIn(clusters: readonly FleetCluster[]): ReadonlySet<Look> {
  const found = new Set<Look>();
  for (const cluster of clusters)
    for (const node of cluster.nodes)
      for (const card of node.cards) {
        found.add(lookOf(card));
        // Seen beside what we hold, and inside of parts, too.
        if (card.foreignMilli > 0 || card.parts.some((part) => part.foreignMilli > 0)) found.add("foreign");
      }
  return found;
}

export function AcceleratorMap() {
  const { t } = useLingui();
  const [by, setBy] = useState<FillBy>("busy");
  const [view, setView] = useState<"map" | "table">("map");
  const query = useQuery(fleetQuery);
  const isLoaded = useLoadedFleet(query.data);
  const sites = useMemo(() => {
    const found = new Map<string, typeof fleet.clusters>();
    if (query.data && isLoaded) for (const cluster of fleet.clusters) found.set(cluster.site, [...(found.get(cluster.site) ?? []), cluster]);
    return [...found];
  }, [query.data, isLoaded]);
  const total = sites.reduce((sum, [, clusters]) => sum + clusters.reduce((cells, cluster) => cells + cluster.cellCount, 0), 0);
  const looks = useMemo(() => looksIn(sites.flatMap(([, clusters]) => clusters)), [sites]);

  return (
    <Panel
      title={<Trans>Accelerators, live</Trans>}
      aside={
        <Group gap="xs">
          {view === "map" && (
            <SegmentedControl
              size="xs"
              aria-label={t`Fill by`}
              value={by}
              onChange={(value) => setBy(value as FillBy)}
              data={[
                { value: "busy", label: t`Busy` },
                { value: "memory", label: t`Memory` },
                { value: "held", label: t`Held` },
              ]}
            />
          )}
          <SegmentedControl
            size="xs"
            aria-label={t`Show as`}
            value={view}
            onChange={(value) => setView(value as "map" | "table")}
            data={[
              { value: "map", label: t`Map` },
              { value: "table", label: t`Table` },
            ]}
          />
        </Group>
      }
    >
      {query.isPending && <Skeleton height={260} />}
      {query.isError && <ProblemAlert error={query.error} retry={() => void query.refetch()} />}
      {query.data && total === 0 && (
        <Empty title={<Trans>No accelerators yet</Trans>}>
          <Trans>They appear here as soon as a site reports them.</Trans>{" "}
          <AppLink path={pb.sites()}><Trans>Add a site</Trans></AppLink>
        </Empty>
      )}
      {total > 0 && view === "map" && (
        <Stack gap="md">
          <Legend by={by} seen={looks} />
          {sites.map(([site, clusters]) => (
            <section key={site} aria-label={site}>
              <Text fw={600} size="sm" mb={4}>{site}</Text>
              <Stack gap="xs">
                {clusters.map((cluster) => <ClusterCanvas key={cluster.id} id={cluster.id} by={by} cell={cellSize(total)} />)}
              </Stack>
            </section>
          ))}
        </Stack>
      )}
      {total > 0 && view === "table" && <Suspense fallback={<Skeleton height={260} />}><MapTable /></Suspense>}
    </Panel>
  );
}
