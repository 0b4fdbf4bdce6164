/** From "this thing changed" to the queries that show it. Bursts become one refetch. */
import type { Query, QueryClient } from "@tanstack/react-query";

/** Which reads show a thing of this topic: the beginnings of generated operation names. */
const READS: Record<string, readonly string[]> = {
  workload: ["workloads", "overview"],
  allocation: ["allocations", "overview", "acceleratorsMap", "accelerators"],
  cluster: ["clusters", "sites", "overview", "acceleratorsMap"],
  site: ["sites", "clusters"],
  node: ["nodes", "clusters", "acceleratorsMap"],
  // Of a cluster: its nodes and cards, and what others use of them.
  inventory: ["clusters", "nodes", "accelerators", "overview"],
  accelerator: ["accelerators", "acceleratorsMap", "overview"],
  pool: ["pools"],
  tenant: ["tenants"],
  project: ["projects"],
  quota: ["quotas"],
  price: ["prices"],
  invoice: ["invoices", "payments"],
  month: ["months", "settlements"],
  token: ["tokens"],
};

/** The parts of a generated query key that matter here. */
interface Key {
  _id?: string;
  path?: { id?: string };
}

export function isTouched(query: Pick<Query, "queryKey">, topic: string, ids: ReadonlySet<string>): boolean {
  const key = query.queryKey[0] as Key | undefined;
  const name = key?._id;
  if (!name) return false;
  const reads = READS[topic] ?? [`${topic}s`];
  if (!reads.some((read) => name.startsWith(read))) return false;
  // One thing's own page is read again only when it is that thing.
  const own = key.path?.id;
  return own === undefined || !name.startsWith(reads[0] ?? "") || ids.has(own);
}

const FIRST_WAIT_MS = 40;
const NEXT_WAIT_MS = 1_000;
/** A busy cluster's inventory changes all the time, and the picture of all cards is large. */
const NEXT_INVENTORY_WAIT_MS = 5_000;

export class Invalidator {
  private readonly things: Lane;
  private readonly inventories: Lane;

  constructor(private readonly client: QueryClient) {
    this.things = new Lane(client, NEXT_WAIT_MS);
    this.inventories = new Lane(client, NEXT_INVENTORY_WAIT_MS);
  }

  changed(topic: string, id: string): void {
    (topic === "inventory" ? this.inventories : this.things).changed(topic, id);
  }

  everything(): void {
    this.things.clear();
    this.inventories.clear();
    void this.client.invalidateQueries();
  }
}

class Lane {
  private readonly waiting = new Map<string, Set<string>>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lastFlush = 0;

  constructor(
    private readonly client: QueryClient,
    private readonly nextWaitMs: number,
  ) {}

  changed(topic: string, id: string): void {
    const ids = this.waiting.get(topic) ?? new Set();
    this.waiting.set(topic, ids.add(id));
    // A single change shows at once; under a stream of them pages are read once in a while.
    const wait = Date.now() - this.lastFlush < this.nextWaitMs ? this.nextWaitMs : FIRST_WAIT_MS;
    this.timer ??= setTimeout(() => this.flush(), wait);
  }

  clear(): void {
    this.waiting.clear();
  }

  private flush(): void {
    this.timer = undefined;
    this.lastFlush = Date.now();
    const waiting = [...this.waiting];
    this.waiting.clear();
    void this.client.invalidateQueries({
      predicate: (query) => waiting.some(([topic, ids]) => isTouched(query, topic, ids)),
    });
  }
}
