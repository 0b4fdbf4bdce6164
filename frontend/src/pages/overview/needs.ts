import { useLingui } from "@lingui/react/macro";
import type { Need } from "~/api/__generated__";
import { formatUntil } from "~/lib/time";
import { useReason } from "~/parts/words";

/** Sentences for what the server wants looked at; a code without words is shown as it came. */
export function useNeedText(): (item: Need) => string {
  const { t, i18n } = useLingui();
  const reasonWords = useReason();
  return ({ title_code: code, params }) => {
    const name = String(params.name ?? "");
    const count = Number(params.count ?? 0);
    const reason = reasonWords(String(params.reason ?? ""));
    switch (code) {
      case "cluster-pending":
        return t`${name} has not called yet`;
      case "cluster-stale":
        return t`${name} has gone silent: no new work goes there`;
      case "cluster-disconnected":
        return t`${name} is disconnected`;
      case "cluster-degraded":
        return t`${name} answers, but not fully`;
      case "credential-expires":
        return t`The credential of ${name} ends ${formatUntil(String(params.at), i18n.locale)}: connect it anew`;
      case "credential-expired":
        return t`The credential of ${name} has ended: connect it anew`;
      case "node-unhealthy-accelerators":
        return t`${name} has unhealthy cards: ${count}`;
      case "allocation-stuck":
        return t`The site does not follow an order about ${name}`;
      case "workload-failed":
        return t`${name} failed: ${reason}`;
      default:
        return `${code} ${name}`.trim();
    }
  };
}
