import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import type { ExportTarget } from "~/api/__generated__";
import { exportTargetsDestroyMutation, exportTargetsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { type Verb, VerbMenu } from "~/parts/Verbs";
import { Empty, Panel } from "~/ui/Panel";
import { useTenants } from "../choices";
import { NewTarget } from "./NewTarget";

const query = { ...exportTargetsListInfiniteOptions({ query: { limit: 50 } }), ...byCursor };

const VERBS: Verb[] = [
  { name: "remove", permission: "export.edit", mutation: exportTargetsDestroyMutation, isDangerous: true, confirm: <Trans>Its keys are forgotten. What is in the bucket stays there.</Trans> },
];

export function Targets({ mayChange }: { mayChange: boolean }) {
  const { t } = useLingui();
  const { nameOf } = useTenants();
  const targets = useInfiniteQuery(query);
  const [isAdding, { open, close }] = useDisclosure(false);
  const columns: Column<ExportTarget>[] = [
    { key: "slug", header: t`Target`, cell: (row) => <Text size="sm" fw={600}>{row.slug}</Text> },
    { key: "where", header: t`Bucket`, cell: (row) => <><Text size="sm" className="aq-wrap">{`${row.bucket}/${row.prefix}`}</Text><Text size="xs" c="dimmed" className="aq-wrap">{row.endpoint} · {row.region}</Text></> },
    { key: "whose", header: t`For exports of`, cell: (row) => (row.tenant === null ? <Trans>all tenants</Trans> : nameOf(row.tenant)) },
    {
      key: "verbs",
      header: <span className="aq-hidden">{t`Actions`}</span>,
      align: "right",
      cell: (row) => <VerbMenu noun="export-target" thing={{ id: row.id, state: "", name: row.slug, actions: mayChange ? ["remove"] : [] }} verbs={VERBS} />,
    },
  ];
  return (
    <Panel title={t`Targets`} aside={mayChange && <Button size="xs" variant="default" leftSection={<IconPlus size={14} />} onClick={open}><Trans>Add a target</Trans></Button>}>
      <QueryTable
        query={targets}
        columns={columns}
        rowKey={(row) => row.id}
        label={t`Targets of exports`}
        empty={<Empty title={<Trans>No targets</Trans>}><Trans>Exports are downloaded here. Add a bucket of S3, or of what speaks it, to have them sent.</Trans></Empty>}
      />
      {isAdding && <NewTarget onClose={close} />}
    </Panel>
  );
}
