import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Group, Text, useComputedColorScheme, VisuallyHidden } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, type PointerEvent, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { formatCount } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { CLUSTER_KINDS } from "~/lib/words";
import { AppLink, splitPath } from "~/parts/AppLink";
import { StateCell, useWord } from "~/parts/words";
import { Age } from "~/ui/Age";
import { CardTip } from "./CardTip";
import { type FillBy, paint } from "./draw";
import { fleet } from "./fleet";
import { cellAt, layOut, neighbour } from "./layout";

/** In these states what is shown is what is; in all others it is what was last heard. */
const REPORTING = new Set(["connected", "degraded", "draining", "maintenance"]);
const KEYS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]);

export function ClusterCanvas({ id, by, cell }: { id: string; by: FillBy; cell: number }) {
  const { t, i18n } = useLingui();
  const word = useWord();
  const navigate = useNavigate();
  const scheme = useComputedColorScheme("light");
  const canvas = useRef<HTMLCanvasElement>(null);
  const { ref, width } = useElementSize();
  const [marked, setMarked] = useState(-1);
  const [isByKey, setIsByKey] = useState(false);
  const version = useSyncExternalStore(fleet.watch, () => fleet.clusterVersion(id));
  const cluster = fleet.cluster(id);
  const nodes = cluster?.nodes;
  const isStale = cluster !== undefined && !REPORTING.has(cluster.state);
  const layout = useMemo(() => (nodes && width > 0 ? layOut(nodes, width, cell) : undefined), [nodes, width, cell]);

  // A canvas is drawn on, not rendered: this is what effects are for.
  useEffect(() => {
    if (!canvas.current || !layout || !nodes) return;
    const frame = requestAnimationFrame(() => canvas.current && paint(canvas.current, width, { nodes, layout, by, scheme, marked, isStale }));
    return () => cancelAnimationFrame(frame);
  }, [version, layout, nodes, width, by, scheme, marked, isStale]);

  if (!cluster) return null;
  const place = layout?.cells[marked];
  const node = place && cluster.nodes[place.node];
  const card = place && node?.cards[place.card];

  const point = (event: PointerEvent<HTMLCanvasElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    setIsByKey(false);
    setMarked(layout ? cellAt(layout, event.clientX - box.left, event.clientY - box.top) : -1);
  };
  const open = () => node && void navigate(splitPath(pb.allocations({ node: node.id })));
  const press = (event: KeyboardEvent) => {
    if (event.key === "Enter") open();
    else if (event.key === "Escape") setMarked(-1);
    else if (layout && KEYS.has(event.key)) {
      event.preventDefault();
      setIsByKey(true);
      setMarked(neighbour(layout, marked, event.key));
    }
  };

  return (
    <div className="aq-map-cluster">
      <Group justify="space-between" gap="xs" mb={2}>
        <Group gap="sm">
          <AppLink path={pb.cluster(id)}>{cluster.name}</AppLink>
          <Text size="xs" c="dimmed">{word(CLUSTER_KINDS, cluster.kind)}</Text>
          <StateCell noun="cluster" of={{ state: cluster.state }} withAge={false} />
        </Group>
        <Group gap="sm">
          <Text size="xs" c="dimmed">
            <Plural value={cluster.cardCount} one="# card" other="# cards" />
            {cluster.offeredCount !== cluster.cardCount && <> · <Trans>{formatCount(cluster.offeredCount, i18n.locale)} to hand out</Trans></>}
          </Text>
          <Age at={cluster.figuresAt} staleAfterSeconds={30} size="xs" never={t`no figures yet`} />
        </Group>
      </Group>
      <div ref={ref}>
        {cluster.cellCount === 0 ? (
          <Text size="xs" c="dimmed"><Trans>Its nodes have no accelerators.</Trans></Text>
        ) : (
          // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex, jsx-a11y/no-noninteractive-element-interactions -- arrow keys walk over the cards; the table is its twin
          <canvas
            ref={canvas}
            height={layout?.height ?? 0}
            style={{ height: layout?.height ?? 0 }}
            role="img"
            tabIndex={0}
            aria-label={t`Map of ${cluster.name}: arrow keys go from card to card, Enter opens what runs on its node`}
            onPointerMove={point}
            onPointerLeave={() => setMarked(-1)}
            onBlur={() => setMarked(-1)}
            onKeyDown={press}
            onClick={open}
          />
        )}
        {place && node && card && layout && (
          <CardTip card={card} nodeName={node.name} at={cluster.figuresAt} left={Math.max(0, Math.min(place.x, width - 264))} top={place.y + cell + 30} />
        )}
      </div>
      {isByKey && card && node && (
        <VisuallyHidden role="status">{`${node.name} #${card.label} ${card.model}`}</VisuallyHidden>
      )}
    </div>
  );
}
