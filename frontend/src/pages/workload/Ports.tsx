/** How to reach the ports of running work from one's own computer. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Anchor, Stack, Text } from "@mantine/core";
import type { Workload } from "~/api/__generated__";
import { useCan } from "~/api/session";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { Copyable } from "~/ui/Copyable";
import { Panel } from "~/ui/Panel";

export function Ports({ workload }: { workload: Workload }) {
  const { t } = useLingui();
  const can = useCan();
  // What has ended has none any more.
  if (workload.ports.length === 0 || ["succeeded", "failed", "cancelled"].includes(workload.state)) return null;
  const command = (port: number) => `python3 aquifer-forward ${location.origin} ${workload.id} ${port}`;
  return (
    <Panel title={<Trans>Ports</Trans>}>
      <Stack gap="xs">
        {can("workload.shell") ? (
          <>
            <Text size="sm">
              <Trans>
                Brings a port of the work to your own computer, while it runs. Needs Python and <Anchor href="/aquifer-forward" download inherit>the script aquifer-forward</Anchor>, which asks for a token from{" "}
                <AppLink path={pb.tokens()}>API tokens</AppLink>.
              </Trans>
            </Text>
            {workload.ports.map((port) => (
              <div key={port}>
                <Text size="sm" fw={600}><Trans>Port {String(port)}</Trans> <Text span size="xs" c="dimmed"><Trans>then at 127.0.0.1:{String(port)}</Trans></Text></Text>
                <Copyable value={command(port)} label={t`the command for port ${String(port)}`} />
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
