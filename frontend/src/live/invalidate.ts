/** From "this thing changed" to the queries that show it. Bursts become one refetch. */
import type { Query, QueryClient } from "@tanstack/react-query";

/** Which reads show a thing of this topic: the beginnings of generated operation names. */
const READS: Record<string, readonly string[]> = {
  workload: ["workloads", "overview"],
  allocation: ["allocations", "overview", "acceleratorsMap", "accelerators"],
  cluster: ["clusters", "sites", "overview", "acceleratorsMap"],
  site: ["sites", "clusters"],
  node: ["nodes", "clusters", "acceleratorsMap"],
  accelerator: ["accelerators", "acceleratorsMap", "overview"],
  pool: ["pools"],
  tenant: ["tenants"],
  project: ["projects"],
  quota: ["quotas"],
  price: ["prices"],
  invoice: ["invoices"],
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

export class Invalidator {
  private readonly waiting = new Map<string, Set<string>>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lastFlush = 0;

  constructor(private readonly client: QueryClient) {}

  changed(topic: string, id: string): void {
    const ids = this.waiting.get(topic) ?? new Set();
    this.waiting.set(topic, ids.add(id));
    // A single change shows at once; under a stream of them pages are read once a second.
    const wait = Date.now() - this.lastFlush < NEXT_WAIT_MS ? NEXT_WAIT_MS : FIRST_WAIT_MS;
    this.timer ??= setTimeout(() => this.flush(), wait);
  }

  everything(): void {
    this.waiting.clear();
    void this.client.invalidateQueries();
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
