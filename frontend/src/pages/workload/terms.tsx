/** What work says about where it goes, as facts; what it leaves open is left out. */
import { useLingui } from "@lingui/react/macro";
import type { ReactNode } from "react";
import type { Workload } from "~/api/__generated__";
import { formatMoment } from "~/lib/time";
import { PREFERENCES, SPREADS, TOPOLOGIES } from "~/lib/placement";
import { MODES } from "~/lib/words";
import { useWord } from "~/parts/words";

export function useTermFacts(workload: Workload): [string, ReactNode][] {
  const { t, i18n } = useLingui();
  const word = useWord();
  const isGang = workload.replicas > 1;
  const labels = Object.entries((workload.node_labels ?? {}) as Record<string, string>);
  const facts: [string, ReactNode][] = [
    [t`Members together`, isGang && word(TOPOLOGIES, workload.topology)],
    [t`Members apart`, workload.spread && word(SPREADS, workload.spread)],
    [t`Members at least`, workload.min_replicas],
    [t`Regions`, workload.regions.join(", ")],
    [t`Cards handed out`, workload.slicing_modes.map((mode) => word(MODES, mode)).join(", ")],
    [t`Class of network`, workload.network_class],
    [t`Labels of nodes`, labels.map(([name, value]) => `${name}=${value}`).join(", ")],
    [t`Deadline`, workload.deadline_at && formatMoment(workload.deadline_at, i18n.locale)],
    [t`May be moved`, workload.is_movable && t`yes`],
    [t`Prefer`, workload.prefer && word(PREFERENCES, workload.prefer)],
  ];
  return facts.filter(([, value]) => Boolean(value));
}
