/** Nodes that might be bought: so many more like one that is there. */
import { useLingui } from "@lingui/react/macro";
import { NumberInput, Select } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Cluster } from "~/api/__generated__";
import { nodesListOptions, nodesRetrieveOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { amountOf } from "./amounts";
import type { NodesDraft } from "./change";

interface Props {
  row: NodesDraft;
  onChange: (part: Partial<NodesDraft>) => void;
  clusters: Cluster[];
}

export function NodesFields({ row, onChange, clusters }: Props) {
  const { t } = useLingui();
  const [chosen, setChosen] = useState("");
  // An address names only the node.
  const like = useQuery({ ...nodesRetrieveOptions({ path: { id: row.like } }), enabled: row.like !== "" });
  const cluster = chosen || like.data?.cluster || "";
  const nodes = useQuery({ ...nodesListOptions({ query: { cluster, limit: 200 } }), enabled: cluster !== "" });
  const listed = nodes.data?.results ?? [];
  const known = like.data && like.data.cluster === cluster && !listed.some((each) => each.id === row.like) ? [like.data, ...listed] : listed;
  const choose = (id: string | null) => {
    setChosen(id ?? "");
    onChange({ like: "" });
  };
  return (
    <>
      <Select size="xs" className="aq-span-two" label={t`Cluster`} searchable allowDeselect={false} data={clusters.map((each) => ({ value: each.id, label: `${each.name} (${each.site_name})` }))} value={cluster || null} onChange={choose} />
      <Select size="xs" label={t`Like this node`} searchable allowDeselect={false} disabled={cluster === ""} data={known.map((node) => ({ value: node.id, label: node.name }))} value={row.like || null} onChange={(node) => onChange({ like: node ?? "" })} />
      <NumberInput size="xs" label={t`How many more`} min={1} max={1000} allowDecimal={false} value={row.count} onChange={(count) => onChange({ count: amountOf(count) })} />
    </>
  );
}
