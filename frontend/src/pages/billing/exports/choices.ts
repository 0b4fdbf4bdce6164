/** What the forms of exports choose from, and what their tables call it. */
import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { exportTargetsListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { EXPORT_KINDS } from "~/lib/billing-words";
import { useWord } from "~/parts/words";

export function useTargets() {
  const { t } = useLingui();
  const targets = useQuery(exportTargetsListOptions({ query: { limit: 200 } })).data?.results ?? [];
  const names = new Map(targets.map((target) => [target.id, target.slug]));
  return { targets, nameOf: (id: string | null) => (id === null ? t`to be downloaded` : (names.get(id) ?? id.slice(0, 8))) };
}

export function useKinds() {
  const word = useWord();
  return { kindOf: (kind: string) => word(EXPORT_KINDS, kind), choices: Object.keys(EXPORT_KINDS).map((value) => ({ value, label: word(EXPORT_KINDS, value) })) };
}
