/** What the site itself wrote down of the work. Our own changes are in the history. */
import { Trans } from "@lingui/react/macro";
import { Skeleton, Text } from "@mantine/core";
import { IconAlertTriangleFilled, IconInfoCircle } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Workload } from "~/api/__generated__";
import { workloadsEventsOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { Age } from "~/ui/Age";
import { Panel } from "~/ui/Panel";
import { MemberSelect } from "./MemberSelect";

const EVERY_MS = 10_000;

export function SiteNotes({ workload }: { workload: Workload }) {
  const [member, setMember] = useState(0);
  const isOver = ["succeeded", "failed", "cancelled"].includes(workload.state);
  const notes = useQuery({
    ...workloadsEventsOptions({ path: { id: workload.id }, query: { replica: member } }),
    refetchInterval: isOver ? false : EVERY_MS,
  });
  return (
    <Panel title={<Trans>What the site noted</Trans>} aside={<MemberSelect members={workload.replicas} value={member} onChange={setMember} />}>
      {notes.isError && !notes.data && <ProblemAlert error={notes.error} retry={() => void notes.refetch()} />}
      {notes.isPending && <Skeleton height={60} />}
      {notes.data?.message && <Text size="sm" c="dimmed">{notes.data.message}</Text>}
      {notes.data && notes.data.events.length === 0 && !notes.data.message && <Text size="sm" c="dimmed"><Trans>The site noted nothing.</Trans></Text>}
      {notes.data && notes.data.events.length > 0 && (
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard
        <ol className="aq-timeline aq-notes" tabIndex={0}>
          {notes.data.events.toReversed().map((note) => (
            <li key={`${note.at} ${note.reason} ${note.message}`}>
              <span>{note.is_warning ? <IconAlertTriangleFilled size={16} aria-hidden className="aq-tone-warning" /> : <IconInfoCircle size={16} aria-hidden className="aq-tone-busy" />}</span>
              <Text size="sm" fw={600} className={note.is_warning ? "aq-tone-warning" : undefined}>
                {note.is_warning && <span className="aq-hidden"><Trans>Warning:</Trans> </span>}
                {note.reason}
                {note.count > 1 && <Text span size="xs" c="dimmed" ml={6}>× {note.count}</Text>}
              </Text>
              <Text size="sm" className="aq-anywhere">{note.message}</Text>
              <Age at={note.at} size="xs" />
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}
