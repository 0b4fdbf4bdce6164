/** What would become of the work if it were sent now. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import type { Preview as Found } from "~/api/__generated__";
import { useReason } from "~/parts/words";
import { Notice } from "~/ui/Notice";

const MOST_PLACES = 4;

export function Preview({ found }: { found: Found }) {
  const { t } = useLingui();
  const reasonWords = useReason();
  if (found.outcome === "placed") {
    const places = found.where.slice(0, MOST_PLACES);
    const left = found.where.length - places.length;
    return (
      <Notice tone="busy" title={t`It would be placed now`} role="status">
        <Text size="sm">
          {places.map((place) => `${place.site} · ${place.node}${place.members > 1 ? ` × ${place.members}` : ""}`).join(", ")}
          {left > 0 && <> <Plural value={left} one="and # more node" other="and # more nodes" /></>}
        </Text>
      </Notice>
    );
  }
  return (
    <Notice tone={found.is_final ? "bad" : "warning"} title={found.is_final ? t`It can never run here as asked` : t`It would have to wait`} role="status">
      <Text size="sm">{reasonWords(found.reason)}</Text>
      {found.message && <Text size="sm" c="dimmed">{found.message} {found.nearest}</Text>}
      {!found.is_final && found.ahead > 0 && <Text size="sm" c="dimmed"><Trans>Before it in the queue: {found.ahead}</Trans></Text>}
    </Notice>
  );
}
