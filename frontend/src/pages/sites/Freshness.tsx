/** How old the picture of a cluster is, and how it is kept: followed as things change, or read now and then. */
import { Trans } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import type { Cluster } from "~/api/__generated__";
import { secondsSince } from "~/lib/time";
import { Age } from "~/ui/Age";
import { useNow } from "~/ui/now";

/** While somebody follows a cluster, this is written every few seconds. */
const FOLLOWED_WITHIN_SECONDS = 30;

export function Freshness({ cluster }: { cluster: Pick<Cluster, "followed_at" | "inventory_at"> }) {
  const now = useNow();
  const isFollowed = cluster.followed_at !== null && secondsSince(cluster.followed_at, now) < FOLLOWED_WITHIN_SECONDS;
  if (isFollowed) {
    return (
      <>
        <Text size="sm"><Trans>followed live</Trans></Text>
        <Age at={cluster.followed_at} size="xs" />
      </>
    );
  }
  if (!cluster.inventory_at) return <Age at={null} />;
  return (
    <>
      <Text size="sm"><Trans>read every 15 seconds</Trans></Text>
      <Age at={cluster.inventory_at} size="xs" staleAfterSeconds={60} />
    </>
  );
}
