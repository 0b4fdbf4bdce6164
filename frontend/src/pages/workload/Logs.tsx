/** The output of the work, read on from where we are, and followed while it runs. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Group, Switch, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import type { Workload } from "~/api/__generated__";
import { workloadsLogs } from "~/api/__generated__";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { Panel } from "~/ui/Panel";
import { appendLog, EMPTY_LOG, type LogSoFar } from "./log";

const FOLLOW_MS = 1_000;
const WAIT_MS = 3_000;

export function Logs({ workload }: { workload: Workload; members: number }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [isFollowing, setFollowing] = useState(true);
  const box = useRef<HTMLPreElement>(null);
  // The next attempt begins a new log.
  const queryKey = ["log", workload.id, workload.attempt];
  const isOver = ["succeeded", "failed", "cancelled"].includes(workload.state);
  const log = useQuery({
    queryKey,
    queryFn: async ({ signal }): Promise<LogSoFar> => {
      const before = client.getQueryData<LogSoFar>(queryKey) ?? EMPTY_LOG;
      const { data } = await workloadsLogs({ path: { id: workload.id }, query: { offset: before.offset }, signal, throwOnError: true });
      return appendLog(before, data);
    },
    refetchInterval: ({ state: { data } }) => {
      if (data?.isComplete) return false;
      return data && data.hasMore ? FOLLOW_MS / 4 : isOver ? WAIT_MS : FOLLOW_MS;
    },
    staleTime: 0,
  });
  const text = log.data?.text ?? "";
  const follow = (element: HTMLPreElement | null) => {
    box.current = element;
    if (element && isFollowing) element.scrollTop = element.scrollHeight;
  };
  return (
    <Panel
      title={<Trans>Logs</Trans>}
      aside={
        <Group gap="sm">
          {log.data?.isComplete && <Text size="sm" c="dimmed"><Trans>complete</Trans></Text>}
          <Switch size="xs" label={t`Follow`} checked={isFollowing} onChange={(event) => setFollowing(event.currentTarget.checked)} />
        </Group>
      }
    >
      {log.isError && !text && <ProblemAlert error={log.error} retry={() => void log.refetch()} />}
      {text ? (
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard
        <pre ref={follow} className="aq-log" tabIndex={0} aria-label={t`Logs`} onWheel={(event) => event.deltaY < 0 && setFollowing(false)}>{text}</pre>
      ) : (
        !log.isError && <Text size="sm" c="dimmed">{isOver ? <Trans>It left no output.</Trans> : <Trans>No output yet.</Trans>}</Text>
      )}
    </Panel>
  );
}
