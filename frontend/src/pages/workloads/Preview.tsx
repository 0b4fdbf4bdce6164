/** What would become of the work if it were sent now. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import type { Preview as Found } from "~/api/__generated__";
import { Missing } from "~/parts/Missing";
import { Places } from "~/parts/Places";
import { Notice } from "~/ui/Notice";

export function Preview({ found }: { found: Found }) {
  const { t } = useLingui();
  if (found.outcome === "placed") {
    return <Notice tone="busy" title={t`It would be placed now`} role="status"><Places where={found.where} /></Notice>;
  }
  return (
    <Notice tone={found.is_final ? "bad" : "warning"} title={found.is_final ? t`It can never run here as asked` : t`It would have to wait`} role="status">
      <Missing found={found} />
      {!found.is_final && found.ahead > 0 && <Text size="sm" c="dimmed"><Trans>Before it in the queue: {found.ahead}</Trans></Text>}
    </Notice>
  );
}
