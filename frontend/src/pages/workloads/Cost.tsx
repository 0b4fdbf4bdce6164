/** What the work may cost, before it is sent, and whether its budgets have that much left. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import type { Estimate } from "~/api/__generated__";
import { formatMoneyShort } from "~/lib/format";
import { Notice } from "~/ui/Notice";

export function Cost({ found }: { found: Estimate }) {
  const { t, i18n } = useLingui();
  const money = (amount: string) => formatMoneyShort(amount, found.currency, i18n.locale);
  if (!found.is_priced) return <Notice tone="busy" title={t`Nothing has a price yet`} role="status" />;
  const [hour, worst] = [money(found.per_hour), money(found.worst_case)];
  const isOver = found.budgets.some((budget) => !budget.is_enough);
  return (
    <Notice tone={isOver ? "bad" : "busy"} title={isOver ? t`A budget does not have that much left` : t`It may cost up to ${worst} this month`} role="status">
      <Text size="sm">{found.has_time_limit ? <Trans>At most {hour} an hour until its time limit: {worst}</Trans> : <Trans>At most {hour} an hour until the month ends: {worst}. A time limit makes it less.</Trans>}</Text>
      {found.budgets.map((budget) => (
        <Text key={budget.budget} size="sm" c={budget.is_enough ? "dimmed" : undefined} fw={budget.is_enough ? undefined : 600}>
          <Trans>Budget of {budget.project_name ?? budget.tenant_name}: {money(budget.left)} of {money(budget.limit)} left; this would reserve {money(budget.cost)}</Trans>
        </Text>
      ))}
    </Notice>
  );
}
