import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, SegmentedControl, Select, Text } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import type { Price } from "~/api/__generated__";
import { pricesListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { SERVICE_CLASSES, TENANT_CLASSES, TIER_MODES } from "~/lib/billing-words";
import { formatMoney } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { formatLength, formatMoment } from "~/lib/time";
import { MODES } from "~/lib/words";
import { splitPath } from "~/parts/AppLink";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { useWord } from "~/parts/words";
import { useNow } from "~/ui/now";
import { Empty } from "~/ui/Panel";
import { useBooks } from "./choices";
import { NewPrice } from "./NewPrice";
import type { PriceDraft } from "./price-draft";

function per(price: Price) {
  if (price.meter === "memory") return <Trans>per GiB and hour</Trans>;
  if (price.meter === "energy") return <Trans>per kWh</Trans>;
  return price.meter === "cpu" || price.unit === "core" ? <Trans>per core and hour</Trans> : <Trans>per card and hour</Trans>;
}

/** The price that follows another starts out as it, but for the amount and when it holds. */
const after = (price: Price): Partial<PriceDraft> => ({
  book: price.book, meter: price.meter, flavor: price.flavor, tenant: price.tenant ?? "", tenantClass: price.tenant_class ?? "", site: price.site ?? "",
  slicingMode: price.slicing_mode ?? "", serviceClass: price.service_class ?? "", tierMode: price.tier_mode || "graduated", tierScope: price.tier_scope ?? "tenant",
  tiers: price.tiers.map(({ start, unit_price }) => ({ key: start, start: plain(start), price: plain(unit_price) })), minimumSeconds: price.minimum_seconds || "",
  stepSeconds: (price.step_seconds ?? 1) > 1 ? (price.step_seconds ?? "") : "",
});

/** "1000.000000000" as one would type it. */
const plain = (amount: string) => (amount.includes(".") ? amount.replace(/\.?0+$/, "") : amount);

export function Prices() {
  const { t, i18n } = useLingui();
  const can = useCan();
  const navigate = useNavigate();
  const { book, when } = useSearch({ strict: false });
  // To the end of this minute, so that a price that begins now is among those that hold.
  const now = new Date((Math.floor(useNow() / 60_000) + 1) * 60_000).toISOString();
  const { choices: books } = useBooks();
  const [setting, set] = useState<Partial<PriceDraft>>();
  const holds_at = when === "ever" ? undefined : now;
  const prices = useInfiniteQuery({ ...pricesListInfiniteOptions({ query: { limit: 100, book, holds_at } }), ...byCursor, placeholderData: keepPreviousData });
  const go = (changed: { book?: string; when?: string }) => void navigate({ ...splitPath(pb.billing({ tab: "prices", book, when, ...changed })), replace: true });
  const mayEdit = can("price.edit");
  const columns: Column<Price>[] = [
    { key: "flavor", header: t`What`, cell: (row) => <><Text size="sm" fw={600}>{row.flavor || <Trans>any card</Trans>}</Text><Particulars price={row} /></> },
    {
      key: "price",
      header: t`Price`,
      align: "right",
      cell: (row) => <><span className="aq-nowrap">{formatMoney(row.unit_price, row.currency, i18n.locale)} {per(row)}</span><Tiers price={row} /></>,
    },
    { key: "book", header: t`Price book`, cell: (row) => <span className="aq-nowrap">{books.find(({ value }) => value === row.book)?.label ?? row.book}</span> },
    { key: "for", header: t`For whom`, cell: (row) => row.tenant_name ?? <Text size="sm" c="dimmed"><Trans>everybody</Trans></Text> },
    { key: "from", header: t`From`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.valid_from, i18n.locale)}</span> },
    { key: "to", header: t`Until`, cell: (row) => <span className="aq-nowrap">{row.valid_to ? formatMoment(row.valid_to, i18n.locale) : "–"}</span> },
    ...(mayEdit ? [{ key: "change", header: <span className="aq-hidden">{t`Actions`}</span>, cell: (row: Price) => <Button size="compact-xs" variant="default" onClick={() => set(after(row))}><Trans>Change</Trans></Button> }] : []),
  ];
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Group gap="xs">
          <SegmentedControl size="xs" aria-label={t`Which prices`} value={when === "ever" ? "ever" : "now"} onChange={(value) => go({ when: value === "ever" ? value : undefined })} data={[{ value: "now", label: t`Those that hold now` }, { value: "ever", label: t`All, past and planned` }]} />
          {mayEdit && <Select size="xs" w={220} clearable aria-label={t`Price book`} placeholder={t`All price books`} value={book ?? null} data={books} onChange={(value) => go({ book: value ?? undefined })} />}
        </Group>
        {mayEdit && <Button size="xs" leftSection={<IconPlus size={14} />} onClick={() => set({ book: book ?? "" })}><Trans>Set a price</Trans></Button>}
      </Group>
      <QueryTable
        query={prices}
        columns={columns}
        rowKey={(row) => row.id}
        label={t`Prices`}
        empty={<Empty title={<Trans>No prices here</Trans>}><Trans>Usage is metered all the same and costs 0 until there is a price.</Trans></Empty>}
      />
      {setting && <NewPrice start={setting} onClose={() => set(undefined)} />}
    </>
  );
}

/** What it is for, where it is not for all, and how it is counted. */
function Particulars({ price }: { price: Price }) {
  const { t, i18n } = useLingui();
  const word = useWord();
  const least = price.minimum_seconds ? formatLength(price.minimum_seconds, i18n.locale) : "";
  const step = (price.step_seconds ?? 1) > 1 ? formatLength(price.step_seconds ?? 1, i18n.locale) : "";
  const said = [
    price.site, price.slicing_mode && word(MODES, price.slicing_mode), price.service_class && word(SERVICE_CLASSES, price.service_class),
    price.tenant_class && word(TENANT_CLASSES, price.tenant_class), least && t`at least ${least}`, step && t`in steps of ${step}`,
  ].filter(Boolean);
  return said.length > 0 ? <Text size="xs" c="dimmed" maw={280}>{said.join(" · ")}</Text> : null;
}

function Tiers({ price }: { price: Price }) {
  const { t, i18n } = useLingui();
  const word = useWord();
  if (price.tiers.length === 0) return null;
  return (
    <>
      {price.tiers.map((tier) => {
        const start = Number(tier.start).toLocaleString(i18n.locale, { maximumFractionDigits: 3 });
        return <Text key={tier.start} size="xs" className="aq-nowrap">{t`from ${start} h`}: {formatMoney(tier.unit_price, price.currency, i18n.locale)}</Text>;
      })}
      <Text size="xs" c="dimmed">{price.tier_mode && word(TIER_MODES, price.tier_mode)}</Text>
    </>
  );
}
