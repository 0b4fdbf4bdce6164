import { Trans, useLingui } from "@lingui/react/macro";
import { Group, Skeleton, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Overview } from "~/api/__generated__";
import { asCounts, totalOf } from "~/lib/counts";
import { formatCount, formatMilliShort, formatMoneyShort } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { AcceleratorMap } from "~/map/AcceleratorMap";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { useStateWord } from "~/parts/words";
import { Age } from "~/ui/Age";
import { CardBar } from "~/ui/CardBar";
import { PageHead, Panel } from "~/ui/Panel";
import { NeedsYou } from "./NeedsYou";
import { overviewQuery } from "./queries";
import { WaitingByReason } from "./WaitingByReason";

export function OverviewPage() {
  const { t } = useLingui();
  const overview = useQuery(overviewQuery);
  return (
    <Stack>
      <PageHead title={t`Overview`} />
      {overview.isError && <ProblemAlert error={overview.error} retry={() => void overview.refetch()} />}
      {overview.isPending && <Skeleton height={120} />}
      {overview.data && <Headline overview={overview.data} />}
      <div className="aq-two aq-two-news">
        <AcceleratorMap />
        <Stack>
          {overview.data && <NeedsYou items={overview.data.needs_you} />}
          {overview.data && <WaitingByReason waiting={asCounts(overview.data.waiting)} />}
        </Stack>
      </div>
    </Stack>
  );
}

/** Of nodes inside of other nodes the cores are counted once. */
function Cores({ machines }: { machines: Overview["machines"] }) {
  const { i18n } = useLingui();
  if (machines.cpu_milli === 0) return null;
  const free = formatMilliShort(machines.free_cpu_milli, i18n.locale);
  const all = formatMilliShort(machines.cpu_milli, i18n.locale);
  return <Text size="xs" c="dimmed"><Trans>{free} of {all} cores free</Trans></Text>;
}

function Headline({ overview }: { overview: Overview }) {
  const { i18n } = useLingui();
  const word = useStateWord();
  const cards = overview.accelerators;
  const workloads = asCounts(overview.workloads);
  const count = (number: number) => formatCount(number, i18n.locale);
  // What is held is in 1/1000 of a card, what is busy in cards: a card in two halves is one busy card.
  const working = Math.min(cards.busy * 1000, cards.held_milli);
  const idle = Math.min(cards.idle_held * 1000, cards.held_milli - working);
  return (
    <div className="aq-headline">
      <Panel>
        <Group justify="space-between" align="baseline">
          <Text size="sm" c="dimmed"><Trans>Accelerators</Trans></Text>
          <Age at={cards.observed_at} staleAfterSeconds={30} size="xs" never={<Trans>no figures yet</Trans>} />
        </Group>
        <Group gap="md" align="baseline">
          <Text className="aq-figure">{count(cards.total)}</Text>
          <Text size="sm" c="dimmed">
            <Trans>{formatMilliShort(cards.placeable_milli, i18n.locale)} free to place, {count(cards.largest_free_block)} at most on one node</Trans>
          </Text>
        </Group>
        {cards.offered !== cards.total && (
          <Text size="xs" c="dimmed" mb={4}><Trans>{count(cards.offered)} to hand out: some cards are handed out in parts</Trans></Text>
        )}
        <CardBar
          totalMilli={cards.capacity_milli}
          heldMilli={cards.held_milli}
          busyMilli={working}
          idleMilli={idle}
          foreignMilli={cards.foreign_milli}
          freeMilli={cards.placeable_milli}
          unhealthyMilli={cards.unhealthy * 1000}
        />
      </Panel>
      <Panel>
        <Text size="sm" c="dimmed"><Trans>Workloads running</Trans></Text>
        <Text className="aq-figure">{count(workloads.running ?? 0)}</Text>
        <AppLink path={pb.workloads({ state: "queued" })}><Trans>{count(workloads.queued ?? 0)} waiting</Trans></AppLink>
      </Panel>
      <Panel>
        <Text size="sm" c="dimmed"><Trans>Sites</Trans></Text>
        <Text className="aq-figure">{count(totalOf(overview.clusters))}</Text>
        <Cores machines={overview.machines} />
        <AppLink path={pb.sites()}>
          {overview.clusters.map((each) => `${word("cluster", each.name)} ${count(each.count)}`).join(" · ") || <Trans>Add a site</Trans>}
        </AppLink>
      </Panel>
      <Panel>
        <Text size="sm" c="dimmed"><Trans>Spent today</Trans></Text>
        <Text className="aq-figure">
          {overview.spend_today.map((each) => formatMoneyShort(each.amount, each.currency, i18n.locale)).join(" + ") || "–"}
        </Text>
        <AppLink path={pb.billing()}><Trans>See the usage</Trans></AppLink>
      </Panel>
    </div>
  );
}
