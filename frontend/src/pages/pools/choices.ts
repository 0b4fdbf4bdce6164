/** What a pool can choose from: as the server lists it, in the reader's words where there are any. */
import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { placementPoliciesGetOptions, queueOrdersGetOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { isCombination } from "~/lib/combination";
import { OBJECTIVES } from "~/lib/placement";
import { useOrderWords, usePolicyWords } from "~/parts/policies";

export interface Choice {
  name: string;
  title: string;
  description: string;
}

/** To compare with in measurements; nobody chooses them for work. */
const BASELINES = new Set(["random", "dotprod", "gpu-clustering", "gpu-packing"]);

const unlessKnown = (given: Choice, known: { title: string; description: string }): Choice =>
  known.description ? { name: given.name, ...known } : given;

/** `chosen` is among them whatever the server lists. */
function withChosen(listed: Choice[], chosen: string): Choice[] {
  return listed.some((each) => each.name === chosen) ? listed : [...listed, { name: chosen, title: chosen, description: "" }];
}

export function usePolicies(chosen: string): Choice[] {
  const words = usePolicyWords();
  const listed = useQuery({ ...placementPoliciesGetOptions(), staleTime: Number.POSITIVE_INFINITY }).data?.policies ?? [];
  const offered = listed.filter((each) => !BASELINES.has(each.name) || each.name === chosen);
  return (isCombination(chosen) ? offered : withChosen(offered, chosen)).map((each) => unlessKnown(each, words(each.name)));
}

export function useOrders(chosen: string): Choice[] {
  const words = useOrderWords();
  const listed = useQuery({ ...queueOrdersGetOptions(), staleTime: Number.POSITIVE_INFINITY }).data?.orders ?? [];
  const told = listed.map(({ name, title, description, starves }) => ({ name, title, description: `${description} ${starves}`.trim() }));
  return withChosen(told, chosen).map((each) => unlessKnown(each, words(each.name)));
}

/** What a combination can weigh, and how much at most. */
export function useObjectives(): { objectives: Choice[]; most: number } {
  const { i18n } = useLingui();
  const listed = useQuery({ ...placementPoliciesGetOptions(), staleTime: Number.POSITIVE_INFINITY }).data;
  const objectives = listed?.objectives ?? [];
  return {
    most: listed?.most_weight ?? 1,
    objectives: objectives.map((each) => {
      const known = OBJECTIVES[each.name];
      return known ? { name: each.name, title: i18n._(known.title), description: i18n._(known.description) } : each;
    }),
  };
}
