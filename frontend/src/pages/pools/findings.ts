/** What comes of a change, sorted for reading: by what it is about, and equals in one row. */
import type { Finding, Where } from "~/api/__generated__";

export type Group = "new" | "displaced" | "helped" | "hindered";

export interface Row {
  key: string;
  first: Finding;
  /** How many came out just like it. */
  count: number;
  where: Where[];
}

export const GROUPS: Group[] = ["new", "displaced", "hindered", "helped"];

const groupOf = ({ kind, outcome }: Finding): Group => (kind !== "waiting" ? kind : outcome === "placed" ? "helped" : "hindered");

export function sorted(findings: Finding[]): Record<Group, Row[]> {
  const groups: Record<Group, Map<string, Row>> = { new: new Map(), displaced: new Map(), helped: new Map(), hindered: new Map() };
  for (const finding of findings) {
    const key = keyOf(finding);
    const rows = groups[groupOf(finding)];
    const row = rows.get(key);
    if (row) rows.set(key, { ...row, count: row.count + 1, where: merged(row.where, finding.where) });
    else rows.set(key, { key, first: finding, count: 1, where: finding.where });
  }
  const asRows = (rows: Map<string, Row>) => [...rows.values()];
  return { new: asRows(groups.new), displaced: asRows(groups.displaced), helped: asRows(groups.helped), hindered: asRows(groups.hindered) };
}

/** Work that is there has a row of its own; copies of new work are one where they come to the same. */
function keyOf({ workload, name, project_name, outcome, reason, message, is_final }: Finding): string {
  return workload ?? JSON.stringify([name, project_name, outcome, reason, message, is_final]);
}

function merged(known: Where[], more: Where[]): Where[] {
  const found = new Map(known.map((each) => [`${each.cluster} ${each.node}`, each]));
  for (const each of more) {
    const there = found.get(`${each.cluster} ${each.node}`);
    found.set(`${each.cluster} ${each.node}`, there ? { ...there, members: there.members + each.members } : each);
  }
  return [...found.values()];
}
