import { Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import type { Price } from "~/api/__generated__";
import { pricesListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMoney } from "~/lib/format";
import { formatMoment } from "~/lib/time";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { Empty } from "~/ui/Panel";

const query = { ...pricesListInfiniteOptions({ query: { limit: 100 } }), ...byCursor };

/** What it is for, where it is not for all: names that operators gave, and words of the API. */
function particulars(price: Price): string {
  return [price.site, price.slicing_mode, price.service_class, price.tenant_class, price.tier_mode].filter(Boolean).join(" · ");
}

function per(price: Price) {
  if (price.meter === "memory") return <Trans>per GiB and hour</Trans>;
  if (price.meter === "energy") return <Trans>per kWh</Trans>;
  return price.meter === "cpu" || price.unit === "core" ? <Trans>per core and hour</Trans> : <Trans>per card and hour</Trans>;
}

export function Prices() {
  const { t, i18n } = useLingui();
  const prices = useInfiniteQuery(query);
  const columns: Column<Price>[] = [
    { key: "flavor", header: t`What`, cell: (row) => <><Text size="sm" fw={600}>{row.flavor || <Trans>any card</Trans>}</Text><Text size="xs" c="dimmed">{particulars(row)}</Text></> },
    {
      key: "price",
      header: t`Price`,
      align: "right",
      cell: (row) => <span className="aq-nowrap">{formatMoney(row.unit_price, row.currency, i18n.locale)} {per(row)}</span>,
    },
    { key: "for", header: t`For whom`, cell: (row) => row.tenant_name ?? <Text size="sm" c="dimmed"><Trans>everybody</Trans></Text> },
    { key: "from", header: t`From`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.valid_from, i18n.locale)}</span> },
    { key: "to", header: t`Until`, cell: (row) => <span className="aq-nowrap">{row.valid_to ? formatMoment(row.valid_to, i18n.locale) : "–"}</span> },
  ];
  return (
    <QueryTable
      query={prices}
      columns={columns}
      rowKey={(row) => row.id}
      label={t`Prices`}
      empty={<Empty title={<Trans>No prices yet</Trans>}><Trans>Usage is metered all the same and costs 0 until there is a price: POST /api/v1/prices.</Trans></Empty>}
    />
  );
}
