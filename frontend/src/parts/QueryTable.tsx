/** A list from the API: pages by cursor, with what to show while it loads, fails or is empty. */
import { useLingui } from "@lingui/react/macro";
import { Button, Group, Skeleton, Table, Text } from "@mantine/core";
import { type InfiniteData, type UseInfiniteQueryResult } from "@tanstack/react-query";
import { Fragment, type ReactNode } from "react";
import { Age } from "~/ui/Age";
import { useConnection } from "~/live/live";
import { ProblemAlert } from "./ProblemAlert";

export interface Column<Row> {
  key: string;
  header: ReactNode;
  cell: (row: Row) => ReactNode;
  align?: "right";
}

export interface ListPage<Row> {
  next?: string | null;
  results: Row[];
}

/** What a list query adds to the generated options: how to find the next page. */
export const byCursor = {
  initialPageParam: { query: {} },
  getNextPageParam: (page: { next?: string | null }) => cursorOf(page.next),
};

export function cursorOf(next: string | null | undefined): string | undefined {
  if (!next) return undefined;
  return new URL(next, "http://any").searchParams.get("cursor") ?? undefined;
}

interface Props<Row> {
  query: UseInfiniteQueryResult<InfiniteData<ListPage<Row>>, unknown>;
  columns: Column<Row>[];
  rowKey: (row: Row) => string;
  /** What the table is, for those who hear it. */
  label: string;
  empty: ReactNode;
  /** What opens below a row; nothing for a row that is closed. */
  detail?: (row: Row) => ReactNode;
}

export function QueryTable<Row>({ query, columns, rowKey, label, empty, detail }: Props<Row>) {
  const { t } = useLingui();
  const connection = useConnection();
  if (query.isPending) return <Loading label={label} />;
  if (query.isError && !query.data) return <ProblemAlert error={query.error} retry={() => void query.refetch()} />;
  const rows = query.data?.pages.flatMap((page) => page.results) ?? [];
  return (
    <>
      {query.isError && <ProblemAlert error={query.error} retry={() => void query.refetch()} />}
      {rows.length === 0 ? (
        empty
      ) : (
        <Rows rows={rows} columns={columns} rowKey={rowKey} label={label} detail={detail} />
      )}
      <Group gap="md">
        {query.hasNextPage && (
          <Button mt="xs" variant="default" size="xs" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {t`Show more`}
          </Button>
        )}
        {connection === "down" && (
          <Text size="sm" c="dimmed" mt="xs">{t`Read`} <Age at={new Date(query.dataUpdatedAt).toISOString()} staleAfterSeconds={30} /></Text>
        )}
      </Group>
    </>
  );
}

/** Rows that are there: a table that scrolls sideways where there is no room. */
export function Rows<Row>({ rows, columns, rowKey, label, detail }: Pick<Props<Row>, "columns" | "rowKey" | "label" | "detail"> & { rows: Row[] }) {
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard
    <div className="aq-scroll" role="region" aria-label={label} tabIndex={0}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            {columns.map((column) => <Table.Th key={column.key} ta={column.align}>{column.header}</Table.Th>)}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => {
            const more = detail?.(row);
            return (
              <Fragment key={rowKey(row)}>
                <Table.Tr>
                  {columns.map((column) => <Table.Td key={column.key} ta={column.align}>{column.cell(row)}</Table.Td>)}
                </Table.Tr>
                {more && <Table.Tr className="aq-detail"><Table.Td colSpan={columns.length}>{more}</Table.Td></Table.Tr>}
              </Fragment>
            );
          })}
        </Table.Tbody>
      </Table>
    </div>
  );
}

export function Loading({ label }: { label: string }) {
  return (
    <div aria-busy aria-label={label} role="status">
      {[1, 2, 3, 4, 5].map((line) => <Skeleton key={line} height={22} my={10} />)}
    </div>
  );
}
