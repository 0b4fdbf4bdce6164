/** Why it is as it is: one sentence, what one can do, and the evidence the decision was made on. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Workload } from "~/api/__generated__";
import { workloadsExplanationOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { PLAIN_REASONS, REASONS } from "~/lib/reasons";
import { WORKLOAD_STATES } from "~/lib/words";
import { useReason, useStateWord } from "~/parts/words";
import { Age } from "~/ui/Age";
import { Notice } from "~/ui/Notice";
import { Panel } from "~/ui/Panel";
import { StateMark } from "~/ui/StateMark";
import { Evidence } from "./Evidence";

export function Why({ workload }: { workload: Workload }) {
  const { i18n } = useLingui();
  const word = useStateWord();
  const reason = useReason();
  const explanation = useQuery(workloadsExplanationOptions({ path: { id: workload.id } }));
  const hint = REASONS[workload.reason]?.hint;
  return (
    <Panel
      title={<StateMark tone={WORKLOAD_STATES[workload.state].tone} label={word("workload", workload.state)} />}
      aside={<Age at={workload.state_since} />}
    >
      {workload.reason && !PLAIN_REASONS.has(workload.reason) && <Text size="lg" fw={600}>{reason(workload.reason)}</Text>}
      {workload.message && <Text size="sm" mt={4}>{workload.message}</Text>}
      {hint && workload.state !== "running" && <div className="aq-gap-above"><Notice tone="busy">{i18n._(hint)}</Notice></div>}
      {explanation.data && <Evidence decision={explanation.data} />}
      {explanation.isError && <Text size="sm" c="dimmed" mt="sm"><Trans>The evidence cannot be read just now.</Trans></Text>}
    </Panel>
  );
}
