/** The last look of placement, in the order in which people read it. */
import type { Candidate, Explanation } from "~/api/__generated__";
import { FILTERS, PARTS } from "~/lib/placement";

/** The database does not keep the order of names. One that is not known yet comes last. */
function inOrder(found: Record<string, number>, words: Record<string, unknown>): [string, number][] {
  const order = Object.keys(words);
  const place = (name: string) => (name in words ? order.indexOf(name) : order.length);
  return Object.entries(found).toSorted(([a], [b]) => place(a) - place(b));
}

/** How many nodes each filter removed, in the order the filters are tried. */
export const filtersOf = ({ filters }: Pick<Explanation, "filters">) => inOrder(filters, FILTERS);

/** Points by what they are for; none where the server of the time did not keep them. */
export const partsOf = ({ parts }: Pick<Candidate, "parts">) => inOrder(parts, PARTS);
