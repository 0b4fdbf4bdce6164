/** Why work would wait: the reason, and how near the nearest node came, in the reader's words where they can be had. */
import { Trans } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import type { Finding } from "~/api/__generated__";
import { useMissText } from "./misses";
import { useReason } from "./words";

export function Missing({ found }: { found: Pick<Finding, "reason" | "message" | "nearest" | "miss" | "is_final"> }) {
  const reason = useReason();
  const missText = useMissText();
  const { miss } = found;
  return (
    <>
      <Text size="sm">{reason(found.reason)}</Text>
      {miss ? (
        <Text size="sm" c="dimmed">
          {miss.node ? <Trans>Nearest: {miss.node} ({miss.site}) – {missText(miss, found.is_final)}.</Trans> : <Trans>Nearest: {missText(miss, found.is_final)}.</Trans>}
        </Text>
      ) : (
        found.message && <Text size="sm" c="dimmed" lang="en">{found.message} {found.nearest}</Text>
      )}
    </>
  );
}
