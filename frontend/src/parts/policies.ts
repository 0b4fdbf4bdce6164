/** Policies in words: those with a name, and combinations by what they weigh. */
import { useLingui } from "@lingui/react/macro";
import { isCombination, parseWeights } from "~/lib/combination";
import { OBJECTIVES, ORDERS, POLICIES } from "~/lib/placement";

/** A name nobody has words for is shown as it came. */
export function usePolicyWords(): (policy: string) => { title: string; description: string } {
  const { t, i18n } = useLingui();
  return (policy) => {
    const known = POLICIES[policy];
    if (known) return { title: i18n._(known.title), description: i18n._(known.description) };
    if (!isCombination(policy)) return { title: policy, description: "" };
    const number = new Intl.NumberFormat(i18n.locale, { maximumFractionDigits: 3 });
    const parts = Object.entries(parseWeights(policy)).filter(([, weight]) => weight > 0);
    const title = parts.map(([name, weight]) => `${OBJECTIVES[name] ? i18n._(OBJECTIVES[name].title) : name} ${number.format(weight)}`).join(" + ");
    return { title, description: t`Several aims at once, each with its weight.` };
  };
}

export function useOrderWords(): (order: string) => { title: string; description: string } {
  const { i18n } = useLingui();
  return (order) => {
    const known = ORDERS[order];
    if (!known) return { title: order, description: "" };
    return { title: i18n._(known.title), description: [known.description, known.starves].flatMap((each) => (each ? [i18n._(each)] : [])).join(" ") };
  };
}
