/** What would come of a change: counts before and after, then each work by name. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, Group, Skeleton, Stack, Text, Tooltip } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { IconFlask, IconRefresh } from "@tabler/icons-react";
import { useState } from "react";
import { type ChangeRequest, type Pool, poolsSimulate, type Result } from "~/api/__generated__";
import { formatCount } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { Missing } from "~/parts/Missing";
import { Places } from "~/parts/Places";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { Age } from "~/ui/Age";
import { Empty, Panel } from "~/ui/Panel";
import { StateMark } from "~/ui/StateMark";
import { BeforeAfter } from "./BeforeAfter";
import { isEmpty } from "./change";
import { type Group as GroupName, GROUPS, type Row, sorted } from "./findings";

export function Outcome({ pool, change }: { pool: Pool; change: ChangeRequest }) {
  const { t } = useLingui();
  const isNothing = isEmpty(change);
  const query = useQuery({
    queryKey: ["what-if", pool.id, change],
    queryFn: async ({ signal }) => (await poolsSimulate({ path: { id: pool.id }, body: change, signal, throwOnError: true })).data,
    enabled: !isNothing,
    placeholderData: keepPreviousData,
    staleTime: 60_000,
    retry: false,
  });
  if (isNothing) {
    return (
      <Panel title={<Trans>What would come of it</Trans>}>
        <Empty icon={<IconFlask size={32} aria-hidden />} title={<Trans>No change chosen yet</Trans>}>
          <Trans>Add work, change a quota, close a site or add nodes: what would be placed, displaced or still wait shows here at once.</Trans>
        </Empty>
      </Panel>
    );
  }
  const result = query.isError ? undefined : query.data;
  const again = (
    <Group gap={4}>
      {result && <Age at={new Date(query.dataUpdatedAt).toISOString()} size="xs" />}
      <Tooltip label={t`Ask again`}>
        <ActionIcon variant="subtle" color="gray" aria-label={t`Ask again`} loading={query.isFetching} onClick={() => void query.refetch()}><IconRefresh size={18} /></ActionIcon>
      </Tooltip>
    </Group>
  );
  return (
    <Panel title={<Trans>What would come of it</Trans>} aside={again}>
      <div aria-live="polite" aria-busy={query.isFetching} className={query.isPlaceholderData ? "aq-pale" : undefined}>
        {query.isError && <ProblemAlert error={query.error} retry={() => void query.refetch()} />}
        {query.isPending && <Stack><Skeleton height={60} /><Skeleton height={120} /></Stack>}
        {result && <Found result={result} />}
      </div>
    </Panel>
  );
}

function Found({ result }: { result: Result }) {
  const { i18n } = useLingui();
  const groups = sorted(result.findings);
  const isQuiet = GROUPS.every((name) => groups[name].length === 0);
  return (
    <Stack>
      <BeforeAfter result={result} />
      {isQuiet && <Text size="sm" c="dimmed"><Trans>It changes nothing for what waits today.</Trans></Text>}
      {GROUPS.map((name) => <GroupOfRows key={name} name={name} rows={groups[name]} />)}
      {result.left_out > 0 && <Text size="sm" c="dimmed"><Trans>{formatCount(result.left_out, i18n.locale)} more are counted above and not listed.</Trans></Text>}
    </Stack>
  );
}

function useHeadings(): Record<GroupName, string> {
  const { t } = useLingui();
  return {
    new: t`New work`,
    displaced: t`Displaced from closed sites`,
    hindered: t`Would start now, and would then wait`,
    helped: t`Waits now, and would then start`,
  };
}

const AT_FIRST = 12;

function GroupOfRows({ name, rows }: { name: GroupName; rows: Row[] }) {
  const headings = useHeadings();
  const [isAll, setAll] = useState(false);
  const shown = isAll ? rows : rows.slice(0, AT_FIRST);
  const left = rows.length - shown.length;
  if (rows.length === 0) return null;
  return (
    <div>
      <Text fw={600} size="sm" component="h3" m={0}>{headings[name]}</Text>
      <ul className="aq-findings">{shown.map((row) => <Line key={row.key} row={row} />)}</ul>
      {left > 0 && <Button mt={4} size="compact-sm" variant="subtle" onClick={() => setAll(true)}><Plural value={left} one="Show # more" other="Show # more" /></Button>}
    </div>
  );
}

function Line({ row: { first, count, where } }: { row: Row }) {
  const { t } = useLingui();
  const isPlaced = first.outcome === "placed";
  const tone = isPlaced ? "good" : first.is_final ? "bad" : "waiting";
  const label = isPlaced ? t`would start` : first.is_final ? t`never fits` : t`would wait`;
  return (
    <li>
      <Group justify="space-between" gap="xs" wrap="nowrap" align="baseline">
        <Text size="sm" component="span" className="aq-anywhere">
          {first.workload ? <AppLink path={pb.workload(first.workload)} fw={600}>{first.name}</AppLink> : <strong>{first.name}</strong>}
          {count > 1 && <> × {count}</>}
          <Text span size="xs" c="dimmed"> {first.tenant_name} · {first.project_name}</Text>
        </Text>
        <StateMark tone={tone} label={label} />
      </Group>
      {isPlaced ? <Text size="sm" c="dimmed"><Places where={where} /></Text> : <Missing found={first} />}
    </li>
  );
}
