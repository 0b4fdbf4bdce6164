import { Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Loan } from "~/api/__generated__";
import { costsLoansOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { type Column, Loading, Rows } from "~/parts/QueryTable";

const MILLI_SECONDS = 3_600_000;

export function Loans({ period }: { period: string }) {
  const { t, i18n } = useLingui();
  const query = useQuery(costsLoansOptions({ query: { period } }));
  if (query.isError) return <ProblemAlert error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Loading label={t`Borrowed`} />;
  const { loans } = query.data;
  const lender = (row: Loan) => {
    if (!row.is_promised) return <Trans>nobody's promise</Trans>;
    if (row.lender !== null && row.lender === row.borrower) return <Trans>its own, of another project</Trans>;
    return row.lender_name || <Trans>another tenant</Trans>;
  };
  const columns: Column<Loan>[] = [
    { key: "borrower", header: t`Borrowed by`, cell: (row) => <Text size="sm" fw={600}>{row.borrower_name || <Trans>another tenant</Trans>}</Text> },
    { key: "lender", header: t`Of`, cell: lender },
    { key: "flavor", header: t`What`, cell: (row) => row.flavor },
    { key: "site", header: t`Where`, cell: (row) => row.site },
    { key: "hours", header: t`Card-hours`, align: "right", cell: (row) => (row.milli_seconds / MILLI_SECONDS).toLocaleString(i18n.locale, { maximumFractionDigits: 2 }) },
  ];
  return (
    <>
      <Text size="sm" c="dimmed" mb="xs"><Trans>Hour by hour: use beyond a promise, against what others left of theirs in that hour, in proportion.</Trans></Text>
      {loans.length > 0 ? <Rows rows={loans} columns={columns} rowKey={(row) => `${row.borrower} ${row.lender} ${row.is_promised} ${row.flavor} ${row.site}`} label={t`Borrowed`} /> : <Text size="sm"><Trans>Nobody used more than was promised.</Trans></Text>}
    </>
  );
}
