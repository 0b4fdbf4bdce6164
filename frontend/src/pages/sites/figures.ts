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
  /** "#2", and "#2.1" for its first part. */
  label: string;
  isInside: boolean;
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
    .flatMap((card): Device[] => [
      { card, label: `#${card.index}`, isInside: false },
      ...(parts.get(card.id) ?? []).toSorted(byIndex).map((part, at): Device => ({ card: part, label: `#${card.index}.${at + 1}`, isInside: true })),
    ]);
}
