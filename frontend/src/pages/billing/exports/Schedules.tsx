import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { exportSchedulesPartialUpdate, type ExportSchedule } from "~/api/__generated__";
import { exportSchedulesDestroyMutation, exportSchedulesListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { EVERY } from "~/lib/billing-words";
import { formatMoment } from "~/lib/time";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { type Verb, VerbMenu } from "~/parts/Verbs";
import { useWord } from "~/parts/words";
import { Empty, Panel } from "~/ui/Panel";
import { StateMark } from "~/ui/StateMark";
import { useTenants } from "../choices";
import { useKinds, useTargets } from "./choices";
import { NewSchedule } from "./NewSchedule";

const query = { ...exportSchedulesListInfiniteOptions({ query: { limit: 50 } }), ...byCursor };

/** The API lists no actions of schedules: one that is paused goes on, others are paused, and any is removed. */
function verbsOf({ is_paused, version }: ExportSchedule): Verb[] {
  return [
    {
      name: is_paused ? "unpause" : "pause",
      permission: "export.edit",
      mutation: () => ({
        mutationFn: async ({ path }: { path: { id: string } }) =>
          (await exportSchedulesPartialUpdate({ path, body: { is_paused: !is_paused }, headers: { "If-Match": `"${version}"` }, throwOnError: true })).data,
      }),
    },
    { name: "remove", permission: "export.edit", mutation: exportSchedulesDestroyMutation, isDangerous: true, confirm: <Trans>Nothing is exported by it any more. What it made stays.</Trans> },
  ];
}

export function Schedules({ mayChange }: { mayChange: boolean }) {
  const { t, i18n } = useLingui();
  const word = useWord();
  const { kindOf } = useKinds();
  const { nameOf: targetOf } = useTargets();
  const { nameOf: tenantOf } = useTenants();
  const schedules = useInfiniteQuery(query);
  const [isAdding, { open, close }] = useDisclosure(false);
  const columns: Column<ExportSchedule>[] = [
    { key: "kind", header: t`What`, cell: (row) => <><Text size="sm" fw={600} className="aq-nowrap">{kindOf(row.kind)}</Text><Text size="xs" c="dimmed">{row.format}</Text></> },
    { key: "every", header: t`When`, cell: (row) => <><Text size="sm">{word(EVERY, row.every)}</Text><Text size="xs" c="dimmed"><Trans>at {row.hour}:00, time of billing</Trans></Text></> },
    { key: "tenant", header: t`Tenant`, cell: (row) => (row.tenant === null ? <Trans>all tenants</Trans> : tenantOf(row.tenant)) },
    { key: "target", header: t`Where to`, cell: (row) => targetOf(row.target) },
    { key: "state", header: t`State`, cell: (row) => (row.is_paused ? <StateMark tone="warning" label={t`Paused`} /> : <StateMark tone="good" label={t`Runs`} />) },
    { key: "next", header: t`Next`, cell: (row) => <span className="aq-nowrap">{row.is_paused ? "–" : formatMoment(row.next_at, i18n.locale)}</span> },
    {
      key: "verbs",
      header: <span className="aq-hidden">{t`Actions`}</span>,
      align: "right",
      cell: (row) => {
        const verbs = verbsOf(row);
        return <VerbMenu noun="export-schedule" thing={{ id: row.id, state: "", name: `${kindOf(row.kind)}, ${word(EVERY, row.every)}`, actions: mayChange ? verbs.map(({ name }) => name) : [] }} verbs={verbs} />;
      },
    },
  ];
  return (
    <Panel title={t`Schedules`} aside={mayChange && <Button size="xs" variant="default" leftSection={<IconPlus size={14} />} onClick={open}><Trans>Add a schedule</Trans></Button>}>
      <QueryTable
        query={schedules}
        columns={columns}
        rowKey={(row) => row.id}
        label={t`Schedules of exports`}
        empty={<Empty title={<Trans>No schedules</Trans>}><Trans>Exports are made only when somebody asks.</Trans></Empty>}
      />
      {isAdding && <NewSchedule onClose={close} />}
    </Panel>
  );
}
