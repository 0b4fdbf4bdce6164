/** Policies that weigh several aims, as the API writes them: `utilisation:1+money:0.5`. */
export type Weights = Record<string, number>;

export const isCombination = (policy: string) => policy.includes(":");

/** What cannot be read counts as no weight. */
export function parseWeights(policy: string): Weights {
  if (!isCombination(policy)) return {};
  return Object.fromEntries(
    policy.split("+").flatMap((part) => {
      const [name = "", text = ""] = part.split(":");
      const weight = Number(text);
      return name.trim() && text.trim() && Number.isFinite(weight) ? [[name.trim(), weight]] : [];
    }),
  );
}

export function printWeights(weights: Weights): string {
  return Object.entries(weights)
    .filter(([, weight]) => weight > 0)
    .map(([name, weight]) => `${name}:${Number(weight.toFixed(3))}`)
    .join("+");
}
