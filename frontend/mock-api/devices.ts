/** Each pretended card by itself, and cards added up by model. */
import type { Accelerator, CardPlace, Layout, ModelSummary } from "../src/api/__generated__";
import { clusters, type MockCluster, type MockNode, MODELS, placeOf } from "./fleet.ts";
import { workloads } from "./work.ts";

const HEALTH = ["healthy", "unhealthy", "unknown"] as const;

const HOW = {
  whole: { mode: "exclusive", step_milli: 1000, most_shares: 0, resource: "nvidia.com/gpu", is_identified: true },
  parts: { mode: "exclusive", step_milli: 1000, most_shares: 0, resource: "gpu.nvidia.com", is_identified: true },
  sliced: { mode: "sliced", step_milli: 10, most_shares: 10, resource: "nvidia.com/gpu", is_identified: true },
  counted: { mode: "shared", step_milli: 250, most_shares: 4, resource: "nvidia.com/gpu.shared", is_identified: false },
  closed: { mode: "sliced", step_milli: 10, most_shares: 10, resource: "nvidia.com/gpu", is_identified: true },
};

function deviceAt(cluster: MockCluster, node: MockNode, at: number): Accelerator {
  const [id, modelNumber, health, held, busy, used, memory, foreign, role, other] = node.cards[at] ?? node.cards[0]!;
  const model = MODELS[modelNumber];
  const isPart = role === 2;
  return {
    id, version: 1, created_at: cluster.row.created_at, node: node.row.id, node_name: node.row.name, cluster: cluster.row.id,
    index: node.cards.slice(0, at).filter((card) => card[8] !== 2).length, uuid: `${isPart ? "MIG" : "GPU"}-${id.slice(-12)}`,
    vendor: model?.vendor ?? "", model: model?.name ?? "", memory_mib: memory, health: HEALTH[health] ?? "unknown", is_present: true,
    ...HOW[node.sort], ...(isPart ? { mode: "partitioned", resource: "mig.nvidia.com" } : {}),
    parent: isPart ? other : null, counted_at: role === 3 ? other : null, counted_place: role === 3 ? whereIs(other) : null, serial: "", pci: "", present_parts: node.cards.filter((card) => card[8] === 2 && card[9] === id).length,
    held_milli: held, held_memory_mib: Math.round((memory * held) / 1000), foreign_milli: foreign, foreign_memory_mib: Math.round((memory * foreign) / 1000),
    figures: busy === null ? null : { busy_percent: busy, memory_used_mib: used, power_watts: null, temperature_celsius: null, at: cluster.row.figures_at ?? cluster.row.created_at },
    layout: wishOf(id),
    holders: held ? [{ workload: workloads[0]?.id, name: workloads[0]?.name, tenant_name: workloads[0]?.tenant_name, milli: held }] : [],
  };
}

function whereIs(id: string | null): CardPlace | null {
  const found = id === null ? undefined : placeOf(id);
  if (!found) return null;
  const { row } = found.cluster;
  return { id: id ?? "", index: found.at, node: found.node.row.id, node_name: found.node.row.name, cluster: row.id, cluster_name: row.name, site_name: row.site_name };
}

export function deviceOf(id: string): Accelerator | undefined {
  const place = placeOf(id);
  return place && deviceAt(place.cluster, place.node, place.at);
}

export function devicesOn(nodeId: string | null): Accelerator[] {
  return clusters.flatMap((cluster) => cluster.nodes.filter(({ row }) => row.id === nodeId).flatMap((node) => node.cards.map((_, at) => deviceAt(cluster, node, at))));
}

export function summary(clusterId: string | null): ModelSummary[] {
  const found = new Map<string, ModelSummary>();
  for (const cluster of clusters.filter(({ row }) => clusterId === null || row.id === clusterId))
    for (const node of cluster.nodes)
      for (const [, modelNumber, health, held, , , , foreign, role] of node.cards) {
        const { vendor = "", name: model = "" } = MODELS[modelNumber] ?? {};
        const row = found.get(model) ?? { vendor, model, physical: 0, unhealthy: 0, offered: 0, shareable: 0, parts: 0, held_milli: 0, foreign_milli: 0, elsewhere: 0 };
        found.set(model, row);
        if (role === 3) {
          row.elsewhere += 1;
          continue;
        }
        if (role !== 2) row.physical += 1;
        if (role !== 2 && health !== 0) row.unhealthy += 1;
        if (role !== 1) row.offered += 1;
        if (role === 2) row.parts += 1;
        if (role === 0 && HOW[node.sort].step_milli < 1000) row.shareable += 1;
        row.held_milli += held;
        row.foreign_milli += foreign;
      }
  return [...found.values()];
}

/** What cards of the mock can be cut into: the H100s can, and what is wished of them stays a wish. */
const H100_PARTS = { "1g.10gb": 7, "1g.20gb": 4, "2g.20gb": 3, "3g.40gb": 2, "4g.40gb": 1, "7g.80gb": 1 };
const wishes = new Map<string, Pick<Layout, "wanted" | "generation" | "state" | "reason" | "message">>();

function wishOf(id: string): Accelerator["layout"] {
  const wish = wishes.get(id);
  return wish?.wanted ? { wanted: wish.wanted, state: wish.state || "waiting", reason: wish.reason, message: wish.message } : null;
}

export function layoutOf(id: string): Layout {
  const card = deviceOf(id);
  const isNone = card?.model !== "H100";
  return { possible: isNone ? {} : H100_PARTS, parts: card?.present_parts ? { "1g.10gb": card.present_parts } : {}, ...(wishes.get(id) ?? { wanted: null, generation: 0, state: null, reason: "", message: "" }) };
}

/** Parts of 4g and 3g beside two of 1g do not fit; all else waits for an agent that never comes. */
export function cut(id: string, wanted: Record<string, number>): Layout {
  const isRefused = (wanted["4g.40gb"] ?? 0) > 0;
  wishes.set(id, { wanted, generation: layoutOf(id).generation + 1, state: isRefused ? "refused" : "waiting", reason: isRefused ? "DoesNotFit" : "", message: "" });
  return layoutOf(id);
}
