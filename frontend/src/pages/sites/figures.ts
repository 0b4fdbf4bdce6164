/** What is summed and sorted for the page of a cluster. */
import type { Accelerator, ModelSummary } from "~/api/__generated__";

type Amounts = Omit<ModelSummary, "vendor" | "model">;

/** All models together; `whole` are those to hand out that are neither shared nor parts. */
export function addUp(rows: readonly ModelSummary[]): Amounts & { whole: number } {
  const sum = (name: keyof Amounts) => rows.reduce((total, row) => total + row[name], 0);
  const [offered, shareable, parts] = [sum("offered"), sum("shareable"), sum("parts")];
  return {
    physical: sum("physical"),
    unhealthy: sum("unhealthy"),
    offered,
    shareable,
    parts,
    held_milli: sum("held_milli"),
    foreign_milli: sum("foreign_milli"),
    elsewhere: sum("elsewhere"),
    whole: offered - shareable - parts,
  };
}

export interface Device {
  card: Accelerator;
  /** How many cards it stands in. */
  depth: 0 | 1;
}

/** Cards by their number, each followed by its parts; a part whose card is not there stands by itself. */
export function nested(rows: readonly Accelerator[]): Device[] {
  const byIndex = (a: Accelerator, b: Accelerator) => a.index - b.index || a.uuid.localeCompare(b.uuid);
  const known = new Set(rows.map((row) => row.id));
  const parts = new Map<string, Accelerator[]>();
  const tops: Accelerator[] = [];
  for (const row of rows) {
    if (row.parent !== null && known.has(row.parent)) parts.set(row.parent, [...(parts.get(row.parent) ?? []), row]);
    else tops.push(row);
  }
  return tops
    .toSorted(byIndex)
    .flatMap((card): Device[] => [{ card, depth: 0 }, ...(parts.get(card.id) ?? []).toSorted(byIndex).map((part): Device => ({ card: part, depth: 1 }))]);
}
