import { Trans, useLingui } from "@lingui/react/macro";
import { Skeleton, Text } from "@mantine/core";
import { IconSend } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import type { Workload } from "~/api/__generated__";
import { workloadsHistoryOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMoment } from "~/lib/time";
import { STATES } from "~/lib/words";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { useReason, useStateWord } from "~/parts/words";
import { StateMark } from "~/ui/StateMark";

export function History({ workload }: { workload: Workload }) {
  const { i18n } = useLingui();
  const word = useStateWord();
  const reason = useReason();
  const history = useQuery(workloadsHistoryOptions({ path: { id: workload.id } }));
  if (history.isError) return <ProblemAlert error={history.error} retry={() => void history.refetch()} />;
  if (!history.data) return <Skeleton height={120} />;
  return (
    <ol className="aq-timeline">
      {history.data.toReversed().map((entry) => (
        <li key={entry.id}>
          <span><StateMark tone={STATES[entry.object_type]?.[entry.to_state]?.tone ?? "waiting"} label="" /></span>
          <Text size="sm" fw={600}>
            {word(entry.object_type, entry.to_state)}
            {entry.object_type === "allocation" && <Text span size="xs" c="dimmed" ml={6}><Trans>allocation</Trans></Text>}
          </Text>
          {entry.reason && <Text size="sm">{reason(entry.reason)}</Text>}
          {entry.message && <Text size="xs" c="dimmed">{entry.message}</Text>}
          <Text size="xs" c="dimmed">{formatMoment(entry.effective_at, i18n.locale)} · <Trans>by {entry.by}</Trans></Text>
        </li>
      ))}
      <li>
        <span><IconSend size={16} aria-hidden /></span>
        <Text size="sm" fw={600}><Trans>Submitted</Trans></Text>
        <Text size="xs" c="dimmed">{formatMoment(workload.created_at, i18n.locale)} · <Trans>by {workload.submitted_by}</Trans></Text>
      </li>
    </ol>
  );
}
