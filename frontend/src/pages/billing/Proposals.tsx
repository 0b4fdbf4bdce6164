/** What months would cost by other prices: shown, and posted when approved. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import type { Proposal } from "~/api/__generated__";
import { proposalsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMoney } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { formatMoment } from "~/lib/time";
import { onlyState, PROPOSAL_STATES } from "~/lib/words";
import { AppLink } from "~/parts/AppLink";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { StateTabs } from "~/parts/StateTabs";
import { StateCell } from "~/parts/words";
import { Empty } from "~/ui/Panel";
import { useBooks, useTenants } from "./choices";
import { Change } from "./Change";
import { NewProposal } from "./NewProposal";

export function Proposals() {
  const { t, i18n } = useLingui();
  const { state } = useSearch({ strict: false });
  const { nameOf } = useTenants();
  const { choices: books } = useBooks();
  const proposals = useInfiniteQuery({ ...proposalsListInfiniteOptions({ query: { limit: 50, state: onlyState(PROPOSAL_STATES, state)?.[0] } }), ...byCursor });
  const [isMaking, { open, close }] = useDisclosure(false);
  const columns: Column<Proposal>[] = [
    { key: "tenant", header: t`Tenant`, cell: (row) => <AppLink path={pb.proposal(row.id)} fw={600}>{nameOf(row.tenant)}</AppLink> },
    { key: "book", header: t`By the book`, cell: (row) => books.find(({ value }) => value === row.book)?.label ?? row.book },
    {
      key: "period",
      header: t`Period`,
      cell: (row) => <><span className="aq-nowrap">{formatMoment(row.period_start, i18n.locale)}</span><Text size="xs" c="dimmed" className="aq-nowrap"><Trans>until {formatMoment(row.period_end, i18n.locale)}</Trans></Text></>,
    },
    { key: "state", header: t`State`, cell: (row) => <StateCell noun="proposal" of={row} /> },
    { key: "was", header: t`Was`, align: "right", cell: (row) => <span className="aq-nowrap">{formatMoney(row.was, row.currency, i18n.locale, 2)}</span> },
    { key: "would", header: t`Would be`, align: "right", cell: (row) => <span className="aq-nowrap">{formatMoney(row.would_be, row.currency, i18n.locale, 2)}</span> },
    { key: "difference", header: t`Difference`, align: "right", cell: (row) => <Change was={row.was} wouldBe={row.would_be} currency={row.currency} /> },
  ];
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Text size="sm" c="dimmed"><Trans>Rates what a tenant used by the prices of another book. Nothing is posted until you approve it.</Trans></Text>
        <Button size="xs" leftSection={<IconPlus size={14} />} onClick={open}><Trans>Try other prices</Trans></Button>
      </Group>
      <StateTabs noun="proposal" states={Object.keys(PROPOSAL_STATES)} current={state} path={(next) => pb.billing({ tab: "rerating", state: next })} />
      <QueryTable
        query={proposals}
        columns={columns}
        rowKey={(row) => row.id}
        label={t`Re-rating`}
        empty={<Empty title={<Trans>No proposals here</Trans>}><Trans>Choose a tenant, a book and a period, and see what would differ.</Trans></Empty>}
      />
      {isMaking && <NewProposal onClose={close} />}
    </>
  );
}
