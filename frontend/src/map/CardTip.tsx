import { Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { acceleratorsRetrieveOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMemory, formatMilli, formatPercent } from "~/lib/format";
import { Age } from "~/ui/Age";
import { type Look, lookOf } from "./draw";
import { type Card, fleet } from "./fleet";

const MOST_PARTS = 8;

export function useLookWord(): (look: Look) => string {
  const { t } = useLingui();
  const words: Record<Look, string> = {
    unhealthy: t`unhealthy`,
    unknown: t`health unknown`,
    free: t`free`,
    foreign: t`used by others`,
    divided: t`handed out in parts`,
    elsewhere: t`counts in another place`,
    idle: t`held, idle`,
    unmeasured: t`held, not measured`,
    used: t`held, busy`,
  };
  return (look) => words[look];
}

interface Props {
  card: Card;
  nodeName: string;
  at: string | null;
  left: number;
  top: number;
}

/** Which card this is, how it is, and who holds it. */
export function CardTip({ card, nodeName, at, left, top }: Props) {
  const { i18n } = useLingui();
  const word = useLookWord();
  const twin = card.twinOf === null ? undefined : fleet.placeOf(card.twinOf);
  // Moving over the map must not ask for the holder of every card passed on the way.
  const [asked] = useDebouncedValue(card.id, 150);
  const found = useQuery({
    ...acceleratorsRetrieveOptions({ path: { id: card.id } }),
    enabled: asked === card.id && card.heldMilli > 0,
    staleTime: 5_000,
  });
  return (
    <div className="aq-map-tip" style={{ left, top }}>
      <Text size="sm" fw={600}>{nodeName} · #{card.label}</Text>
      <Text size="xs" c="dimmed">{card.model} · {word(lookOf(card))}</Text>
      {twin && <Text size="xs">{twin.cluster.site} · {twin.cluster.name} · {twin.node.name} #{twin.card.label}</Text>}
      {card.parts.slice(0, MOST_PARTS).map((part) => (
        <Text key={part.id} size="xs">#{part.label} {part.model} · {word(lookOf(part))}</Text>
      ))}
      {card.parts.length > MOST_PARTS && <Text size="xs" c="dimmed"><Trans>and {card.parts.length - MOST_PARTS} more</Trans></Text>}
      {card.role !== "divided" && card.role !== "twin" && <Text size="xs">
        <Trans>Held {formatMilli(card.heldMilli, i18n.locale)} of 1</Trans>
        {card.foreignMilli > 0 && <> · <Trans>others {formatMilli(card.foreignMilli, i18n.locale)}</Trans></>}
        {card.busyPercent !== null && <> · <Trans>busy {formatPercent(card.busyPercent, i18n.locale)}</Trans></>}
      </Text>}
      <Text size="xs">
        <Trans>Memory</Trans> {card.memoryUsedMib === null ? "–" : formatMemory(card.memoryUsedMib, i18n.locale)} / {formatMemory(card.memoryMib, i18n.locale)}
      </Text>
      {found.data?.holders.map((holder) => (
        <Text key={String(holder.workload)} size="xs" fw={600}>{String(holder.name)} · {String(holder.tenant_name)}</Text>
      ))}
      <Age at={at} size="xs" staleAfterSeconds={30} />
    </div>
  );
}
