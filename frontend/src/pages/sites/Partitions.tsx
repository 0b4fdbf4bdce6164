/** What a card is cut into and to be cut into, and a form to ask for other parts. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, NumberInput, Skeleton, Stack, Table, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Layout } from "~/api/__generated__";
import { acceleratorsCutMutation, acceleratorsLayoutOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { REASONS } from "~/lib/reasons";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { Dialog } from "~/ui/Dialog";
import { Notice } from "~/ui/Notice";
import { PartsBar } from "~/ui/PartsBar";
import { partsText, roomFor, slicesOf, slicesOfCard, slicesTaken } from "./parts";

interface Props {
  card: { id: string; label: string };
  onClose: () => void;
}

export function Partitions({ card, onClose }: Props) {
  const { t } = useLingui();
  const layout = useQuery(acceleratorsLayoutOptions({ path: { id: card.id } }));
  return (
    <Dialog isOpen onClose={onClose} size="lg" title={t`Parts of ${card.label}`}>
      {layout.isError && !layout.data && <ProblemAlert error={layout.error} retry={() => void layout.refetch()} />}
      {layout.isPending && <Skeleton height={160} />}
      {layout.data && (
        <Stack>
          <Now layout={layout.data} />
          {Object.keys(layout.data.possible).length > 0 ? (
            <Choose key={layout.data.generation} id={card.id} layout={layout.data} onClose={onClose} />
          ) : (
            <Text size="sm"><Trans>This card does not say that it can be cut into parts. Cards with MIG do, where the agent of their machine may cut them.</Trans></Text>
          )}
        </Stack>
      )}
    </Dialog>
  );
}

/** What is there, what is wanted, and why it is not there yet. */
function Now({ layout }: { layout: Layout }) {
  const { i18n } = useLingui();
  const reason = REASONS[layout.reason];
  const wanted = layout.wanted && partsText(layout.wanted);
  return (
    <>
      <Text size="sm"><Trans>Now:</Trans> <strong>{partsText(layout.parts) || <Trans>whole</Trans>}</strong></Text>
      {layout.state && layout.state !== "applied" && (
        <Notice tone={layout.state === "refused" ? "bad" : "busy"} title={wanted ? <Trans>To be cut into {wanted}</Trans> : <Trans>To be made whole again</Trans>}>
          {reason ? i18n._(reason.headline) : layout.state === "waiting" && <Trans>The agent of the machine has not answered yet.</Trans>}
          {reason?.hint && <Text size="sm">{i18n._(reason.hint)}</Text>}
          {layout.message && <Text size="xs" c="dimmed" lang="en">{layout.message}</Text>}
        </Notice>
      )}
    </>
  );
}

function Choose({ id, layout, onClose }: { id: string; layout: Layout; onClose: () => void }) {
  const { t } = useLingui();
  const can = useCan();
  const client = useQueryClient();
  const { possible } = layout;
  const [chosen, choose] = useState<Record<string, number>>(layout.wanted ?? layout.parts);
  const cut = useMutation({
    ...acceleratorsCutMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
  });
  const all = slicesOfCard(possible);
  const taken = slicesTaken(chosen);
  const wanted = Object.fromEntries(Object.entries(chosen).filter(([, count]) => count > 0));
  const isOver = taken > all;
  const mayCut = can("accelerator.partition");
  return (
    <>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th><Trans>Part</Trans></Table.Th>
            <Table.Th ta="right"><Trans>Slices of compute</Trans></Table.Th>
            <Table.Th ta="right"><Trans>At most</Trans></Table.Th>
            <Table.Th ta="right"><Trans>Room for</Trans></Table.Th>
            <Table.Th><Trans>How many</Trans></Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {Object.entries(possible).map(([profile, most]) => (
            <Table.Tr key={profile}>
              <Table.Td><span className="aq-nowrap">{profile}</span></Table.Td>
              <Table.Td ta="right">{slicesOf(profile) || "–"}</Table.Td>
              <Table.Td ta="right">{most}</Table.Td>
              <Table.Td ta="right">{roomFor(profile, chosen, possible)}</Table.Td>
              <Table.Td>
                <NumberInput
                  size="xs"
                  w={90}
                  aria-label={t`How many ${profile}`}
                  min={0}
                  max={(chosen[profile] ?? 0) + roomFor(profile, chosen, possible)}
                  clampBehavior="strict"
                  allowDecimal={false}
                  disabled={!mayCut}
                  value={chosen[profile] ?? 0}
                  onChange={(count) => choose({ ...chosen, [profile]: Number(count) || 0 })}
                />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <PartsBar
        parts={[
          { name: t`slices taken`, className: "aq-busy", amount: taken, text: String(taken) },
          { name: t`left`, className: "aq-free", amount: Math.max(0, all - taken), text: String(Math.max(0, all - taken)) },
        ]}
      />
      {isOver && <Text size="sm" c="var(--mantine-color-error)"><Trans>These parts need more than the card has.</Trans></Text>}
      <Text size="xs" c="dimmed"><Trans>Which parts fit beside each other the card itself decides, when it is cut. Nobody may hold any of it until then.</Trans></Text>
      {cut.error && <ProblemAlert error={cut.error} />}
      <Group justify="flex-end">
        <Button variant="default" disabled={!mayCut} onClick={() => choose({})}><Trans>None: the whole card</Trans></Button>
        <Button disabled={!mayCut || isOver} loading={cut.isPending} onClick={() => cut.mutate({ path: { id }, body: { profiles: wanted } })}>
          {partsText(wanted) ? <Trans>Cut it so</Trans> : <Trans>Make it whole</Trans>}
        </Button>
      </Group>
      {!mayCut && <Text size="xs" c="dimmed" ta="right"><Trans>Your role does not allow this</Trans></Text>}
    </>
  );
}
