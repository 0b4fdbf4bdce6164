import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Cluster } from "~/api/__generated__";
import { clustersRetrieveOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { StateCell } from "~/parts/words";
import { Copyable } from "~/ui/Copyable";

export interface Joined {
  cluster: string;
  kind: Cluster["kind"];
  /** What to type for its agent to join; a cluster that the hub calls needs none. */
  command?: string;
}

/** The secret is shown this once; the state below turns as soon as the site is heard of. */
export function JoinedCluster({ joined, onDone }: { joined: Joined; onDone: () => void }) {
  const { t } = useLingui();
  const cluster = useQuery({ ...clustersRetrieveOptions({ path: { id: joined.cluster } }), refetchInterval: 3_000 });
  return (
    <Stack>
      {joined.command === undefined ? (
        <Text size="sm"><Trans>The hub asks the cluster now. Its nodes appear within seconds of its first answer.</Trans></Text>
      ) : (
        <>
          <Text size="sm">
            {joined.kind === "kubernetes" ? (
              <Trans>Run this where kubectl reaches the cluster. The token in it works once, for 24 hours, and is not shown again.</Trans>
            ) : (
              <Trans>Run this on the machine. The token in it works once, for 24 hours, and is not shown again.</Trans>
            )}
          </Text>
          <Copyable label={t`the command`} value={joined.command} />
        </>
      )}
      {cluster.data && <StateCell noun="cluster" of={cluster.data} />}
      {cluster.data?.message && <Text size="sm">{cluster.data.message}</Text>}
      <Group justify="space-between">
        <AppLink path={pb.cluster(joined.cluster)}><Trans>Open its page</Trans></AppLink>
        <Button variant="default" onClick={onDone}><Trans>Done</Trans></Button>
      </Group>
    </Stack>
  );
}
