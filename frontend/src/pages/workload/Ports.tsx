/** How to reach the ports of running work from one's own computer. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Anchor, Stack, Text } from "@mantine/core";
import { useState } from "react";
import type { Workload } from "~/api/__generated__";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { Copyable } from "~/ui/Copyable";
import { Panel } from "~/ui/Panel";
import { forwardCommand } from "~/inside/protocol";
import { MemberSelect } from "./MemberSelect";

export function Ports({ workload }: { workload: Workload }) {
  const { t } = useLingui();
  const [member, setMember] = useState(0);
  if (workload.ports.length === 0 || workload.state !== "running") return null;
  const mayReach = workload.actions.includes("shell"); // ports have the permission of the shell
  return (
    <Panel title={<Trans>Ports</Trans>} aside={mayReach && <MemberSelect members={workload.replicas} value={member} onChange={setMember} />}>
      <Stack gap="xs">
        {mayReach ? (
          <>
            <Text size="sm">
              <Trans>
                Brings a port of the work to your own computer, while it runs. Needs Python and <Anchor href="/aquifer-forward" download inherit underline="always">the script aquifer-forward</Anchor>, which asks for a token from{" "}
                <AppLink path={pb.tokens()} underline="always">API tokens</AppLink>.
              </Trans>
            </Text>
            {workload.ports.map((port) => (
              <div key={port}>
                <Text size="sm" fw={600}><Trans>Port {String(port)}</Trans> <Text span size="xs" c="dimmed"><Trans>then at 127.0.0.1:{String(port)}</Trans></Text></Text>
                <Copyable value={forwardCommand(workload.id, port, member)} label={t`the command for port ${String(port)}`} />
              </div>
            ))}
          </>
        ) : (
          <Text size="sm">{workload.ports.join(", ")} <Text span c="dimmed"><Trans>Your role does not allow you to reach them.</Trans></Text></Text>
        )}
      </Stack>
    </Panel>
  );
}
