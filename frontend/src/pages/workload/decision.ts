/** What placement wrote down of its last look. Free-form in the schema, so each part is looked at before it is used. */
export interface Refused {
  outcome: "refused";
  isFinal: boolean;
  /** How many nodes each filter removed, in the order the filters are tried. */
  filters: [name: string, nodes: number][];
}

export interface Placed {
  outcome: "placed";
  policy: string;
  candidates: { node: string; score: number }[];
}

export function readDecision(decision: Record<string, unknown>): Refused | Placed | undefined {
  if (decision.outcome === "refused") {
    const filters = typeof decision.filters === "object" && decision.filters !== null ? Object.entries(decision.filters) : [];
    return {
      outcome: "refused",
      isFinal: decision.is_final === true,
      filters: filters.filter((entry): entry is [string, number] => typeof entry[1] === "number"),
    };
  }
  if (decision.outcome === "placed") {
    const candidates = Array.isArray(decision.candidates) ? decision.candidates : [];
    return {
      outcome: "placed",
      policy: typeof decision.policy === "string" ? decision.policy : "",
      candidates: candidates.filter(
        (each): each is { node: string; score: number } => typeof each?.node === "string" && typeof each?.score === "number",
      ),
    };
  }
  return undefined;
}
