/** Pretended sites with 2,106 cards of several makers, some of them in parts, shared, or used by others. */
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
  { name: "H100/1g.10gb", vendor: "nvidia", memory: 9_728 },
];
const PART = 4;
const PARTS_EACH = 7;

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
  /** Nodes of several sorts: cards in parts, sliced, counted only, closed. */
  isMixed?: boolean;
  driver?: string;
}

const PLANS: Plan[] = [
  { site: "Shanghai", name: "k8s-prod", kind: "kubernetes", state: "connected", reason: "Answers", seen: 2, nodes: 120, each: 8, model: 0 },
  { site: "Beijing", name: "kvm-ascend", kind: "kvm", state: "connected", reason: "Answers", seen: 3, nodes: 60, each: 8, model: 1 },
  { site: "Shenzhen", name: "openstack-1", kind: "openstack", state: "degraded", reason: "Degraded", seen: 5, nodes: 80, each: 4, model: 2 },
  { site: "Wuhan", name: "vmware-lab", kind: "vmware", state: "stale", reason: "Silent", seen: 95, nodes: 60, each: 4, model: 3 },
  { site: "Shanghai", name: "k8s-mixed", kind: "kubernetes", driver: "kubernetes", state: "connected", reason: "Answers", seen: 1, nodes: 13, each: 8, model: 0, isMixed: true },
  { site: "Shanghai", name: "kvm-hosts", kind: "kvm", state: "connected", reason: "Answers", seen: 2, nodes: 1, each: 8, model: 0 },
  { site: "Shanghai", name: "this-machine", kind: "baremetal", state: "connected", reason: "Answers", seen: 1, nodes: 1, each: 2, model: 3 },
  { site: "Chengdu", name: "new-server", kind: "baremetal", state: "pending", reason: "NeverAnswered", seen: null, nodes: 0, each: 0, model: 0 },
];

export type Sort = "whole" | "parts" | "sliced" | "counted" | "closed";

export interface MockNode {
  row: Node;
  cards: MapRow[];
  sort: Sort;
}

export interface MockCluster {
  row: Cluster;
  nodes: MockNode[];
}

const OPEN = ["pause", "drain", "retire"];
const SORTS: Sort[] = ["whole", "parts", "sliced", "closed", "counted"];
const MESSAGES: Partial<Record<Sort, string>> = {
  closed: "No new work: it is cordoned, the taint maintenance:NoSchedule closes it.",
  counted: "Noted: nvidia.com/gpu is counted only: which of the cards a pod got is not known.",
};

function makeNode(cluster: Cluster, plan: Plan, at: number): MockNode {
  const sort = plan.isMixed ? (SORTS[at % SORTS.length] ?? "whole") : "whole";
  const state = sort === "closed" ? "not-ready" : plan.isMixed ? "ready" : at === 3 ? "draining" : at === 5 ? "not-ready" : "ready";
  const row: Node = {
    id: nextId(),
    cluster: cluster.id,
    cluster_name: cluster.name,
    name: `${plan.name}-${String(at + 1).padStart(3, "0")}`,
    state,
    reason: state === "draining" ? "DrainedByOperator" : "SiteReports",
    message: MESSAGES[sort] ?? "",
    state_since: ago(4_000 + at),
    rack: `r${Math.floor(at / 10) + 1}`,
    labels: {},
    cpu_milli: 128_000,
    memory_mib: 1_048_576,
    held_cpu_milli: 64_000,
    foreign_cpu_milli: plan.kind === "kubernetes" ? 8_000 : 0,
    foreign_memory_mib: plan.kind === "kubernetes" ? 32_768 : 0,
    held_memory_mib: 524_288,
    host: null,
    outer_hosts: [],
    host_problem: "",
    guests: 0,
    nested_cpu_milli: 0,
    nested_memory_mib: 0,
    created_at: ago(900_000),
    version: 1,
    actions: state === "ready" || state === "not-ready" ? ["drain"] : ["undrain"],
  };
  const cards = Array.from({ length: plan.each }, (_, card): MapRow[] => {
    const dice = random();
    const held = dice < 0.12 ? 0 : dice < 0.2 ? 500 : dice < 0.26 ? 250 : 1000;
    const health = random() < 0.008 ? 1 : random() < 0.004 ? 2 : 0;
    const memory = MODELS[plan.model]?.memory ?? 1;
    const isIdle = random() < 0.13;
    const busy = held === 0 || isIdle ? 0 : Math.round(25 + 75 * random());
    const isBlind = at === 7 || card === -1;
    const id = nextId();
    if (sort === "parts" && card < 3) return [[id, plan.model, 0, 0, busy, null, memory, 0, DIVIDED, null], ...makeParts(id)];
    const foreign = sort === "sliced" || sort === "closed" ? Math.min(1000 - held, [0, 300, 1000, 500][card % 4] ?? 0) : 0;
    return [[id, plan.model, health, held, isBlind ? null : busy, isBlind ? null : Math.round((memory * busy * 0.9) / 100), memory, foreign, WHOLE, null]];
  });
  return { row, cards: cards.flat(), sort };
}

const [WHOLE, DIVIDED, IS_PART, TWIN] = [0, 1, 2, 3];

function makeParts(of: string): MapRow[] {
  const memory = MODELS[PART]?.memory ?? 1;
  return Array.from({ length: PARTS_EACH }, (_, at): MapRow => [nextId(), PART, 0, at % 3 === 0 ? 1000 : 0, null, null, memory, at === 4 ? 1000 : 0, IS_PART, of]);
}

const sites = new Map<string, string>();
export const siteId = (name: string) => {
  const known = sites.get(name);
  if (known) return known;
  const made = nextId();
  sites.set(name, made);
  return made;
};
export const siteNames = () => [...sites].map(([name, id]) => ({ id, name, slug: name.toLowerCase() }));

export const clusters: MockCluster[] = PLANS.map((plan) => {
  const row: Cluster = {
    id: nextId(),
    site: siteId(plan.site),
    site_name: plan.site,
    slug: plan.name,
    name: plan.name,
    kind: plan.kind,
    driver: plan.driver ?? (plan.kind === "baremetal" ? "agent" : "fake"),
    state: plan.state,
    reason: plan.reason,
    message: plan.state === "degraded" ? "2 of 80 nodes do not answer." : "",
    state_since: ago(86_400),
    epoch: 1,
    site_version: plan.seen === null ? "" : "v1.34.2",
    last_seen_at: plan.seen === null ? null : ago(plan.seen),
    inventory_at: plan.seen === null ? null : ago(9),
    followed_at: plan.driver === "kubernetes" ? ago(2) : null,
    figures_at: plan.seen === null ? null : ago(plan.seen),
    is_stuck: false,
    is_demo: plan.kind !== "baremetal" && plan.driver !== "kubernetes",
    connection:
      plan.driver === "kubernetes"
        ? { server: "https://10.8.0.7:6443", tls_server_name: "", has_authority: true, way: "token", machines: [], fingerprint: "3f0c2a91d77be410", expires_at: ago(-86_400 * 20), replaced_at: ago(900_000) }
        : null,
    created_at: ago(900_000),
    version: 1,
    actions: plan.driver === "kubernetes" ? [...OPEN, "connect"] : OPEN,
  };
  return { row, nodes: Array.from({ length: plan.nodes }, (_, at) => makeNode(row, plan, at)) };
});

/** A host shows the cards that it gave to the virtual machine which is the first node of the mixed cluster. */
const guest = clusters.find(({ row }) => row.name === "k8s-mixed")?.nodes[0];
const outside = clusters.find(({ row }) => row.name === "kvm-hosts");
const host = outside?.nodes[0];
if (guest && outside && host) {
  const { row } = outside;
  guest.row.host = { id: host.row.id, name: host.row.name, cluster: row.id, cluster_name: row.name, kind: row.kind, site: row.site, site_name: row.site_name };
  Object.assign(host.row, { guests: 1, nested_cpu_milli: guest.row.cpu_milli, nested_memory_mib: guest.row.memory_mib });
}
host?.cards.forEach((card, at) => {
  const twin = guest?.cards[at];
  if (!twin || at > 5) return;
  card[3] = 0;
  card[8] = TWIN;
  card[9] = twin[0];
});

export function placeOf(id: string): { cluster: MockCluster; node: MockNode; at: number } | undefined {
  for (const cluster of clusters)
    for (const node of cluster.nodes) {
      const at = node.cards.findIndex((card) => card[0] === id);
      if (at >= 0) return { cluster, node, at };
    }
  return undefined;
}

/** A second passes: connected sites report, and their cards move a little. */
export function tick(): { cluster: string; rows: [string, number | null, number | null, number][] }[] {
  return clusters
    .filter(({ row }) => row.state === "connected" || row.state === "degraded")
    .map(({ row, nodes }) => {
      row.last_seen_at = now();
      row.figures_at = row.last_seen_at;
      if (random() < 0.07) row.inventory_at = row.last_seen_at;
      if (row.followed_at) Object.assign(row, { followed_at: row.last_seen_at });
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
