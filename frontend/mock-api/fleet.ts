/** Pretended sites with 2,002 cards of several makers. */
import type { Cluster, Node } from "../src/api/__generated__";
import type { MapRow } from "../src/map/fleet";
import { nextId, seeded } from "./random.ts";

const random = seeded(7);
const now = () => new Date().toISOString();
const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();

export const MODELS: { name: string; vendor: string; memory: number }[] = [
  { name: "H100", vendor: "nvidia", memory: 81_920 },
  { name: "Ascend 910B", vendor: "ascend", memory: 65_536 },
  { name: "MTT S4000", vendor: "moore-threads", memory: 49_152 },
  { name: "A10", vendor: "nvidia", memory: 24_576 },
];

interface Plan {
  site: string;
  name: string;
  kind: Cluster["kind"];
  state: Cluster["state"];
  reason: string;
  seen: number | null;
  nodes: number;
  each: number;
  model: number;
}

const PLANS: Plan[] = [
  { site: "Shanghai", name: "k8s-prod", kind: "kubernetes", state: "connected", reason: "Answers", seen: 2, nodes: 120, each: 8, model: 0 },
  { site: "Beijing", name: "kvm-ascend", kind: "kvm", state: "connected", reason: "Answers", seen: 3, nodes: 60, each: 8, model: 1 },
  { site: "Shenzhen", name: "openstack-1", kind: "openstack", state: "degraded", reason: "Degraded", seen: 5, nodes: 80, each: 4, model: 2 },
  { site: "Wuhan", name: "vmware-lab", kind: "vmware", state: "stale", reason: "Silent", seen: 95, nodes: 60, each: 4, model: 3 },
  { site: "Shanghai", name: "this-machine", kind: "baremetal", state: "connected", reason: "Answers", seen: 1, nodes: 1, each: 2, model: 3 },
  { site: "Chengdu", name: "new-server", kind: "baremetal", state: "pending", reason: "NeverAnswered", seen: null, nodes: 0, each: 0, model: 0 },
];

export interface MockCluster {
  row: Cluster;
  nodes: { row: Node; cards: MapRow[] }[];
}

const OPEN = ["pause", "drain", "retire"];

function makeNode(cluster: Cluster, plan: Plan, at: number): MockCluster["nodes"][number] {
  const state = at === 3 ? "draining" : at === 5 ? "not-ready" : "ready";
  const row: Node = {
    id: nextId(),
    cluster: cluster.id,
    cluster_name: cluster.name,
    name: `${plan.name}-${String(at + 1).padStart(3, "0")}`,
    state,
    reason: state === "draining" ? "DrainedByOperator" : "SiteReports",
    message: "",
    state_since: ago(4_000 + at),
    rack: `r${Math.floor(at / 10) + 1}`,
    labels: {},
    cpu_milli: 128_000,
    memory_mib: 1_048_576,
    held_cpu_milli: 64_000,
    foreign_cpu_milli: 8_000,
    foreign_memory_mib: 32_768,
    held_memory_mib: 524_288,
    created_at: ago(900_000),
    version: 1,
    actions: state === "ready" || state === "not-ready" ? ["drain"] : ["undrain"],
  };
  const cards = Array.from({ length: plan.each }, (_, card): MapRow => {
    const dice = random();
    const held = dice < 0.12 ? 0 : dice < 0.2 ? 500 : dice < 0.26 ? 250 : 1000;
    const health = random() < 0.008 ? 1 : random() < 0.004 ? 2 : 0;
    const memory = MODELS[plan.model]?.memory ?? 1;
    const isIdle = random() < 0.13;
    const busy = held === 0 || isIdle ? 0 : Math.round(25 + 75 * random());
    const isBlind = at === 7 || card === -1;
    return [nextId(), plan.model, health, held, isBlind ? null : busy, isBlind ? null : Math.round((memory * busy * 0.9) / 100), memory];
  });
  return { row, cards };
}

const sites = new Map<string, string>();
export const siteId = (name: string) => {
  const known = sites.get(name);
  if (known) return known;
  const made = nextId();
  sites.set(name, made);
  return made;
};
export const siteNames = () => [...sites].map(([name, id]) => ({ id, name }));

export const clusters: MockCluster[] = PLANS.map((plan) => {
  const row: Cluster = {
    id: nextId(),
    site: siteId(plan.site),
    site_name: plan.site,
    slug: plan.name,
    name: plan.name,
    kind: plan.kind,
    driver: plan.kind === "baremetal" ? "agent" : "fake",
    state: plan.state,
    reason: plan.reason,
    message: plan.state === "degraded" ? "2 of 80 nodes do not answer." : "",
    state_since: ago(86_400),
    epoch: 1,
    site_version: plan.seen === null ? "" : "v1.34.2",
    last_seen_at: plan.seen === null ? null : ago(plan.seen),
    inventory_at: plan.seen === null ? null : ago(300),
    figures_at: plan.seen === null ? null : ago(plan.seen),
    is_stuck: false,
    is_demo: plan.kind !== "baremetal",
    connection: null,
    created_at: ago(900_000),
    version: 1,
    actions: OPEN,
  };
  return { row, nodes: Array.from({ length: plan.nodes }, (_, at) => makeNode(row, plan, at)) };
});

/** A second passes: connected sites report, and their cards move a little. */
export function tick(): { cluster: string; rows: [string, number | null, number | null, number][] }[] {
  return clusters
    .filter(({ row }) => row.state === "connected" || row.state === "degraded")
    .map(({ row, nodes }) => {
      row.last_seen_at = now();
      row.figures_at = row.last_seen_at;
      const rows = nodes.flatMap(({ cards }) =>
        cards.map((card): [string, number | null, number | null, number] => {
          if (card[4] !== null && card[4] > 0) {
            card[4] = Math.max(5, Math.min(100, Math.round(card[4] + (random() - 0.5) * 14)));
            card[5] = Math.round((card[6] * card[4] * 0.9) / 100);
          }
          return [card[0], card[4], card[5], card[3]];
        }),
      );
      return { cluster: row.id, rows };
    });
}
