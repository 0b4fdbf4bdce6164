/** The price books, each in one currency, and the taxes on what is asked for by them. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Badge, Button, Group, Stack, Text, Title } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { PriceBook, TaxRule } from "~/api/__generated__";
import { priceBooksListInfiniteOptions, taxRulesListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatRate } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { formatMoment } from "~/lib/time";
import { AppLink } from "~/parts/AppLink";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { Empty } from "~/ui/Panel";
import { useBooks } from "./choices";
import { NewBook } from "./NewBook";
import { NewTax } from "./NewTax";

const books = { ...priceBooksListInfiniteOptions({ query: { limit: 100 } }), ...byCursor };
const taxes = { ...taxRulesListInfiniteOptions({ query: { limit: 100 } }), ...byCursor };

export function Books() {
  const { t, i18n } = useLingui();
  const [making, make] = useState<"book" | "tax">();
  const { choices } = useBooks();
  const bookList = useInfiniteQuery(books);
  const taxList = useInfiniteQuery(taxes);
  const close = () => make(undefined);
  const bookColumns: Column<PriceBook>[] = [
    {
      key: "name",
      header: t`Price book`,
      cell: (row) => (
        <>
          <Group gap={6}>
            <Text size="sm" fw={600}>{row.name}</Text>
            {row.is_default && <Badge size="sm" variant="default" tt="none"><Trans>default of its currency</Trans></Badge>}
          </Group>
          <Text size="xs" c="dimmed">{row.slug}</Text>
        </>
      ),
    },
    { key: "currency", header: t`Currency`, cell: (row) => row.currency },
    { key: "made", header: t`Made`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.created_at, i18n.locale)}</span> },
    { key: "prices", header: t`Prices`, cell: (row) => <AppLink path={pb.billing({ tab: "prices", book: row.slug })}><Trans>See its prices</Trans></AppLink> },
  ];
  const taxColumns: Column<TaxRule>[] = [
    { key: "name", header: t`Tax`, cell: (row) => <Text size="sm" fw={600}>{row.name}</Text> },
    { key: "rate", header: t`Rate`, align: "right", cell: (row) => formatRate(row.rate, i18n.locale) },
    { key: "book", header: t`Price book`, cell: (row) => choices.find(({ value }) => value === row.book)?.label ?? row.book },
    { key: "from", header: t`From`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.valid_from, i18n.locale)}</span> },
    { key: "to", header: t`Until`, cell: (row) => <span className="aq-nowrap">{row.valid_to ? formatMoment(row.valid_to, i18n.locale) : "–"}</span> },
  ];
  return (
    <Stack>
      <div>
        <Group justify="space-between" mb="xs">
          <Title order={2} size="h3"><Trans>Price books</Trans></Title>
          <Button size="xs" leftSection={<IconPlus size={14} />} onClick={() => make("book")}><Trans>Make a book</Trans></Button>
        </Group>
        <QueryTable
          query={bookList}
          columns={bookColumns}
          rowKey={(row) => row.id}
          label={t`Price books`}
          empty={<Empty title={<Trans>No price books yet</Trans>}><Trans>The default book is made with the first price.</Trans></Empty>}
        />
      </div>
      <div>
        <Group justify="space-between" mb="xs">
          <Title order={2} size="h3"><Trans>Taxes</Trans></Title>
          <Button size="xs" variant="default" leftSection={<IconPlus size={14} />} onClick={() => make("tax")}><Trans>Set a tax</Trans></Button>
        </Group>
        <QueryTable
          query={taxList}
          columns={taxColumns}
          rowKey={(row) => row.id}
          label={t`Taxes`}
          empty={<Empty title={<Trans>No taxes</Trans>}><Trans>Invoices are without tax until a rule is set for their book.</Trans></Empty>}
        />
      </div>
      {making === "book" && <NewBook onClose={close} />}
      {making === "tax" && <NewTax onClose={close} />}
    </Stack>
  );
}
