/** A quota as it might be: whose, of what, and how much. */
import { useLingui } from "@lingui/react/macro";
import { NumberInput, Select } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Project } from "~/api/__generated__";
import { flavorsListOptions, quotasListOptions, tenantsListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMilli } from "~/lib/format";
import { amountOf } from "./amounts";
import type { QuotaDraft } from "./change";

interface Props {
  row: QuotaDraft;
  onChange: (part: Partial<QuotaDraft>) => void;
  projects: Project[];
}

export function QuotaFields({ row, onChange, projects }: Props) {
  const { t, i18n } = useLingui();
  const tenants = useQuery(tenantsListOptions({ query: { limit: 200 } }));
  const flavors = useQuery(flavorsListOptions({ query: { limit: 200 } }));
  const quotas = useQuery({ ...quotasListOptions({ query: { tenant: row.tenant, limit: 200 } }), enabled: row.tenant !== "" });
  const now = quotas.data?.results.find((each) => each.flavor === row.flavor && (each.project ?? "") === row.project);
  const amount = now && formatMilli(now.nominal_milli, i18n.locale);
  const owners = (tenants.data?.results ?? []).map((tenant) => ({
    group: tenant.name,
    items: [
      { value: tenant.id, label: t`${tenant.name} as a whole` },
      ...projects.filter((project) => project.tenant === tenant.id).map((project) => ({ value: `${tenant.id}/${project.id}`, label: `${project.name} (${tenant.name})` })),
    ],
  }));
  const choose = (owner: string | null) => {
    const [tenant = "", project = ""] = (owner ?? "").split("/");
    onChange({ tenant, project });
  };
  return (
    <>
      <Select size="xs" className="aq-span-two" label={t`Whose`} searchable allowDeselect={false} data={owners} value={row.tenant ? [row.tenant, row.project].filter(Boolean).join("/") : null} onChange={choose} />
      <Select size="xs" label={t`Of what`} searchable allowDeselect={false} data={flavors.data?.results.map((flavor) => flavor.name) ?? []} value={row.flavor || null} onChange={(flavor) => onChange({ flavor: flavor ?? "" })} />
      <NumberInput size="xs" label={amount === undefined ? t`New amount` : t`New amount (now ${amount})`} min={0} decimalScale={3} value={row.amount} onChange={(value) => onChange({ amount: amountOf(value) })} />
    </>
  );
}
