/** 内部结算: who owes whom for a closed month, between member sites and between departments, and what is left for each. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Select, Stack, Table, Text, Title } from "@mantine/core";
import { IconDownload, IconFileTypePdf } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { Position, Settlement } from "~/api/__generated__";
import { settlementsListInfiniteOptions, settlementsPositionsOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMoney } from "~/lib/format";
import { pb, withQuery } from "~/lib/path-builder";
import { splitPath } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { useRecentMonths } from "~/parts/useRecentMonths";
import { Empty } from "~/ui/Panel";
import { useTenants } from "./choices";

export function Settlements() {
  const { t, i18n } = useLingui();
  const navigate = useNavigate();
  const { period } = useSearch({ strict: false });
  const { nameOf } = useTenants();
  const choices = useRecentMonths();
  const lines = useInfiniteQuery({ ...settlementsListInfiniteOptions({ query: { period, limit: 100 } }), ...byCursor });
  const positions = useQuery(settlementsPositionsOptions({ query: { period } }));
  const money = (amount: string, currency: string) => <span className="aq-nowrap">{formatMoney(amount, currency, i18n.locale)}</span>;
  const party = (side: string, name: string) => name || (side === "site" ? t`the hub` : t`the centre`);
  const columns: Column<Settlement>[] = [
    { key: "month", header: t`Closed month`, cell: (row) => (row.month === row.period ? row.month : <Trans>{row.month}, of {row.period}</Trans>) },
    { key: "side", header: t`Between`, cell: (row) => (row.side === "site" ? <Trans>sites</Trans> : <Trans>departments</Trans>) },
    { key: "tenant", header: t`Tenant`, cell: (row) => row.tenant_name },
    { key: "debtor", header: t`Owes`, cell: (row) => party(row.side, row.debtor) },
    { key: "creditor", header: t`Is owed`, cell: (row) => party(row.side, row.creditor) },
    { key: "amount", header: t`Amount`, align: "right", cell: (row) => money(row.amount, row.currency) },
  ];
  const row = (of: Position) => (
    <Table.Tr key={`${of.side} ${of.tenant} ${of.party} ${of.currency}`}>
      <Table.Td>{of.tenant ? `${nameOf(of.tenant)} · ${party(of.side, of.party)}` : party(of.side, of.party)}</Table.Td>
      <Table.Td ta="right">{money(of.owes, of.currency)}</Table.Td>
      <Table.Td ta="right">{money(of.is_owed, of.currency)}</Table.Td>
      <Table.Td ta="right">{money(of.net, of.currency)}</Table.Td>
    </Table.Tr>
  );
  return (
    <Stack>
      <Group justify="space-between">
        <Select size="xs" w={160} clearable aria-label={t`Closed month`} placeholder={t`Closed month`} value={period ?? null} data={choices} onChange={(month) => void navigate({ ...splitPath(pb.billing({ tab: "settlement", period: month ?? undefined })), replace: true })} />
        <Group gap="xs">
          {period && positions.data && positions.data.length > 0 && <Button component="a" size="xs" variant="default" leftSection={<IconFileTypePdf size={14} />} href={withQuery("/api/v1/settlements/sheet.pdf", { period, language: i18n.locale === "en" ? "en" : "zh" })} download><Trans>As PDF</Trans></Button>}
          <Button component="a" size="xs" variant="default" leftSection={<IconDownload size={14} />} href={withQuery("/api/v1/settlements/export.xlsx", { period })} download><Trans>Export as XLSX</Trans></Button>
          <Button component="a" size="xs" variant="default" leftSection={<IconDownload size={14} />} href={withQuery("/api/v1/settlements/export.csv", { period })} download><Trans>Export as CSV</Trans></Button>
        </Group>
      </Group>
      {positions.isError && <ProblemAlert error={positions.error} />}
      {positions.data && positions.data.length > 0 && (
        <>
          <Title order={3} size="h5"><Trans>Net positions</Trans></Title>
          <Table>
            <Table.Thead><Table.Tr><Table.Th>{t`Party`}</Table.Th><Table.Th ta="right">{t`Owes`}</Table.Th><Table.Th ta="right">{t`Is owed`}</Table.Th><Table.Th ta="right">{t`Net`}</Table.Th></Table.Tr></Table.Thead>
            <Table.Tbody>{positions.data.map(row)}</Table.Tbody>
          </Table>
          <Text size="sm" c="dimmed"><Trans>Of each currency the net positions add up to zero.</Trans></Text>
        </>
      )}
      <QueryTable query={lines} columns={columns} rowKey={(line) => line.id} label={t`Settlement`} empty={<Empty title={<Trans>Nothing is settled yet</Trans>}><Trans>A month is settled when it is closed.</Trans></Empty>} />
    </Stack>
  );
}
