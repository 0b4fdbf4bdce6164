/** The output of the work, followed while it runs. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Switch, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconDownload } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { memo, useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { Workload } from "~/api/__generated__";
import { ProblemAlert, useProblemText } from "~/parts/ProblemAlert";
import { useWord } from "~/parts/words";
import { Panel } from "~/ui/Panel";
import { ENDS } from "~/inside/ends";
import { LogFollower, wholeLog } from "./follower";
import { asShown } from "./log";
import { MemberSelect } from "./MemberSelect";

/** How near to the end counts as at the end. */
const NEAR_PIXELS = 8;

export function Logs({ workload }: { workload: Workload }) {
  const { t } = useLingui();
  const word = useWord();
  const [member, setMember] = useState(0);
  const [isFollowing, setFollowing] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  // The next attempt begins a new log.
  // oxlint-disable-next-line react-hooks/exhaustive-deps -- the attempt is what makes it another log
  const follower = useMemo(() => new LogFollower(workload.id, member), [workload.id, workload.attempt, member]);
  const log = useSyncExternalStore(follower.watch, follower.read);
  useEffect(() => {
    follower.start();
    return () => follower.stop();
  }, [follower]);
  // oxlint-disable-next-line react-hooks/exhaustive-deps -- a change of the state is the news
  useEffect(() => follower.nudge(), [follower, workload.state]);
  useLayoutEffect(() => {
    if (box.current && isFollowing) box.current.scrollTop = box.current.scrollHeight;
  }, [log.blocks, isFollowing]);
  const isOver = ["succeeded", "failed", "cancelled"].includes(workload.state);
  const hasText = log.length > 0;
  const why = log.mode === "complete" ? "" : (log.code && word(ENDS, log.code)) || log.message;
  return (
    <Panel
      title={<Trans>Logs</Trans>}
      aside={
        <Group gap="sm">
          {log.mode === "complete" && <Text size="sm" c="dimmed"><Trans>complete</Trans></Text>}
          <MemberSelect members={workload.replicas} value={member} onChange={setMember} />
          <Switch size="xs" label={t`Follow`} checked={isFollowing} onChange={(event) => setFollowing(event.currentTarget.checked)} />
          <Download workload={workload} member={member} />
        </Group>
      }
    >
      {log.error !== undefined && !hasText && <ProblemAlert error={log.error} />}
      {log.isCut && <Text size="xs" c="dimmed" mb={4}><Trans>The begin is not shown. Download the log to have all of it.</Trans></Text>}
      {hasText ? (
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- it only hears that one scrolls
        <div
          ref={box}
          className="aq-log"
          role="log"
          // Read out line by line, a log would never end.
          aria-live="off"
          // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard
          tabIndex={0}
          aria-label={t`Logs`}
          onWheel={(event) => event.deltaY < 0 && setFollowing(false)}
          onKeyDown={(event) => ["PageUp", "ArrowUp", "Home"].includes(event.key) && setFollowing(false)}
          onScroll={({ currentTarget: at }) => at.scrollHeight - at.scrollTop - at.clientHeight < NEAR_PIXELS && setFollowing(true)}
        >
          {log.blocks.map((block) => <Lines key={block.key} text={block.text} />)}
        </div>
      ) : (
        log.error === undefined && !why && <Text size="sm" c="dimmed">{isOver ? <Trans>It left no output.</Trans> : <Trans>No output yet.</Trans>}</Text>
      )}
      {why && <Text size="sm" c="dimmed" mt={4} role="status">{why}</Text>}
    </Panel>
  );
}

const Lines = memo(({ text }: { text: string }) => <div>{asShown(text)}</div>);

function Download({ workload, member }: { workload: Workload; member: number }) {
  const problemText = useProblemText();
  const download = useMutation({
    mutationFn: () => wholeLog(workload.id, member),
    onSuccess: (blob) => {
      const address = URL.createObjectURL(blob);
      const link = document.createElement("a");
      link.href = address;
      link.download = `${workload.name}-${member}.log`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    },
    onError: (error) => {
      const { title, detail } = problemText(error);
      notifications.show({ color: "red", title, message: detail });
    },
  });
  return (
    <Button size="compact-sm" variant="default" leftSection={<IconDownload size={14} aria-hidden />} loading={download.isPending} onClick={() => download.mutate()}>
      <Trans>Download</Trans>
    </Button>
  );
}
