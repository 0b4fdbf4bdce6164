/** The devices of one node: how each is handed out, who holds it, and where it counts if not here. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Skeleton, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Accelerator, CardPlace } from "~/api/__generated__";
import { acceleratorsListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { formatMemory, formatMilli, formatPercent } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { REASONS } from "~/lib/reasons";
import { HEALTHS, MODES } from "~/lib/words";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { useWord } from "~/parts/words";
import { StateMark } from "~/ui/StateMark";
import { type Device, nested } from "./figures";
import { Partitions } from "./Partitions";
import { partsText } from "./parts";

export function NodeDevices({ node, name }: { node: string; name: string }) {
  const { t } = useLingui();
  const devices = useQuery(acceleratorsListOptions({ query: { node, is_present: true, limit: 200 } }));
  const [cutting, cut] = useState<{ id: string; label: string }>();
  if (devices.isError && !devices.data) return <ProblemAlert error={devices.error} retry={() => void devices.refetch()} />;
  if (!devices.data) return <Skeleton height={80} />;
  if (devices.data.results.length === 0) return <Text size="sm" c="dimmed"><Trans>No accelerators here.</Trans></Text>;
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard
    <div className="aq-scroll" role="region" aria-label={t`Devices of ${name}`} tabIndex={0}>
      <Table highlightOnHover={false}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t`Device`}</Table.Th>
            <Table.Th>{t`Model`}</Table.Th>
            <Table.Th>{t`Handed out`}</Table.Th>
            <Table.Th>{t`Health`}</Table.Th>
            <Table.Th ta="right">{t`Held`}</Table.Th>
            <Table.Th ta="right">{t`Others`}</Table.Th>
            <Table.Th ta="right">{t`Busy`}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>{nested(devices.data.results).map((device) => <DeviceRow key={device.card.id} {...device} onParts={cut} />)}</Table.Tbody>
      </Table>
      {devices.data.results.some((card) => !card.is_identified && card.counted_at === null) && (
        <Text size="xs" c="dimmed" mt={6}><Trans>Counted only: the site says how many there are; which of them a pod got is known to its node alone.</Trans></Text>
      )}
      {cutting && <Partitions card={cutting} onClose={() => cut(undefined)} />}
      {devices.data.next && <Text size="xs" c="dimmed"><Trans>The first 200 are shown.</Trans></Text>}
    </div>
  );
}

function DeviceRow({ card, label, isInside, onParts }: Device & { onParts: (card: { id: string; label: string }) => void }) {
  const { t, i18n } = useLingui();
  const can = useCan();
  const isOffered = card.counted_at === null && card.present_parts === 0;
  const health = HEALTHS[card.health];
  return (
    <Table.Tr>
      <Table.Td className={isInside ? "aq-part" : undefined}>
        <Text size="sm" fw={isInside ? 400 : 600}>{label}</Text>
        <Text size="xs" c="dimmed" className="aq-uuid">{card.uuid}</Text>
      </Table.Td>
      <Table.Td>
        <span className="aq-nowrap">{card.model}</span>
        <Text size="xs" c="dimmed" className="aq-nowrap">{formatMemory(card.memory_mib, i18n.locale)}</Text>
      </Table.Td>
      <Table.Td>
        <How card={card} />
        {card.parent === null && card.counted_at === null && can("accelerator.partition") && (
          <Button size="compact-xs" variant="subtle" px={0} aria-label={t`Parts of ${label}`} onClick={() => onParts({ id: card.id, label: `${card.node_name} ${label}` })}><Trans>Parts</Trans></Button>
        )}
      </Table.Td>
      <Table.Td><StateMark tone={health.tone} label={i18n._(health.label)} /></Table.Td>
      <Table.Td ta="right">
        {isOffered ? formatMilli(card.held_milli, i18n.locale) : "–"}
        {card.holders.map((holder) => (
          <div key={String(holder.workload)}><AppLink path={pb.workload(String(holder.workload))} size="xs">{String(holder.name)}</AppLink></div>
        ))}
      </Table.Td>
      <Table.Td ta="right">{isOffered && card.foreign_milli > 0 ? formatMilli(card.foreign_milli, i18n.locale) : "–"}</Table.Td>
      <Table.Td ta="right">{card.figures?.busy_percent == null ? "–" : formatPercent(card.figures.busy_percent, i18n.locale)}</Table.Td>
    </Table.Tr>
  );
}

function How({ card }: { card: Accelerator }) {
  const { t, i18n } = useLingui();
  const word = useWord();
  if (card.counted_at !== null) return <Twin place={card.counted_place} />;
  if (card.present_parts > 0) return <><Text size="sm"><Trans>in {card.present_parts} parts</Trans></Text><Wanted card={card} /></>;
  const details = [
    card.step_milli < 1000 && t`in steps of ${formatPercent(card.step_milli / 10, i18n.locale)}`,
    card.most_shares > 0 && t`at most ${card.most_shares} holders`,
    !card.is_identified && t`counted only`,
  ].filter(Boolean);
  return (
    <>
      <Text size="sm">{card.parent === null ? word(MODES, card.mode) : <Trans>a part</Trans>}</Text>
      {details.length > 0 && <Text size="xs" c="dimmed" maw={260}>{details.join(" · ")}</Text>}
      {card.resource && <Text size="xs" c="dimmed">{card.resource}</Text>}
      <Wanted card={card} />
    </>
  );
}

/** What the card is to be cut into, until it is; and why not, if it is refused. */
function Wanted({ card }: { card: Accelerator }) {
  const { i18n } = useLingui();
  if (!card.layout || card.layout.state === "applied") return null;
  const parts = partsText(card.layout.wanted);
  const reason = REASONS[card.layout.reason];
  return (
    <Text size="xs" c={card.layout.state === "refused" ? "red" : "dimmed"} maw={260} title={card.layout.message}>
      {parts ? <Trans>To be cut into {parts}</Trans> : <Trans>To be made whole again</Trans>}
      {reason && <>: {i18n._(reason.headline)}</>}
    </Text>
  );
}


/** One card that is seen in several places is one card, and counts where work reaches it directly. */
function Twin({ place }: { place: CardPlace | null }) {
  if (!place) return <Text size="sm"><Trans>Seen twice: counts in another place</Trans></Text>;
  return (
    <Text size="sm">
      <Trans>Counted at</Trans>{" "}
      <AppLink path={pb.cluster(place.cluster, { node: place.node })}>{place.node_name} #{place.index}</AppLink>
      <Text component="span" display="block" size="xs" c="dimmed">{place.cluster_name} · {place.site_name}</Text>
    </Text>
  );
}
