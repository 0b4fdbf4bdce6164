/** Budgets by month: what is spent, what work may still cost, and what is left for new work. */
import { Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, Group, Stack, Text } from "@mantine/core";
import { IconChevronDown, IconChevronRight, IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Budget } from "~/api/__generated__";
import { budgetsEndMutation, budgetsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { ON_EXHAUSTED } from "~/lib/billing-words";
import { formatMoneyShort, formatPercent } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { useWord } from "~/parts/words";
import { Dialog } from "~/ui/Dialog";
import { Empty } from "~/ui/Panel";
import { StateMark } from "~/ui/StateMark";
import { BudgetForm } from "./BudgetForm";
import { BudgetHolds } from "./BudgetHolds";
import { partsOf } from "./budget-bar";

const query = { ...budgetsListInfiniteOptions({ query: { limit: 100, is_open: true } }), ...byCursor };

export function Budgets() {
  const { t, i18n } = useLingui();
  const can = useCan();
  const word = useWord();
  const budgets = useInfiniteQuery(query);
  const [opened, setOpened] = useState<string>();
  const [edited, edit] = useState<Budget | "new">();
  const [ending, end] = useState<Budget>();
  const columns: Column<Budget>[] = [
    {
      key: "whose",
      header: t`Whose`,
      cell: (row) => (
        <Group gap={4} wrap="nowrap">
          <ActionIcon variant="subtle" color="gray" size="sm" aria-expanded={row.id === opened} aria-label={t`What is held of the budget of ${row.project_name ?? row.tenant_name}`} onClick={() => setOpened(row.id === opened ? undefined : row.id)}>
            {row.id === opened ? <IconChevronDown size={16} /> : <IconChevronRight size={16} />}
          </ActionIcon>
          <div>
            <Text size="sm" fw={600}>{row.project_name ?? <Trans>all projects</Trans>}</Text>
            <AppLink path={pb.tenant(row.tenant)}>{row.tenant_name}</AppLink>
          </div>
        </Group>
      ),
    },
    { key: "month", header: t`Month`, cell: (row) => <span className="aq-nowrap">{row.period}</span> },
    { key: "bar", header: t`Spent`, cell: (row) => <BudgetBar budget={row} /> },
    { key: "left", header: t`Left`, align: "right", cell: (row) => <span className="aq-nowrap">{formatMoneyShort(row.left, row.currency, i18n.locale)}</span> },
    { key: "alerts", header: t`Reached`, cell: (row) => <Reached budget={row} /> },
    { key: "then", header: t`When it is spent`, cell: (row) => word(ON_EXHAUSTED, row.on_exhausted) },
    {
      key: "verbs",
      header: "",
      cell: (row) =>
        row.actions.length > 0 && (
          <Group gap="xs" wrap="nowrap">
            <Button size="compact-xs" variant="default" onClick={() => edit(row)}><Trans>Change</Trans></Button>
            <Button size="compact-xs" variant="default" onClick={() => end(row)}><Trans>End</Trans></Button>
          </Group>
        ),
    },
  ];
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Text size="sm" c="dimmed"><Trans>Work is let in only while what it may cost at worst is left of the budgets of its project and its tenant.</Trans></Text>
        {can("budget.edit") && <Button size="xs" leftSection={<IconPlus size={14} />} onClick={() => edit("new")}><Trans>Set a budget</Trans></Button>}
      </Group>
      <QueryTable
        query={budgets}
        columns={columns}
        rowKey={(row) => row.id}
        label={t`Budgets`}
        detail={(row) => row.id === opened && <BudgetHolds budget={row} />}
        empty={<Empty title={<Trans>No budgets yet</Trans>}><Trans>Nothing is refused for what it costs.</Trans></Empty>}
      />
      {edited && <BudgetForm budget={edited === "new" ? undefined : edited} onClose={() => edit(undefined)} />}
      {ending && <EndBudget budget={ending} onClose={() => end(undefined)} />}
    </>
  );
}

export function BudgetBar({ budget }: { budget: Pick<Budget, "limit" | "spent" | "held" | "currency"> }) {
  const { t, i18n } = useLingui();
  const money = (amount: string) => formatMoneyShort(amount, budget.currency, i18n.locale);
  const parts = partsOf(budget);
  const [spent, held, limit] = [money(budget.spent), money(budget.held), money(budget.limit)];
  return (
    <div className="aq-quota">
      <Text size="xs" className="aq-nowrap">{spent} / {limit}</Text>
      <svg className="aq-bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label={t`${spent} spent and ${held} held, of ${limit}`}>
        <rect className="aq-bar-track" width="1000" height="10" />
        <rect className={parts.percent >= 100 ? "aq-unhealthy" : "aq-busy"} width={parts.spent} height="10" />
        <rect className="aq-held" x={parts.spent} width={parts.held} height="10" />
        {parts.limit < 1000 && <rect className="aq-bar-mark" x={Math.max(0, parts.limit - 2)} width="4" height="10" />}
      </svg>
      {Number(budget.held) > 0 && <Text size="xs" c="dimmed"><Trans>{held} held for work that was let in</Trans></Text>}
    </div>
  );
}

/** The thresholds that this month's spending has reached. */
function Reached({ budget }: { budget: Budget }) {
  const { i18n } = useLingui();
  const last = budget.alerts.at(-1);
  if (!last) return "–";
  return <StateMark tone={last.threshold >= 100 ? "bad" : "warning"} label={formatPercent(last.threshold, i18n.locale)} />;
}

function EndBudget({ budget, onClose }: { budget: Budget; onClose: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const end = useMutation({
    ...budgetsEndMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
  });
  return (
    <Dialog isOpen onClose={onClose} title={t`End the budget`}>
      <Stack>
        {end.error && <ProblemAlert error={end.error} />}
        <Text size="sm"><Trans>Nothing is refused by it any more. What was spent stays as it is.</Trans></Text>
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}><Trans>Leave it as it is</Trans></Button>
          <Button color="red.8" loading={end.isPending} onClick={() => end.mutate({ path: { id: budget.id } })}><Trans>End it</Trans></Button>
        </Group>
      </Stack>
    </Dialog>
  );
}
