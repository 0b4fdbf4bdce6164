/** What the pretended server answers. Errors are reached by special names: `error-422`, `error-409`, `error-500`. */
import type { ChangeRequest, Cluster, Commitment, NewConnectionRequest, NodePower, Overview, Session } from "../src/api/__generated__";
import { budgets, credits, estimated, wallets } from "./budgets.ts";
import { images, makeTemplate, templates } from "./catalogue.ts";
import { addCluster, isElsewhere, reconnect, refusals, tried } from "./connections.ts";
import { charges, costsOf, eventsOf } from "./costs.ts";
import { cut, deviceOf, devicesOn, layoutOf, summary } from "./devices.ts";
import { clusters, MODELS, siteId, siteNames } from "./fleet.ts";
import { logChunk, notesOf } from "./inside.ts";
import { sensorsOf, switched } from "./sensors.ts";
import { decisionOf, orders, policies, previewed, simulated } from "./placement.ts";
import { books, capacity, commitments, gaps, hoursOf, make, months, positions, proposals, settlements, taxes, terms } from "./money.ts";
import { nextId } from "./random.ts";
import { allocations, historyOf, invoices, lines, makeWorkload, pools, prices, projects, quotas, tenants, tokens, usage, workloads } from "./work.ts";

export interface Call {
  method: string;
  path: string[];
  query: URLSearchParams;
  body: Record<string, unknown>;
  isSignedIn: boolean;
}

export interface Answer {
  status: number;
  body?: unknown;
  signIn?: boolean;
  changed?: [topic: string, id: string];
}

const PERMISSIONS =
  "session overview catalogue tenant department project user membership token quota audit site cluster node accelerator join-token workload allocation price usage invoice budget wallet month export"
    .split(" ")
    .map((noun) => `${noun}.view`)
    .concat("site.edit cluster.edit node.drain join-token.edit workload.create workload.control workload.shell allocation.release pool.edit tenant.suspend token.edit invoice.issue month.close export.edit price.edit budget.edit wallet.edit catalogue.edit node.power accelerator.partition".split(" "));

let language: "en" | "zh-Hans" | "" = "";

function session(query?: unknown): Session {
  return {
    id: "me", username: "admin", name: "Ada", language: language || String(query ?? ""), is_platform: true, permissions: PERMISSIONS,
    memberships: [{ role: "platform-admin", tenant_id: null, tenant_name: null, project_id: null }], billing_time_zone: "Asia/Shanghai", csrf: "",
  };
}

export function problem(status: number, code: string, title: string, errors: object[] = []): Answer {
  return { status, body: { type: "about:blank", title, status, detail: title, instance: "", code, errors } };
}

function counted<Row>(rows: Row[], by: (row: Row) => string): { name: string; count: number }[] {
  const found = new Map<string, number>();
  for (const row of rows) found.set(by(row), (found.get(by(row)) ?? 0) + 1);
  return [...found].map(([name, count]) => ({ name, count }));
}

function overview(): Overview {
  const rows = clusters.flatMap(({ nodes }) => nodes.flatMap((node) => node.cards)).filter((card) => card[8] !== 3);
  const cards = rows.filter((card) => card[8] !== 2);
  const offered = rows.filter((card) => card[8] !== 1);
  const held = offered.reduce((sum, card) => sum + card[3], 0);
  const foreign = offered.reduce((sum, card) => sum + card[7], 0);
  const at = (found: string) => clusters.find(({ row }) => row.state === found)?.row;
  return {
    clusters: counted(clusters, ({ row }) => row.state),
    nodes: counted(clusters.flatMap(({ nodes }) => nodes), ({ row }) => row.state),
    machines: { cpu_milli: 43_000_000, memory_mib: 350_000_000, free_cpu_milli: 20_000_000, free_memory_mib: 170_000_000, nested: 1 },
    accelerators: {
      total: cards.length, offered: offered.length, foreign_milli: foreign, unhealthy: cards.filter((card) => card[2] === 1).length, capacity_milli: offered.length * 1000, held_milli: held,
      placeable_milli: offered.length * 1000 - held - foreign - 40_000, busy: cards.filter((card) => (card[4] ?? 0) >= 5).length,
      idle_held: cards.filter((card) => card[3] > 0 && card[4] === 0).length, largest_free_block: 4, observed_at: new Date().toISOString(),
    },
    workloads: counted(workloads, (each) => each.state),
    waiting: counted(workloads.filter((each) => each.state === "queued"), (each) => each.reason),
    spend_today: [{ amount: "4821.35", currency: "CNY" }],
    needs_you: [
      ...(["stale", "degraded", "pending"] as const).map((state) => ({ kind: "cluster", severity: "warning" as const, title_code: `cluster-${state}`, params: { name: at(state)?.name }, target_type: "cluster", target_id: at(state)?.id ?? "" })),
      { kind: "node", severity: "warning", title_code: "node-unhealthy-accelerators", params: { name: "k8s-prod-014", count: 2 }, target_type: "node", target_id: clusters[0]?.nodes[13]?.row.id ?? "" },
      { kind: "workload", severity: "info", title_code: "workload-failed", params: { name: "broken-image", reason: "NonZeroExit" }, target_type: "workload", target_id: workloads[7]?.id ?? "" },
    ],
  };
}

const TABLES: Record<string, () => readonly object[]> = {
  clusters: () => clusters.map(({ row }) => row),
  nodes: () => clusters.flatMap(({ nodes }) => nodes.map(({ row }) => row)),
  sites: siteNames,
  tenants: () => tenants,
  projects: () => projects,
  pools: () => pools,
  quotas: () => quotas,
  workloads: () => workloads,
  allocations: () => allocations,
  prices: () => prices,
  "usage-records": () => usage,
  charges,
  invoices: () => invoices,
  "price-books": () => books,
  "tax-rules": () => taxes,
  "billing-terms": () => terms,
  commitments: () => commitments,
  proposals: () => proposals,
  "usage-gaps": () => gaps,
  "capacity-hours": () => capacity,
  payments: () => [],
  "billing-profiles": () => [],
  exports: () => [],
  "export-targets": () => [],
  "export-schedules": () => [],
  budgets: () => budgets,
  wallets: () => wallets,
  credits: () => credits,
  months: () => months,
  settlements: () => settlements,
  tokens: () => tokens,
  images: () => images,
  templates: () => templates.filter((each) => !each.is_archived),
  flavors: () => MODELS.map((model) => ({ id: model.name, name: model.name, unit: "device", vendor: model.vendor, model: model.name, version: 1 })),
  "accelerator-models": () => MODELS.map((model) => ({ ...model, id: model.name })),
};

type Row = Record<string, unknown>;

function listed(rows: readonly object[], query: URLSearchParams): Answer {
  const states = query.getAll("state");
  const found = (rows as Row[]).filter((row) =>
    [...query].every(([key, value]) => {
      if (key === "limit" || key === "cursor") return true; // of the page, even where rows have such a field
      if (key === "state") return states.includes(String(row.state));
      if (key === "since") return String(row.hour) >= value;
      if (key === "is_open") return ((row.end_at ?? row.ended_at ?? null) === null) === (value === "true");
      if (key === "name") return String(row.name).includes(value);
      return !(key in row) || String(row[key]) === value;
    }),
  );
  const limit = Number(query.get("limit") ?? 50);
  const start = Number(query.get("cursor") ?? 0);
  const next = start + limit < found.length ? `http://mock/?cursor=${start + limit}` : null;
  return { status: 200, body: { next, previous: null, results: found.slice(start, start + limit) } };
}

const AFTER: Record<string, [state: string, reason: string]> = {
  cancel: ["cancelled", "CancelledByUser"], suspend: ["suspended", "SuspendedByUser"], resume: ["queued", "ResumedByUser"], retry: ["queued", "RetriedByUser"],
  pause: ["maintenance", "PausedByOperator"], drain: ["draining", "DrainedByOperator"], undrain: ["ready", "OpenedByOperator"], retire: ["retired", "RetiredByOperator"],
  reinstate: ["active", ""], issue: ["issued", ""], release: ["stopping", "ReleasedByUser"], approve: ["approved", ""], drop: ["dropped", ""],
};

function invalid(errors: { pointer: string; detail: string; code: string }[], under = ""): Answer {
  return problem(422, "invalid", "Some of what was sent is not valid", errors.map((each) => ({ ...each, pointer: `${under}${each.pointer}` })));
}

function joinCommand(cluster: string): string {
  const isKubernetes = clusters.find(({ row }) => row.id === cluster)?.row.kind === "kubernetes";
  if (!isKubernetes) return "AQUIFER_JOIN_TOKEN=join_mock aquifer-agent enrol --hub http://127.0.0.1:8000";
  return "kubectl apply -f http://127.0.0.1:8000/api/v1/agent/manifest && kubectl -n aquifer-system create secret generic aquifer-agent-join --from-literal=token=join_mock";
}

function connect(row: Row, sent: NewConnectionRequest): Answer {
  const refused = refusals(sent);
  if (refused.length > 0) return invalid(refused);
  if (isElsewhere(sent)) {
    return { status: 409, body: { type: "about:blank", title: "This clashes with what is there", status: 409, instance: "", code: "conflict", errors: [],
      detail: "Work holds hardware here, and the server or its authority is another one. If it is the same cluster, say so with is_same_cluster." } };
  }
  reconnect(row as unknown as Cluster, sent);
  return { status: 202, body: row, changed: ["cluster", String(row.id)] };
}

function create(noun: string, body: Row): Answer {
  const name = String(body.name ?? "");
  if (name === "error-422") return problem(422, "invalid", "Some of what was sent is not valid", [{ pointer: "/name", detail: "This name is not allowed.", code: "bad-name" }]);
  if (name === "error-409") return problem(409, "conflict", "This clashes with what is there");
  if (name === "error-500") return { status: 500, body: "<html>" };
  if (noun === "workloads") {
    const made = makeWorkload(name, ["", "queued", "Submitted", ""], 1, body as object);
    workloads.unshift(made);
    return { status: 201, body: made, changed: ["workload", made.id] };
  }
  if (noun === "sites") return { status: 201, body: { id: siteId(name), name } };
  if (noun === "clusters") {
    const refused = body.connection ? refusals(body.connection as NewConnectionRequest) : [];
    if (refused.length > 0) return invalid(refused, "/connection");
    const made = addCluster(body, siteNames().find(({ id }) => id === body.site)?.name ?? "");
    return { status: 201, body: made.row, changed: ["cluster", made.row.id] };
  }
  if (noun === "join-tokens") return { status: 201, body: { id: nextId(), secret: "join_mock", command: joinCommand(String(body.cluster)) } };
  if (noun === "tokens") return { status: 201, body: { ...tokens[0], id: nextId(), name, secret: "aq_only-for-the-mock" } };
  if (noun === "templates") return { status: 201, body: makeTemplate(body) };
  const made = make(noun, body);
  return made ? { status: 201, body: made } : problem(404, "not-found", "There is no such thing here");
}

function simulate(pool: string, body: ChangeRequest): Answer {
  if (body.workloads?.some((each) => each.name === "error-500")) return { status: 500, body: "<html>" };
  if (body.workloads?.some((each) => each.name === "error-400")) {
    const refused = invalid([{ pointer: "/workloads", detail: "At most 1000 workloads in all.", code: "too-many" }]);
    return { ...refused, body: { ...(refused.body as object), detail: "At most 1000 workloads in all." } };
  }
  return { status: 200, body: simulated(pool, body) };
}

function edit(row: Row, body: Row): Answer {
  if (body.name === "error-409") return problem(412, "version-stale", "This has changed since you read it");
  Object.assign(row, body, { version: Number(row.version) + 1 });
  return { status: 200, body: row, changed: ["pool", String(row.id)] };
}

export function answer({ method, path, query, body, isSignedIn }: Call): Answer {
  const [noun = "", id, verb] = path;
  if (noun === "session") {
    if (method === "POST" && id === "language") {
      language = body.language as typeof language;
      return { status: 200, body: session() };
    }
    if (method === "POST") {
      if (body.password === "wrong") return problem(401, "login-failed", "Name or password is wrong");
      if (body.token === "used") return problem(401, "bad-credential", "This link was used already or is too old. Start again to get a new one.");
      return { status: 200, body: session(), signIn: true };
    }
    if (method === "DELETE") return { status: 204, signIn: false };
    return isSignedIn ? { status: 200, body: session() } : problem(401, "not-authenticated", "Sign in first");
  }
  if (!isSignedIn) return problem(401, "not-authenticated", "Sign in first");
  if (noun === "overview") return { status: 200, body: overview() };
  if (noun === "accelerators" && id === "map") {
    const found = clusters.map(({ row, nodes }) => ({
      id: row.id, name: row.name, site: row.site_name, kind: row.kind, state: row.state, last_seen_at: row.last_seen_at,
      nodes: nodes.map((node) => ({ id: node.row.id, name: node.row.name, d: node.cards })),
    }));
    return { status: 200, body: { seq: Date.now(), observed_at: new Date().toISOString(), models: MODELS.map((model) => model.name), clusters: found } };
  }
  if (noun === "accelerators" && id === "summary") return { status: 200, body: summary(query.get("cluster")) };
  if (noun === "accelerators" && id && verb === "partitions") return method === "PUT" ? { status: 202, body: cut(id, body.profiles as Record<string, number>), changed: ["accelerator", id] } : { status: 200, body: layoutOf(id) };
  if (noun === "accelerators" && id) return { status: 200, body: deviceOf(id) };
  if (noun === "accelerators") return { status: 200, body: { next: null, previous: null, results: devicesOn(query.get("node")) } };
  if (noun === "clusters" && id === "check-connection") {
    const refused = refusals(body);
    return refused.length > 0 ? invalid(refused) : { status: 200, body: tried(body) };
  }
  if (noun === "costs") {
    const told = costsOf(id, query);
    return told ? { status: 200, body: told } : problem(404, "not-found", "There is no such thing here");
  }
  if (noun === "settlements" && id === "positions") return { status: 200, body: positions };
  if (noun === "placement-policies") return { status: 200, body: policies };
  if (noun === "queue-orders") return { status: 200, body: orders };
  if (noun === "estimates") return { status: 200, body: estimated(body) };
  if (noun === "workloads" && id === "preview") return { status: 200, body: previewed(body) };
  if (noun === "workloads" && id === "counts") return { status: 200, body: counted(workloads, (each) => each.state).map(({ name, count }) => ({ state: name, count })) };
  const rows = TABLES[noun]?.() as Row[] | undefined;
  if (!id) return method === "POST" ? create(noun, body) : rows ? listed(rows, query) : problem(404, "not-found", "There is no such thing here");
  const row = rows?.find((each) => each.id === id);
  if (!row) return problem(404, "not-found", "There is no such thing here");
  if (method === "GET") return look(noun, row, verb, query);
  if (noun === "clusters" && verb === "connect") return connect(row, body);
  if (noun === "pools" && verb === "simulate") return simulate(String(id), body);
  if (method === "PATCH" && (noun === "pools" || noun === "templates")) return edit(row, body);
  if (noun === "nodes" && verb === "power") return { status: 202, body: switched(String(id), body.power as NodePower) };
  if (verb) {
    const [state, reason] = noun === "invoices" && verb === "cancel" ? ["void", "CancelledByCreditNote"] : (AFTER[verb] ?? ["", ""]);
    Object.assign(row, verb === "revoke" ? { revoked_at: new Date().toISOString() } : { state, reason, state_since: new Date().toISOString() });
    return { status: 202, body: row, changed: [noun.slice(0, -1), String(row.id)] };
  }
  return problem(405, "method-not-allowed", "Not possible here");
}

function look(noun: string, row: Row, part: string | undefined, query: URLSearchParams): Answer {
  if (!part) return { status: 200, body: row };
  if (noun === "invoices") return part === "lines" ? { status: 200, body: { next: null, previous: null, results: lines } } : { status: 200, body: "position,cost\n1,2\n" };
  if (noun === "nodes" && part === "sensors") return { status: 200, body: sensorsOf(String(row.id)) };
  if (noun === "usage-records" && part === "events") return { status: 200, body: eventsOf() };
  if (noun === "commitments" && part === "hours") return { status: 200, body: hoursOf(row as unknown as Commitment) };
  const workload = workloads.find((each) => each.id === row.id);
  if (!workload) return problem(404, "not-found", "There is no such thing here");
  if (part === "history") return { status: 200, body: historyOf(workload) };
  if (part === "explanation") return { status: 200, body: decisionOf(workload) };
  if (part === "events") return { status: 200, body: notesOf(workload) };
  return { status: 200, body: logChunk(workload, query) };
}
