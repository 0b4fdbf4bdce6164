/** The files of an export: fetched here, or listed when they are at a target. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Anchor, Table, Text } from "@mantine/core";
import type { Export } from "~/api/__generated__";
import { formatBytes, formatCount } from "~/lib/format";
import { formatMoment } from "~/lib/time";
import { fileHref, isHere, isInWork } from "./exports";

export function Files({ of: row }: { of: Export }) {
  const { t, i18n } = useLingui();
  if (row.files.length === 0) return <Text size="sm" c="dimmed">{isInWork(row) ? <Trans>Its files are listed when all of them are there.</Trans> : <Trans>It has no files.</Trans>}</Text>;
  return (
    <>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t`File`}</Table.Th>
            <Table.Th ta="right">{t`Rows`}</Table.Th>
            <Table.Th ta="right">{t`Size`}</Table.Th>
            <Table.Th>SHA-256</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {row.files.map((file) => (
            <Table.Tr key={file.name}>
              <Table.Td>{isHere(row) ? <Anchor href={fileHref(row.id, file.name)} download inherit underline="always">{file.name}</Anchor> : file.name}</Table.Td>
              <Table.Td ta="right">{formatCount(file.rows, i18n.locale)}</Table.Td>
              <Table.Td ta="right"><span className="aq-nowrap">{formatBytes(file.bytes, i18n.locale)}</span></Table.Td>
              <Table.Td><span title={file.sha256}>{file.sha256.slice(0, 12)}…</span></Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      {isHere(row) && row.expires_at && <Text size="xs" c="dimmed" mt={4}><Trans>Kept until {formatMoment(row.expires_at, i18n.locale)}</Trans></Text>}
    </>
  );
}
