import { Trans, useLingui } from "@lingui/react/macro";
import { Button, FocusTrap, Group, Skeleton, Text } from "@mantine/core";
import { IconArrowsMaximize, IconArrowsMinimize, IconTerminal2 } from "@tabler/icons-react";
import { lazy, Suspense, useRef, useState } from "react";
import type { Workload } from "~/api/__generated__";
import { useWord } from "~/parts/words";
import { Notice } from "~/ui/Notice";
import { Panel } from "~/ui/Panel";
import { ENDS, isTelling } from "~/inside/ends";
import type { End } from "~/inside/protocol";
import { MemberSelect } from "./MemberSelect";

const Terminal = lazy(() => import("./Terminal").then((module) => ({ default: module.Terminal })));

type Session = { number: number; is: "connecting" | "open" } | { number: number; is: "ended"; end: End | undefined };

/** A way into running work, for those who may. */
export function Shell({ workload }: { workload: Workload }) {
  const [member, setMember] = useState(0);
  const [session, setSession] = useState<Session>();
  const [isWide, setWide] = useState(false);
  const close = useRef<HTMLButtonElement>(null);
  const mayOpen = workload.actions.includes("shell");
  // What is open stays to tell how it ended.
  if (!mayOpen && !session) return null;
  const open = () => setSession({ number: (session?.number ?? 0) + 1, is: "connecting" });
  const leave = () => {
    setSession(undefined);
    setWide(false);
  };
  return (
    <FocusTrap active={isWide}>
      <div className={isWide ? "aq-wide" : undefined}>
        <Panel
          title={<Trans>Shell</Trans>}
          aside={
            <Group gap="sm">
              <MemberSelect members={workload.replicas} value={member} onChange={setMember} isDisabled={session !== undefined && session.is !== "ended"} />
              {session ? (
                <>
                  <Button size="compact-sm" variant="default" leftSection={isWide ? <IconArrowsMinimize size={14} aria-hidden /> : <IconArrowsMaximize size={14} aria-hidden />} onClick={() => setWide(!isWide)}>
                    {isWide ? <Trans>Make small</Trans> : <Trans>Fill the window</Trans>}
                  </Button>
                  <Button ref={close} size="compact-sm" variant="default" onClick={leave}><Trans>Close</Trans></Button>
                </>
              ) : (
                <Button size="compact-sm" variant="default" leftSection={<IconTerminal2 size={14} aria-hidden />} onClick={open}><Trans>Open a shell</Trans></Button>
              )}
            </Group>
          }
        >
          {!session && <Text size="sm" c="dimmed"><Trans>A terminal inside the running work. Opening it is written to the audit log.</Trans></Text>}
          {session && (
            <>
              <Suspense fallback={<Skeleton height={320} />}>
                <Terminal
                  key={session.number}
                  workload={workload.id}
                  // The member it was opened for: choosing another is for the next one.
                  member={member}
                  onOpen={() => setSession({ number: session.number, is: "open" })}
                  onEnd={(end) => setSession({ number: session.number, is: "ended", end })}
                  onLeave={() => close.current?.focus()}
                />
              </Suspense>
              <div role="status" className="aq-gap-above">
                {session.is === "connecting" && <Text size="sm" c="dimmed"><Trans>Connecting…</Trans></Text>}
                {session.is === "open" && <Text size="xs" c="dimmed"><Trans>Tab goes to the shell; Ctrl+M leaves the terminal.</Trans></Text>}
                {session.is === "ended" && <Ended end={session.end} open={mayOpen ? open : undefined} />}
              </div>
            </>
          )}
        </Panel>
      </div>
    </FocusTrap>
  );
}

function Ended({ end, open }: { end: End | undefined; open: (() => void) | undefined }) {
  const { t } = useLingui();
  const word = useWord();
  const exitCode = end?.exit_code ?? null;
  const said = end?.code ? (ENDS[end.code] ? word(ENDS, end.code) : end.message || end.code) : end ? (exitCode === null ? t`The shell ended.` : t`The shell ended with exit code ${exitCode}.`) : t`The connection broke, or was refused.`;
  return (
    <Notice tone={end && !end.code ? "busy" : "warning"}>
      <Group gap="sm">
        <div>
          {said}
          {end && isTelling(end) && <Text size="xs" c="dimmed" className="aq-anywhere">{end.message}</Text>}
        </div>
        {open && <Button size="compact-sm" variant="default" onClick={open} data-autofocus><Trans>Reopen</Trans></Button>}
      </Group>
    </Notice>
  );
}
