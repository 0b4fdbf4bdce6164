/** For which work a budget holds something back, the most first. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import type { Budget, BudgetHold } from "~/api/__generated__";
import { budgetsHoldsInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { formatMoneyShort } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { StateCell } from "~/parts/words";

export function BudgetHolds({ budget }: { budget: Budget }) {
  const { t, i18n } = useLingui();
  const can = useCan();
  const holds = useInfiniteQuery({ ...budgetsHoldsInfiniteOptions({ path: { id: budget.id }, query: { limit: 20 } }), ...byCursor, initialPageParam: { path: { id: budget.id }, query: {} } });
  const money = (amount: string) => <span className="aq-nowrap">{formatMoneyShort(amount, budget.currency, i18n.locale)}</span>;
  const columns: Column<BudgetHold>[] = [
    {
      key: "work",
      header: t`Work`,
      cell: (row) => (
        <>
          {row.name === null ? <Text size="sm" c="dimmed"><Trans>is gone</Trans></Text> : can("workload.view") ? <AppLink path={pb.workload(row.workload)}>{row.name}</AppLink> : <Text size="sm">{row.name}</Text>}
          <Text size="xs" c="dimmed">{[row.project_name, row.submitted_by].filter(Boolean).join(" · ")}</Text>
        </>
      ),
    },
    { key: "state", header: t`State`, cell: (row) => row.state !== null && <StateCell noun="workload" of={{ state: row.state }} withAge={false} /> },
    { key: "held", header: t`Held for the rest`, align: "right", cell: (row) => money(row.held) },
    { key: "used", header: t`Spent this month`, align: "right", cell: (row) => money(row.used) },
    { key: "hour", header: t`An hour, at most`, align: "right", cell: (row) => money(row.per_hour) },
  ];
  return (
    <QueryTable
      query={holds}
      columns={columns}
      rowKey={(row) => row.workload}
      label={t`Work that this budget holds something for`}
      empty={<Text size="sm" c="dimmed"><Trans>Nothing is held: no work that draws on this budget waits or runs.</Trans></Text>}
    />
  );
}
