import { Trans } from "@lingui/react/macro";
import { Group, Stack, Text } from "@mantine/core";
import type { Need } from "~/api/__generated__";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { Panel } from "~/ui/Panel";
import { StateMark } from "~/ui/StateMark";
import { useNeedText } from "./needs";

const TARGETS: Record<string, (id: string) => string> = {
  cluster: pb.cluster,
  workload: pb.workload,
  tenant: pb.tenant,
  invoice: pb.invoice,
  node: (node) => pb.allocations({ node }),
  allocation: () => pb.allocations({ state: "stopping" }),
};

const TONES: Record<Need["severity"], "bad" | "warning" | "waiting"> = { error: "bad", warning: "warning", info: "waiting" };

export function NeedsYou({ items }: { items: Need[] }) {
  const text = useNeedText();
  return (
    <Panel title={<Trans>Needs you</Trans>}>
      {items.length === 0 && <Text size="sm" c="dimmed"><Trans>Nothing needs you just now.</Trans></Text>}
      <Stack gap="sm">
        {items.map((item) => {
          const path = item.target_id ? TARGETS[item.target_type]?.(item.target_id) : undefined;
          const sentence = text(item);
          return (
            <Group key={`${item.kind} ${item.target_id} ${item.title_code}`} gap="xs" wrap="nowrap" align="flex-start">
              <StateMark tone={TONES[item.severity] ?? "waiting"} label="" />
              {path ? <AppLink path={path}>{sentence}</AppLink> : <Text size="sm">{sentence}</Text>}
            </Group>
          );
        })}
      </Stack>
    </Panel>
  );
}
