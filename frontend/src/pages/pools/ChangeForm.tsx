import { Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, Group, MultiSelect, Paper, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import type { ReactNode } from "react";
import type { Pool } from "~/api/__generated__";
import { clustersListOptions, projectsListOptions, sitesListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { Panel } from "~/ui/Panel";
import { type ChangeDraft, newNodes, newQuota, newWork, NOTHING } from "./change";
import { NodesFields } from "./NodesFields";
import { QuotaFields } from "./QuotaFields";
import { WorkFields } from "./WorkFields";

interface Props {
  pool: Pool;
  draft: ChangeDraft;
  onChange: (draft: ChangeDraft) => void;
}

export function ChangeForm({ pool, draft, onChange }: Props) {
  const { t } = useLingui();
  const projects = useQuery(projectsListOptions({ query: { limit: 200 } }));
  const { clusters, sites } = usePlaces(pool);
  const set = (part: Partial<ChangeDraft>) => onChange({ ...draft, ...part });
  const isUntouched = Object.values(draft).every((rows: unknown[]) => rows.length === 0);
  // Rows of work mostly differ in one thing: the next starts as a copy of the last.
  const more = () => newWork({ project: projects.data?.results[0]?.id ?? "", ...draft.work.at(-1), ...newKey() });
  return (
    <Panel
      title={<Trans>What changes</Trans>}
      aside={!isUntouched && <Button size="compact-sm" variant="subtle" onClick={() => onChange(NOTHING)}><Trans>Start over</Trans></Button>}
    >
      <Stack gap="lg">
        <Section title={t`New work`} add={t`Add work`} isLoading={projects.isPending} onAdd={() => set({ work: [...draft.work, more()] })}>
          <Rows rows={draft.work} remove={t`Remove this work`} onChange={(work) => set({ work })}>
            {(row, change) => <WorkFields row={row} onChange={change} projects={projects.data?.results ?? []} />}
          </Rows>
        </Section>
        <Section title={t`Quota`} add={t`Change a quota`} onAdd={() => set({ quotas: [...draft.quotas, newQuota()] })}>
          <Rows rows={draft.quotas} remove={t`Remove this change of quota`} onChange={(quotas) => set({ quotas })}>
            {(row, change) => <QuotaFields row={row} onChange={change} projects={projects.data?.results ?? []} />}
          </Rows>
        </Section>
        <Section title={t`Sites closed`}>
          <MultiSelect
            size="xs"
            aria-label={t`Sites closed`}
            placeholder={draft.closedSites.length === 0 ? t`Choose sites` : undefined}
            searchable
            clearable
            data={sites.map((site) => ({ value: site.slug, label: site.name }))}
            value={draft.closedSites}
            onChange={(closedSites) => set({ closedSites })}
          />
        </Section>
        <Section title={t`Nodes added`} add={t`Add nodes`} onAdd={() => set({ nodes: [...draft.nodes, newNodes()] })}>
          <Rows rows={draft.nodes} remove={t`Remove these nodes`} onChange={(nodes) => set({ nodes })}>
            {(row, change) => <NodesFields row={row} onChange={change} clusters={clusters} />}
          </Rows>
        </Section>
      </Stack>
    </Panel>
  );
}

const newKey = () => ({ key: newWork().key });

/** The clusters of a pool, and the sites they are at. No clusters named: all there are. */
function usePlaces(pool: Pool) {
  const clusters = useQuery(clustersListOptions({ query: { limit: 200 } }));
  const sites = useQuery(sitesListOptions({ query: { limit: 200 } }));
  const own = clusters.data?.results.filter((each) => pool.clusters.length === 0 || pool.clusters.includes(each.id)) ?? [];
  const at = new Set(own.map((each) => each.site));
  return { clusters: own, sites: sites.data?.results.filter((each) => at.has(each.id)) ?? [] };
}

interface SectionProps {
  title: string;
  add?: string;
  onAdd?: () => void;
  isLoading?: boolean;
  children: ReactNode;
}

function Section({ title, add, onAdd, isLoading = false, children }: SectionProps) {
  return (
    <div role="group" aria-label={title}>
      <Group justify="space-between" mb={6}>
        <Text size="sm" fw={600}>{title}</Text>
        {add && <Button size="xs" variant="default" leftSection={<IconPlus size={14} />} loading={isLoading} onClick={onAdd}>{add}</Button>}
      </Group>
      {children}
    </div>
  );
}

interface RowsProps<Row> {
  rows: Row[];
  remove: string;
  onChange: (rows: Row[]) => void;
  children: (row: Row, change: (part: Partial<Row>) => void) => ReactNode;
}

function Rows<Row extends { key: string }>({ rows, remove, onChange, children }: RowsProps<Row>) {
  if (rows.length === 0) return null;
  return (
    <Stack gap="xs">
      {rows.map((row) => (
        <Paper key={row.key} withBorder p="sm" className="aq-panel">
          <Group align="flex-start" wrap="nowrap" gap="xs">
            <div className="aq-fields aq-fields-small aq-grow">
              {children(row, (part) => onChange(rows.map((each) => (each.key === row.key ? { ...each, ...part } : each))))}
            </div>
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={remove}
              onClick={(event) => {
                // The keyboard stays in this section: the button that has it is about to go.
                event.currentTarget.closest("[role=group]")?.querySelector("button")?.focus();
                onChange(rows.filter((each) => each.key !== row.key));
              }}
            >
              <IconTrash size={18} />
            </ActionIcon>
          </Group>
        </Paper>
      ))}
    </Stack>
  );
}
