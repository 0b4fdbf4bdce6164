/** Where the members of work would be, in a line: "shanghai · k8s-017 × 2, and 3 more nodes". */
import { Plural } from "@lingui/react/macro";
import type { Where } from "~/api/__generated__";

export function Places({ where, most = 4 }: { where: Where[]; most?: number }) {
  const shown = where.slice(0, most);
  const left = where.length - shown.length;
  return (
    <>
      {shown.map((place) => `${place.site} · ${place.node}${place.members > 1 ? ` × ${place.members}` : ""}`).join(", ")}
      {left > 0 && <> <Plural value={left} one="and # more node" other="and # more nodes" /></>}
    </>
  );
}
