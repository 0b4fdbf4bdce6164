/** Months: what of them is not settled yet, closing them, and the archives of those that are closed. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Anchor, Button, Checkbox, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Month } from "~/api/__generated__";
import { monthsCloseMutation, monthsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { ACCEPTABLE, IN_THE_WAY } from "~/lib/billing-words";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { FormDialog } from "~/parts/FormDialog";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { StateCell, useWord } from "~/parts/words";
import { Empty } from "~/ui/Panel";

const query = { ...monthsListInfiniteOptions({ query: { limit: 50 } }), ...byCursor };

export function Months() {
  const { t, i18n } = useLingui();
  const word = useWord();
  const months = useInfiniteQuery(query);
  const [closing, setClosing] = useState<Month>();
  const count = (many: number) => many.toLocaleString(i18n.locale);
  const columns: Column<Month>[] = [
    { key: "label", header: t`Month`, cell: (row) => <Text size="sm" fw={600}>{row.label}</Text> },
    { key: "state", header: t`State`, cell: (row) => <StateCell noun="month" of={row} /> },
    { key: "drafts", header: t`Drafts`, align: "right", cell: (row) => count(row.drafts) },
    { key: "unrated", header: t`Without a price`, align: "right", cell: (row) => count(row.unrated) },
    { key: "gaps", header: t`Open gaps`, align: "right", cell: (row) => count(row.gaps) },
    { key: "way", header: t`In the way`, cell: (row) => row.in_the_way.map((code) => <Text key={code} size="sm">{word(IN_THE_WAY, code)}</Text>) },
    {
      key: "archive",
      header: t`Archive`,
      cell: (row) =>
        row.state === "closed" && (
          <Stack gap={0}>
            <Anchor size="sm" href={`/api/v1/months/${row.id}/archive.json`} download><Trans>Archive</Trans></Anchor>
            <Text size="xs" c="dimmed" title={row.archive_sha256}>{row.archive_sha256.slice(0, 12)}</Text>
            <AppLink path={pb.billing({ tab: "settlement", period: row.label })}><Trans>Settlement</Trans></AppLink>
          </Stack>
        ),
    },
    {
      key: "close",
      header: "",
      cell: (row) => row.actions.includes("close") && <Button size="xs" variant="default" onClick={() => setClosing(row)}><Trans>Close the month</Trans></Button>,
    },
  ];
  return (
    <>
      <QueryTable query={months} columns={columns} rowKey={(row) => row.id} label={t`Months`} empty={<Empty title={<Trans>No months yet</Trans>}><Trans>They appear with the first usage.</Trans></Empty>} />
      {closing && <CloseMonth month={closing} onClose={() => setClosing(undefined)} />}
    </>
  );
}

function CloseMonth({ month, onClose }: { month: Month; onClose: () => void }) {
  const word = useWord();
  const client = useQueryClient();
  const acceptable = ACCEPTABLE.filter((code) => month.in_the_way.includes(code));
  const left = month.in_the_way.filter((code) => !acceptable.some((each) => each === code));
  const form = useForm({ initialValues: { accept: [] as string[] } });
  const close = useMutation({
    ...monthsCloseMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
  });
  return (
    <FormDialog
      title={<Trans>Close {month.label}</Trans>}
      verb={<Trans>Close the month</Trans>}
      onSubmit={form.onSubmit(({ accept }) => close.mutate({ path: { id: month.id }, body: { accept: ACCEPTABLE.filter((code) => accept.includes(code)) } }))}
      isPending={close.isPending}
      error={close.error}
      onClose={onClose}
    >
      <Text size="sm"><Trans>All that is metered is charged, all drafts are issued, the settlement is posted, and an archive is written. A closed month does not open again: what comes late is a correction of the next.</Trans></Text>
      {left.map((code) => <Text key={code} size="sm" c="red.8">{word(IN_THE_WAY, code)}</Text>)}
      {acceptable.length > 0 && (
        <Checkbox.Group label={<Trans>Close it although</Trans>} {...form.getInputProps("accept")}>
          <Stack gap="xs" mt="xs">{acceptable.map((code) => <Checkbox key={code} value={code} label={word(IN_THE_WAY, code)} />)}</Stack>
        </Checkbox.Group>
      )}
    </FormDialog>
  );
}
