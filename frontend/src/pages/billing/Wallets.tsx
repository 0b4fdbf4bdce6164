/** Wallets: what tenants have in advance, what came in, and what of it is left. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Text, Title } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import type { Credit, Wallet } from "~/api/__generated__";
import { creditsListInfiniteOptions, walletsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { CREDIT_KINDS } from "~/lib/billing-words";
import { formatMoney } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { formatMoment } from "~/lib/time";
import { AppLink } from "~/parts/AppLink";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { useWord } from "~/parts/words";
import { Empty } from "~/ui/Panel";
import { NewCredit } from "./NewCredit";

const walletsQuery = { ...walletsListInfiniteOptions({ query: { limit: 100 } }), ...byCursor };
const creditsQuery = { ...creditsListInfiniteOptions({ query: { limit: 100 } }), ...byCursor };

export function Wallets() {
  const { t, i18n } = useLingui();
  const can = useCan();
  const word = useWord();
  const wallets = useInfiniteQuery(walletsQuery);
  const credits = useInfiniteQuery(creditsQuery);
  const [isAdding, { open, close }] = useDisclosure(false);
  const ofWallet: Column<Wallet>[] = [
    { key: "tenant", header: t`Tenant`, cell: (row) => <AppLink path={pb.tenant(row.tenant)}>{row.tenant_name}</AppLink> },
    { key: "balance", header: t`Balance`, align: "right", cell: (row) => <strong className="aq-nowrap">{formatMoney(row.balance, row.currency, i18n.locale)}</strong> },
    { key: "overdraft", header: t`May be overdrawn by`, align: "right", cell: (row) => <span className="aq-nowrap">{row.overdraft ? formatMoney(row.overdraft, row.currency, i18n.locale) : "–"}</span> },
  ];
  const ofCredit: Column<Credit>[] = [
    { key: "at", header: t`Came in`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.created_at, i18n.locale)}</span> },
    { key: "tenant", header: t`Tenant`, cell: (row) => row.tenant_name },
    { key: "kind", header: t`Kind`, cell: (row) => <><Text size="sm">{word(CREDIT_KINDS, row.kind)}</Text><Text size="xs" c="dimmed">{row.note}</Text></> },
    { key: "amount", header: t`Amount`, align: "right", cell: (row) => <span className="aq-nowrap">{formatMoney(row.amount, row.currency, i18n.locale)}</span> },
    { key: "left", header: t`Left`, align: "right", cell: (row) => <span className="aq-nowrap">{formatMoney(row.left, row.currency, i18n.locale)}</span> },
    { key: "expires", header: t`Expires`, cell: (row) => <span className="aq-nowrap">{row.expires_at ? formatMoment(row.expires_at, i18n.locale) : "–"}</span> },
  ];
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Text size="sm" c="dimmed"><Trans>Invoices are paid from the wallet as they are issued: what expires first goes first.</Trans></Text>
        {can("wallet.edit") && <Button size="xs" leftSection={<IconPlus size={14} />} onClick={open}><Trans>Top up or grant</Trans></Button>}
      </Group>
      <QueryTable query={wallets} columns={ofWallet} rowKey={(row) => row.id} label={t`Wallets`} empty={<Empty title={<Trans>No wallets yet</Trans>}><Trans>A tenant has one with its first top-up or grant.</Trans></Empty>} />
      <Title order={3} size="h5" mt="lg" mb="xs"><Trans>What came in</Trans></Title>
      <QueryTable query={credits} columns={ofCredit} rowKey={(row) => row.id} label={t`What came in`} empty={<Empty title={<Trans>Nothing yet</Trans>} />} />
      {isAdding && <NewCredit onClose={close} />}
    </>
  );
}
