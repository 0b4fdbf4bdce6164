/** What placement wrote down of its last look. Free-form in the schema, so each part is looked at before it is used. */
import type { NearMiss } from "~/parts/misses";
import { FILTERS, PARTS } from "~/lib/placement";

export interface Refused {
  outcome: "refused";
  isFinal: boolean;
  reason: string;
  /** How many nodes each filter removed, in the order the filters are tried. */
  filters: [name: string, nodes: number][];
  miss: NearMiss | undefined;
}

export interface Candidate {
  node: string;
  /** Empty: the server of the time did not keep it. */
  name: string;
  score: number;
  /** Points by objective, where the server tells them apart. */
  parts: [objective: string, points: number][];
}

export interface Placed {
  outcome: "placed";
  policy: string;
  /** The chosen one first. */
  candidates: Candidate[];
}

export function readDecision(decision: Record<string, unknown>): Refused | Placed | undefined {
  if (decision.outcome === "refused") {
    return {
      outcome: "refused",
      isFinal: decision.is_final === true,
      reason: textOf(decision.reason),
      filters: inOrder(numbersOf(decision.filters), FILTERS),
      miss: missOf(decision.miss),
    };
  }
  if (decision.outcome === "placed") {
    const candidates = Array.isArray(decision.candidates) ? decision.candidates : [];
    return { outcome: "placed", policy: textOf(decision.policy), candidates: candidates.flatMap(candidateOf) };
  }
  return undefined;
}

const textOf = (value: unknown) => (typeof value === "string" ? value : "");

function numbersOf(value: unknown): [string, number][] {
  const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
  return entries.filter((entry): entry is [string, number] => typeof entry[1] === "number");
}

/** The database does not keep the order of names. One that is not known yet comes last. */
function inOrder(found: [string, number][], words: Record<string, unknown>): [string, number][] {
  const order = Object.keys(words);
  const place = (name: string) => (name in words ? order.indexOf(name) : order.length);
  return found.toSorted(([a], [b]) => place(a) - place(b));
}

function candidateOf(each: unknown): Candidate[] {
  if (typeof each !== "object" || each === null) return [];
  const { node, name, score, parts } = each as Record<string, unknown>;
  if (typeof node !== "string" || typeof score !== "number") return [];
  return [{ node, name: textOf(name), score, parts: inOrder(numbersOf(parts), PARTS) }];
}

function missOf(value: unknown): NearMiss | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { node, filter, wanted, has, unit, where } = value as Record<string, unknown>;
  if (typeof node !== "string" || typeof filter !== "string" || typeof wanted !== "number" || typeof has !== "number") return undefined;
  return { node, filter, wanted, has, unit: textOf(unit), ...(textOf(where) ? { where: textOf(where) } : {}) };
}
