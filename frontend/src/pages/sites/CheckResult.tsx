/** What came of a try, in one sentence, with what it was tried on. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import type { Check } from "~/api/__generated__";
import { formatMoment, formatUntil } from "~/lib/time";
import { Notice } from "~/ui/Notice";

export function CheckResult({ check }: { check: Check }) {
  const { t } = useLingui();
  const title = !check.is_reachable
    ? t`No answer: the cluster cannot be connected like this`
    : check.is_degraded
      ? t`It answers, but something is missing`
      : t`It answers, and everything needed is allowed`;
  return (
    <Notice tone={!check.is_reachable ? "bad" : check.is_degraded ? "warning" : "busy"} title={title} role="status">
      {check.message && <Text size="sm">{check.message}</Text>}
      <Text size="xs" c="dimmed">{[check.site_version && `Kubernetes ${check.site_version}`, check.server].filter(Boolean).join(" · ")}</Text>
      {check.expires_at && <Ends at={check.expires_at} />}
    </Notice>
  );
}

export function Ends({ at }: { at: string }) {
  const { i18n } = useLingui();
  return (
    <Text size="xs" c="dimmed" title={formatMoment(at, i18n.locale)}>
      <Trans>The credential ends {formatUntil(at, i18n.locale)}</Trans>
    </Text>
  );
}
