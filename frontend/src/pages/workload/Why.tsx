/** Why it is as it is: one sentence, what one can do, and the evidence the decision was made on. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Group, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Workload } from "~/api/__generated__";
import { workloadsExplanationOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { pb } from "~/lib/path-builder";
import { hintOf, PLAIN_REASONS } from "~/lib/reasons";
import { WORKLOAD_STATES } from "~/lib/words";
import { AppLink } from "~/parts/AppLink";
import { useReason, useStateWord } from "~/parts/words";
import { Age } from "~/ui/Age";
import { Notice } from "~/ui/Notice";
import { Panel } from "~/ui/Panel";
import { StateMark } from "~/ui/StateMark";
import { WaitsBadge, WhyNot, WhyThere } from "./Evidence";

export function Why({ workload }: { workload: Workload }) {
  const { i18n } = useLingui();
  const word = useStateWord();
  const reason = useReason();
  const explanation = useQuery(workloadsExplanationOptions({ path: { id: workload.id } }));
  const decision = explanation.data;
  const isQueued = workload.state === "queued";
  // A refusal of an earlier time says nothing about what has been placed or ended since.
  const refused = decision?.outcome === "refused" && isQueued ? decision : undefined;
  const hint = hintOf(workload.reason, refused?.miss?.filter);
  return (
    <Panel
      title={<StateMark tone={WORKLOAD_STATES[workload.state].tone} label={word("workload", workload.state)} />}
      aside={<Age at={workload.state_since} />}
    >
      {workload.reason && !PLAIN_REASONS.has(workload.reason) && (
        <Group gap="xs">
          <Text size="lg" fw={600}>{reason(workload.reason)}</Text>
          {refused && <WaitsBadge isFinal={refused.is_final} />}
        </Group>
      )}
      {/* The server's sentence is English; where the facts are told for programs, ours says the same. */}
      {workload.message && !refused?.miss && <Text size="sm" mt={4} lang="en">{workload.message}</Text>}
      {hint && workload.state !== "running" && <div className="aq-gap-above"><Notice tone="busy">{i18n._(hint)}</Notice></div>}
      {refused && <WhyNot refused={refused} />}
      {refused?.miss && workload.message && (
        <details className="aq-details">
          <summary><Trans>In the server's words</Trans></summary>
          <span lang="en">{workload.message}</span>
        </details>
      )}
      {isQueued && <Ways workload={workload} />}
      {decision?.outcome === "placed" && decision.candidates.length > 0 && <WhyThere placed={decision} isPast={isQueued} />}
      {explanation.isError && <Text size="sm" c="dimmed" mt="sm"><Trans>The evidence cannot be read just now.</Trans></Text>}
    </Panel>
  );
}

/** Where one can go on from here. */
function Ways({ workload }: { workload: Workload }) {
  const can = useCan();
  return (
    <Group gap="md" mt="sm">
      {workload.reason === "QuotaExhausted" && can("quota.view") && (
        <AppLink path={pb.tenant(workload.tenant)}><Trans>See the quotas of {workload.tenant_name}</Trans></AppLink>
      )}
      {can("pool.edit") && <AppLink path={pb.poolWhatIf(workload.pool)}><Trans>Try what would help: a what-if of {workload.pool_name}</Trans></AppLink>}
    </Group>
  );
}
