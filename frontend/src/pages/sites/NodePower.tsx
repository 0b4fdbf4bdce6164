/** A node's own sensors and its power, asked of its site while this is open. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Skeleton, Stack, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Node, Sensors, WantedPower } from "~/api/__generated__";
import { nodesPowerMutation, nodesSensorsOptions, nodesSensorsQueryKey } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { POWERS } from "~/lib/words";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { Dialog } from "~/ui/Dialog";
import { Fold } from "~/ui/Fold";
import { Notice } from "~/ui/Notice";
import { StateMark } from "~/ui/StateMark";
import { grouped, unitText } from "./readings";

/** The site asks its machine each time; sensors change slowly. */
const READ_AGAIN_MS = 15_000;

export function NodePower({ node }: { node: Node }) {
  return <Fold label={<Trans>Sensors and power</Trans>}><Inside node={node} /></Fold>;
}

function Inside({ node }: { node: Node }) {
  const { i18n } = useLingui();
  const sensors = useQuery({ ...nodesSensorsOptions({ path: { id: node.id } }), refetchInterval: READ_AGAIN_MS });
  if (sensors.isError && !sensors.data) return <ProblemAlert error={sensors.error} retry={() => void sensors.refetch()} />;
  if (!sensors.data) return <Skeleton height={60} />;
  const { power, readings, message } = sensors.data;
  const known = POWERS[power];
  return (
    <Stack gap="sm">
      <Group gap="md">
        <StateMark tone={known.tone} label={i18n._(known.label)} />
        <Switch node={node} power={power} />
      </Group>
      {message && <Text size="sm" c="dimmed" lang="en">{message}</Text>}
      <Readings readings={readings} />
    </Stack>
  );
}

function Readings({ readings }: Pick<Sensors, "readings">) {
  const { t, i18n } = useLingui();
  if (readings.length === 0) return null;
  const number = new Intl.NumberFormat(i18n.locale, { maximumFractionDigits: 2 });
  return (
    <div className="aq-readings">
      {grouped(readings).map(({ unit, readings: own }) => (
        <dl key={unit}>
          {own.map((reading) => (
            <div key={reading.name}>
              <dt>{reading.name}</dt>
              <dd>
                {!reading.is_healthy && <StateMark tone="bad" label={t`Unhealthy`} />} <span className="aq-nowrap">{number.format(reading.value)} {unitText(unit)}</span>
              </dd>
            </div>
          ))}
        </dl>
      ))}
    </div>
  );
}

/** Asks first: a machine that is switched off takes all with it that runs there. */
function Switch({ node, power }: { node: Node; power: Sensors["power"] }) {
  const can = useCan();
  const client = useQueryClient();
  const [asked, ask] = useState<WantedPower>();
  const set = useMutation({
    ...nodesPowerMutation(),
    onSuccess: () => client.invalidateQueries({ queryKey: nodesSensorsQueryKey({ path: { id: node.id } }) }),
    onSettled: () => ask(undefined),
  });
  if (!can("node.power")) return null;
  return (
    <>
      <Button size="compact-sm" variant="default" disabled={power === "on"} onClick={() => ask("on")}><Trans>Switch on</Trans></Button>
      <Button size="compact-sm" variant="default" disabled={power === "off"} onClick={() => ask("off")}><Trans>Switch off</Trans></Button>
      {set.error && <ProblemAlert error={set.error} />}
      {set.data && (set.data.is_asked ? <Text size="sm" c="dimmed"><Trans>Asked for; it follows in some seconds.</Trans></Text> : <Notice tone="bad"><span lang="en">{set.data.message}</span></Notice>)}
      <Dialog isOpen={asked !== undefined} onClose={() => ask(undefined)} title={asked === "off" ? <Trans>Switch off {node.name}</Trans> : <Trans>Switch on {node.name}</Trans>}>
        <Stack>
          <Text size="sm">
            {asked === "off" ? (
              <Trans>Its system is asked to shut down. Asked once more after half a minute, its power is cut. A node that holds work is drained first.</Trans>
            ) : (
              <Trans>The machine is started by its controller.</Trans>
            )}
          </Text>
          <Group justify="flex-end">
            <Button variant="default" onClick={() => ask(undefined)}><Trans>Leave it as it is</Trans></Button>
            <Button color={asked === "off" ? "red.8" : undefined} loading={set.isPending} onClick={() => asked && set.mutate({ path: { id: node.id }, body: { power: asked } })} data-autofocus>
              {asked === "off" ? <Trans>Switch off</Trans> : <Trans>Switch on</Trans>}
            </Button>
          </Group>
        </Stack>
      </Dialog>
    </>
  );
}
