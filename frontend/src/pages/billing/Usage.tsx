import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Select, Text } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { UsageRecord } from "~/api/__generated__";
import { usageRecordsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMilli } from "~/lib/format";
import { pb, withQuery } from "~/lib/path-builder";
import { formatLength, formatMoment } from "~/lib/time";
import { AppLink, splitPath } from "~/parts/AppLink";
import { FilterPills } from "~/parts/FilterPills";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { useRecentMonths } from "~/parts/useRecentMonths";
import { Empty } from "~/ui/Panel";

export function Usage() {
  const { t, i18n } = useLingui();
  const navigate = useNavigate();
  const months = useRecentMonths();
  const { period, project, flavor, site } = useSearch({ strict: false });
  const filters = { period, project, flavor, site };
  const path = (changed: Partial<typeof filters>) => pb.billing({ tab: "usage", ...filters, ...changed });
  const usage = useInfiniteQuery({ ...usageRecordsListInfiniteOptions({ query: { ...filters, limit: 100 } }), ...byCursor });
  const columns: Column<UsageRecord>[] = [
    { key: "start", header: t`From`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.start_at, i18n.locale)}</span> },
    { key: "length", header: t`For`, align: "right", cell: (row) => <span className="aq-nowrap">{formatLength(row.seconds, i18n.locale)}</span> },
    {
      key: "workload",
      header: t`Workload`,
      cell: (row) => (
        <>
          <AppLink path={pb.workload(row.workload)}>{row.workload_name}</AppLink>
          <Text size="xs" c="dimmed">{row.tenant_name} · {row.project_name}</Text>
        </>
      ),
    },
    { key: "flavor", header: t`Held`, cell: (row) => <span className="aq-nowrap">{formatMilli(row.held_milli, i18n.locale)} × {row.flavor}</span> },
    { key: "place", header: t`Where`, cell: (row) => <><Text size="sm">{row.site}</Text><Text size="xs" c="dimmed">{row.node}</Text></> },
    { key: "quantity", header: t`Hours`, align: "right", cell: (row) => Number(row.quantity).toLocaleString(i18n.locale, { maximumFractionDigits: 4 }) },
  ];
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Select size="xs" w={160} clearable aria-label={t`Month`} placeholder={t`Month`} value={period ?? null} data={months} onChange={(month) => void navigate({ ...splitPath(path({ period: month ?? undefined })), replace: true })} />
        <Button component="a" size="xs" variant="default" leftSection={<IconDownload size={14} />} href={withQuery("/api/v1/usage-records/export.csv", filters)} download><Trans>Export as CSV</Trans></Button>
      </Group>
      <FilterPills
        filters={[
          project && { label: t`one project`, path: path({ project: undefined }) },
          flavor && { label: flavor, path: path({ flavor: undefined }) },
          site && { label: site, path: path({ site: undefined }) },
        ]}
      />
      <QueryTable
        query={usage}
        columns={columns}
        rowKey={(row) => row.id}
        label={t`Usage`}
        empty={<Empty title={<Trans>No usage here</Trans>}><Trans>It is metered by the second as soon as work holds something.</Trans></Empty>}
      />
    </>
  );
}
