import { Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, Group, Progress, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconChevronDown, IconChevronRight, IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Export } from "~/api/__generated__";
import { exportsCancelMutation, exportsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { pollInterval } from "~/live/live";
import { formatCount, formatPercent } from "~/lib/format";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { type Verb, VerbMenu } from "~/parts/Verbs";
import { StateCell } from "~/parts/words";
import { Empty, Panel } from "~/ui/Panel";
import { useKinds, useTargets } from "./choices";
import { isInWork, progressOf } from "./exports";
import { Files } from "./Files";
import { NewExport } from "./NewExport";

/** Rows are written without events: while one is made, the list is read again. */
const EVERY_MS = 2_000;

const query = { ...exportsListInfiniteOptions({ query: { limit: 20 } }), ...byCursor };

const VERBS: Verb[] = [
  { name: "cancel", permission: "export.edit", mutation: exportsCancelMutation, isDangerous: true, confirm: <Trans>It is not made any further. What is at a target already stays there.</Trans> },
];

export function ExportList({ mayChange }: { mayChange: boolean }) {
  const { t } = useLingui();
  const { kindOf } = useKinds();
  const { nameOf } = useTargets();
  const exports = useInfiniteQuery({
    ...query,
    refetchInterval: ({ state }) => (state.data?.pages.some((page) => page.results.some(isInWork)) ? EVERY_MS : pollInterval()),
  });
  const [opened, setOpened] = useState<string>();
  const [isMaking, { open, close }] = useDisclosure(false);
  const nameIt = (row: Export) => `${kindOf(row.kind)}, ${row.period}`;
  const columns: Column<Export>[] = [
    {
      key: "kind",
      header: t`Export`,
      cell: (row) => (
        <Group gap={4} wrap="nowrap">
          <ActionIcon variant="subtle" color="gray" size="sm" aria-expanded={row.id === opened} aria-label={t`Files of ${nameIt(row)}`} onClick={() => setOpened(row.id === opened ? undefined : row.id)}>
            {row.id === opened ? <IconChevronDown size={16} /> : <IconChevronRight size={16} />}
          </ActionIcon>
          <div>
            <Text size="sm" fw={600} className="aq-nowrap">{kindOf(row.kind)}</Text>
            <Text size="xs" c="dimmed">{row.format}</Text>
          </div>
        </Group>
      ),
    },
    { key: "period", header: t`Month`, cell: (row) => <span className="aq-nowrap">{row.period}</span> },
    { key: "tenant", header: t`Tenant`, cell: (row) => (row.tenant === null ? <Trans>all tenants</Trans> : row.tenant_name) },
    { key: "target", header: t`Where to`, cell: (row) => nameOf(row.target) },
    { key: "state", header: t`State`, cell: (row) => <State of={row} /> },
    { key: "by", header: t`Asked for by`, cell: (row) => row.requested_by },
    {
      key: "verbs",
      header: <span className="aq-hidden">{t`Actions`}</span>,
      align: "right",
      cell: (row) => <VerbMenu noun="export" thing={{ ...row, name: nameIt(row) }} verbs={VERBS} />,
    },
  ];
  return (
    <Panel title={t`Exports`} aside={mayChange && <Button size="xs" leftSection={<IconPlus size={14} />} onClick={open}><Trans>New export</Trans></Button>}>
      <QueryTable
        query={exports}
        columns={columns}
        rowKey={(row) => row.id}
        label={t`Exports`}
        detail={(row) => row.id === opened && <Files of={row} />}
        empty={<Empty title={<Trans>No exports yet</Trans>}><Trans>The charges of a month, for cost tools, warehouses and people.</Trans></Empty>}
      />
      {isMaking && <NewExport onClose={close} />}
    </Panel>
  );
}

function State({ of: row }: { of: Export }) {
  const { t, i18n } = useLingui();
  const percent = progressOf(row);
  return (
    <>
      <StateCell noun="export" of={row} />
      {row.state === "running" && (
        <>
          <Progress mt={4} miw={140} size="sm" value={percent} aria-label={t`How far it is`} />
          <Text size="xs" c="dimmed" className="aq-nowrap"><Trans>{formatCount(row.rows, i18n.locale)} of about {formatCount(row.expected_rows, i18n.locale)} rows, {formatPercent(percent, i18n.locale)}</Trans></Text>
        </>
      )}
      {(isInWork(row) || row.state === "failed") && row.message && <Text size="xs" className="aq-wrap" maw={320}>{row.message}</Text>}
    </>
  );
}
