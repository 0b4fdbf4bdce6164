import { Trans, useLingui } from "@lingui/react/macro";
import { Select, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { IdlePlace, IdleShare } from "~/api/__generated__";
import { costsIdleOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMoneyShort } from "~/lib/format";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { type Column, Loading, Rows } from "~/parts/QueryTable";

const RULES = ["use", "quota"] as const;

export function IdleCost({ period }: { period: string }) {
  const { t, i18n } = useLingui();
  const [rule, setRule] = useState<(typeof RULES)[number]>("use");
  const query = useQuery(costsIdleOptions({ query: { period, rule } }));
  const names = { use: t`By what each used`, quota: t`By what each is promised` };
  const currency = query.data?.currency ?? "CNY";
  const money = (amount: string) => <span className="aq-nowrap">{formatMoneyShort(amount, currency, i18n.locale)}</span>;
  const hours = (amount: string) => Number(amount).toLocaleString(i18n.locale, { maximumFractionDigits: 1 });
  const shares: Column<IdleShare>[] = [
    { key: "tenant", header: t`Tenant`, cell: (row) => <Text size="sm" fw={600}>{row.tenant_name}</Text> },
    { key: "cost", header: t`Bears`, align: "right", cell: (row) => money(row.cost) },
  ];
  const places: Column<IdlePlace>[] = [
    { key: "site", header: t`Site`, cell: (row) => row.site },
    { key: "flavor", header: t`What`, cell: (row) => row.flavor },
    { key: "capacity", header: t`Card-hours there were`, align: "right", cell: (row) => hours(row.capacity) },
    { key: "work", header: t`Worked`, align: "right", cell: (row) => hours(row.work) },
    { key: "reserved", header: t`Held only`, align: "right", cell: (row) => hours(row.reserved) },
    { key: "idle", header: t`Idle`, align: "right", cell: (row) => hours(row.idle) },
    { key: "cost", header: t`Idle cost`, align: "right", cell: (row) => (Number(row.unpriced) > 0 ? <>{money(row.idle_cost)} <Trans>(in part without a price)</Trans></> : money(row.idle_cost)) },
  ];
  return (
    <Stack gap="xs">
      <Select size="xs" w={220} aria-label={t`Rule`} allowDeselect={false} value={rule} data={RULES.map((value) => ({ value, label: names[value] }))} onChange={(value) => setRule(RULES.find((each) => each === value) ?? rule)} />
      <Text size="sm" c="dimmed"><Trans>Idle hours at list prices, spread over tenants by this rule. It informs: nothing of it is billed.</Trans></Text>
      {query.isError && <ProblemAlert error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Loading label={t`Idle cost`} />}
      {query.data && (
        <>
          {query.data.cost !== null && query.data.unallocated !== null && <Text size="sm"><Trans>All of it: {money(query.data.cost)}, of which nobody bears {money(query.data.unallocated)}</Trans></Text>}
          {query.data.shares.length > 0 ? <Rows rows={query.data.shares} columns={shares} rowKey={(row) => row.tenant} label={t`Who bears it`} /> : <Text size="sm" c="dimmed"><Trans>Nobody bears anything of it.</Trans></Text>}
          {query.data.places.length > 0 && <Rows rows={query.data.places} columns={places} rowKey={(row) => `${row.site} ${row.flavor}`} label={t`Where it stood idle`} />}
        </>
      )}
    </Stack>
  );
}
