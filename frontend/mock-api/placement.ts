/** Pretended decisions of placement, and what would happen if. Errors by special names: a new workload called `error-500`. */
import type { ChangeRequest, Explanation, Finding, Miss, NearestMiss, PlacementPolicies, Preview, QueueOrders, Result, Where, Workload } from "../src/api/__generated__";
import { clusters, type MockNode } from "./fleet.ts";
import { allocations, projects, tenants, workloads } from "./work.ts";

const FREE_IN_MOCK = 3;

const nodeAt = (at: number): MockNode => clusters[0]?.nodes[at] as MockNode;
const nodesInAll = () => clusters.reduce((sum, { nodes }) => sum + nodes.length, 0);

const missAt = (at: number, rest: Omit<NearestMiss, "node" | "name" | "where">): NearestMiss => ({ node: nodeAt(at).row.id, name: nodeAt(at).row.name, where: "", ...rest });

/** Names in the order in which a database of JSON gives them back: by length. */
const REFUSALS: Record<string, () => Pick<Explanation, "is_final" | "filters" | "miss">> = {
  NotEnoughFreeAccelerators: () => ({
    is_final: false,
    filters: { model: 200, closed: 13, accelerators: nodesInAll() - 213 },
    miss: missAt(16, { filter: "accelerators", wanted: 4, has: 2, unit: "devices" }),
  }),
  QuotaExhausted: () => ({ is_final: false, filters: { model: 200, quota: nodesInAll() - 213, closed: 13 }, miss: null }),
  NoMatchingModel: () => ({ is_final: true, filters: { model: nodesInAll() - 13, closed: 13 }, miss: null }),
  NeverFits: () => ({
    is_final: true,
    filters: { cpu: 30, model: 200, memory: nodesInAll() - 231, closed: 1 },
    miss: missAt(2, { filter: "memory", wanted: 4_194_304, has: 1_048_576, unit: "mib" }),
  }),
};

const UNDECIDED: Explanation = { outcome: "none", policy: "", candidates: [], reason: "", message: "", is_final: false, filters: {}, nearest: "", miss: null };

export function decisionOf(workload: Workload): Explanation {
  const refusal = REFUSALS[workload.reason];
  if (workload.state === "queued" && refusal) return { ...UNDECIDED, outcome: "refused", reason: workload.reason, message: workload.message, ...refusal() };
  if (workload.state === "queued") return UNDECIDED;
  const best = [...(clusters[0]?.nodes.slice(0, 4) ?? []), ...(clusters[1]?.nodes.slice(0, 2) ?? [])];
  const isInParts = workload.name === "llama-finetune";
  const candidates = best.map(({ row }, at) => {
    const parts: Record<string, number> = isInParts ? { money: -(12 + 7 * (at % 3)), energy: -(4 + at), packing: -64 * Math.floor(at / 2), fullness: 0.25, fragmentation: 21 - 6 * at } : {};
    const score = isInParts ? Object.values(parts).reduce((sum, each) => sum + each, 0) : -64 * (at + 1) - 3 * at;
    return { node: row.id, name: row.name, site: "shanghai", score, parts };
  });
  return { ...UNDECIDED, outcome: "placed", policy: isInParts ? "utilisation:1+money:0.5+energy:0.2" : "packing", candidates: candidates.toSorted((a, b) => b.score - a.score) };
}

const whereOf = ({ row }: MockNode, members = 1): Where => ({ site: "shanghai", cluster: row.cluster_name, node: row.name, members });
const placed = (where: Where[]) => ({ outcome: "placed" as const, where, reason: "", message: "", nearest: "", miss: null, is_final: false });

function waiting(reason: string, message: string, miss: Miss | null, isFinal = false) {
  return { outcome: "waiting" as const, where: [], reason, message, nearest: miss ? `Best is ${miss.node} with ${miss.has}.` : "", miss, is_final: isFinal };
}

const missOf = (wanted: number, has: number): Miss => ({ site: "shanghai", cluster: "k8s-prod", node: nodeAt(16).row.name, filter: "accelerators", wanted, has, unit: "devices", where: "" });

function outcomeOf(accelerators: number, isRoom: boolean, replicas = 1) {
  if (accelerators > 8) return waiting("NeverFits", `${accelerators} accelerators on one node: no node has that, even when empty.`, missOf(accelerators, 8), true);
  if (isRoom) return placed([whereOf(nodeAt(8), replicas)]);
  return waiting("NotEnoughFreeAccelerators", `${accelerators} accelerators free on one node wanted.`, missOf(accelerators, Math.min(4, accelerators - 1)));
}

export function previewed(body: Record<string, unknown>): Preview {
  const accelerators = Number(body.accelerators ?? 0);
  return { ...outcomeOf(accelerators, accelerators <= 4, Number(body.replicas ?? 1)), ahead: accelerators <= 4 ? 0 : 31 };
}

const isAt = (workload: Workload, sites: string[]) => {
  const grant = allocations.find((each) => each.workload === workload.id && each.state === "active");
  const site = clusters.find(({ row }) => row.id === grant?.cluster)?.row.site_name.toLowerCase();
  return site !== undefined && sites.includes(site);
};

export function simulated(pool: string, { workloads: asked = [], quotas = [], closed_sites: closed = [], added_nodes: added = [] }: ChangeRequest): Result {
  const ofPool = workloads.filter((each) => each.pool === pool);
  const room = FREE_IN_MOCK + added.reduce((sum, each) => sum + each.count, 0);
  const named = (workload: Workload) => ({ workload: workload.id, name: workload.name, tenant_name: workload.tenant_name, project_name: workload.project_name });
  const fresh = asked.flatMap((item) =>
    Array.from({ length: item.count ?? 1 }, (_, at): Finding => {
      const project = projects.find((each) => each.id === item.project);
      return {
        workload: null, name: item.name ?? "what-if", tenant_name: project?.tenant_name ?? "", project_name: project?.name ?? "", kind: "new", before: null,
        ...outcomeOf(item.accelerators ?? 1, at < room, item.replicas),
      };
    }),
  );
  const displaced = ofPool.filter((each) => isAt(each, closed)).map((each, at): Finding => ({ ...named(each), kind: "displaced", before: null, ...outcomeOf(each.accelerators, at % 3 !== 1) }));
  const queued = ofPool.filter((each) => each.state === "queued");
  const helped = queued.filter((each, at) => (each.reason === "QuotaExhausted" && quotas.some((quota) => tenants.some(({ id }) => id === quota.tenant) && quota.nominal_milli > 64_000)) || (each.reason === "NotEnoughFreeAccelerators" && at < 3 * (room - FREE_IN_MOCK)));
  const anew = helped.map((each): Finding => ({ ...named(each), kind: "waiting", before: "waiting", ...placed([whereOf(nodeAt(11))]) }));
  const isPlaced = (each: Finding) => each.outcome === "placed";
  return {
    waiting_before: queued.length, waiting_after: queued.length - anew.length, placed_anew: anew.length, no_longer_placed: 0,
    displaced: displaced.length, displaced_placed: displaced.filter(isPlaced).length, new: fresh.length, new_placed: fresh.filter(isPlaced).length,
    findings: [...fresh, ...displaced, ...anew].slice(0, 500), left_out: Math.max(0, fresh.length + displaced.length + anew.length - 500),
  };
}

const named = (name: string) => ({ name, title: name, description: `The server's own words about ${name}.` });

export const policies: PlacementPolicies = {
  default: "packing",
  example: "utilisation:1+money:0.5",
  most_weight: 1000,
  policies: "packing fgd best-fit spread random round-robin least-loaded weighted hash shedding cheapest greenest brand-new".split(" ").map((name) => ({ ...named(name), objectives: ["utilisation"] })),
  objectives: "utilisation waiting fairness shedding money energy".split(" ").map(named),
};

export const orders: QueueOrders = { default: "priority", orders: "priority fifo fair-share earliest-deadline shortest-predicted".split(" ").map((name) => ({ ...named(name), starves: "" })) };
