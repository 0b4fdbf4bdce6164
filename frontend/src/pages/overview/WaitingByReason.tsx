import { Trans, useLingui } from "@lingui/react/macro";
import { Group, Stack, Text } from "@mantine/core";
import { formatCount } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { useReason } from "~/parts/words";
import { Panel } from "~/ui/Panel";

export function WaitingByReason({ waiting }: { waiting: Record<string, number> }) {
  const { i18n } = useLingui();
  const reason = useReason();
  const rows = Object.entries(waiting).toSorted((a, b) => b[1] - a[1]);
  return (
    <Panel title={<Trans>Waiting, and why</Trans>}>
      {rows.length === 0 && <Text size="sm" c="dimmed"><Trans>Nothing waits.</Trans></Text>}
      <Stack gap={6}>
        {rows.map(([code, count]) => (
          <Group key={code} justify="space-between" wrap="nowrap" align="flex-start">
            <AppLink path={pb.workloads({ state: "queued", reason: code })}>{reason(code)}</AppLink>
            <Text size="sm" fw={600}>{formatCount(count, i18n.locale)}</Text>
          </Group>
        ))}
      </Stack>
    </Panel>
  );
}
