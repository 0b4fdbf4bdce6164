/** Pretended tenants, workloads in every state, what they hold and what it costs. */
import type { Allocation, Invoice, InvoiceLine, Pool, Price, Project, Quota, StateChange, Tenant, Token, UsageRecord, Workload } from "../src/api/__generated__";
import { clusters, MODELS } from "./fleet.ts";
import { nextId } from "./random.ts";

const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();
const row = (seconds = 500_000) => ({ id: nextId(), version: 1, created_at: ago(seconds) });

export const tenants: Tenant[] = ["Bank of Rivers", "东湖大学", "Compute Centre"].map((name, at) => ({
  ...row(), slug: ["rivers", "donghu", "centre"][at] ?? "", name, state: at === 2 ? "suspended" : "active",
  reason: at === 2 ? "SuspendedByStaff" : "", message: "", state_since: ago(40_000), is_demo: true, actions: [at === 2 ? "reinstate" : "suspend"],
}));

export const projects: Project[] = tenants.flatMap((tenant, at) =>
  (["risk,research", "llm,vision", "default"][at] ?? "").split(",").map((name) => ({ ...row(), tenant: tenant.id, tenant_name: tenant.name, department: null, slug: name, name })),
);

export const pools: Pool[] = ["Everything", "H100 only"].map((name, at) => ({
  ...row(), slug: `pool-${at}`, name, clusters: at ? [] : clusters.map(({ row: each }) => each.id), model_names: at ? ["H100"] : [], policy: at ? "best-fit" : "packing", queue_order: at ? "fifo" : "priority",
}));

export const quotas: Quota[] = [...tenants.map((tenant) => ({ tenant, project: undefined })), ...projects.map((project) => ({ tenant: tenants.find((each) => each.id === project.tenant), project }))].flatMap(
  ({ tenant, project }) =>
    tenant
      ? MODELS.slice(0, 2).map((model, at) => ({
          ...row(), tenant: tenant.id, tenant_name: tenant.name, project: project?.id ?? null, project_name: project?.name ?? null,
          flavor: model.name, unit: "device" as const, nominal_milli: 64_000, borrowing_limit_milli: 32_000, lending_limit_milli: null,
          limit_milli: 96_000, weight: 1, held_milli: at === 0 ? 75_500 : 40_250,
        }))
      : [],
);

type Case = [name: string, state: Workload["state"], reason: string, message: string];
const CASES: Case[] = [
  ["llama-finetune", "running", "Running", ""],
  ["risk-batch-7", "queued", "NotEnoughFreeAccelerators", "4 H100 free on one node wanted. Best is k8s-prod-017 with 2."],
  ["vision-eval", "queued", "QuotaExhausted", "Left: 0.5 H100."],
  ["old-model", "queued", "NoMatchingModel", "There are H100, Ascend 910B and A10."],
  ["huge-memory", "queued", "NeverFits", "4194304 MiB of memory beside 4 H100 on one node: no node has that, even when empty."],
  ["notebook-lin", "admitted", "WaitingForSite", "1 of 1 not yet accepted by the site."],
  ["nightly-train", "succeeded", "Finished", ""],
  ["broken-image", "failed", "NonZeroExit", "Exit code 1."],
  ["paused-sweep", "suspended", "SuspendedByUser", ""],
  ["stopped-job", "cancelled", "CancelledByUser", ""],
  ["no-sockets", "running", "Running", ""],
];
const VERBS: Record<Workload["state"], string[]> = {
  queued: ["cancel", "suspend"], admitted: ["cancel", "suspend"], running: ["cancel", "suspend", "shell"], suspended: ["cancel", "resume"],
  succeeded: ["retry"], failed: ["retry"], cancelled: ["retry"],
};

export function makeWorkload(name: string, [, state, reason, message]: Case, seconds: number, over: Partial<Workload> = {}): Workload {
  const project = projects[Math.abs(Math.round(seconds)) % projects.length] as Project;
  const pool = pools[0] as Pool;
  const hasRun = state !== "queued" && state !== "admitted";
  const hasEnded = ["succeeded", "failed", "cancelled"].includes(state);
  return {
    ...row(seconds), tenant: project.tenant, tenant_name: project.tenant_name, project: project.id, project_name: project.name, pool: pool.id, pool_name: pool.name,
    name, kind: "training", priority: 0, replicas: 1, accelerators: 4, accelerator_milli: 1000, accelerator_memory_mib: 0, model_names: ["H100"], site_slugs: [],
    topology: "site", spread: "", min_replicas: null, regions: [], slicing_modes: [], node_labels: {}, network_class: "", prefer: "", deadline_at: null,
    cpu_milli: 16_000, memory_mib: 131_072, image: "", command: ["python", "train.py"], env: {}, run_seconds: null, max_seconds: 86_400, max_retries: 2,
    grace_seconds: 10, ports: [], volumes: [], secret_env: [], pull_secrets: [], boot: null, is_movable: false, state, reason, message, state_since: ago(seconds / 2), attempt: 1, retries: 0, submitted_by: "admin", queued_at: ago(seconds),
    started_at: hasRun ? ago(seconds * 0.9) : null, finished_at: hasEnded ? ago(seconds / 2) : null, exit_code: state === "failed" ? 1 : state === "succeeded" ? 0 : null, predicted_seconds: null,
    actions: VERBS[state], ...over,
  };
}

export const workloads: Workload[] = Array.from({ length: 64 }, (_, at) => {
  const found = CASES[at % CASES.length] as Case;
  return makeWorkload(at < CASES.length ? found[0] : `${found[0]}-${at}`, found, 120 + at * 613, at === 0 ? { replicas: 3, ports: [8888, 6006], is_movable: true, topology: "cluster", spread: "node", min_replicas: 2, network_class: "infiniband", deadline_at: ago(-86_400) } : {});
});

const homes = clusters[0]?.nodes ?? [];
export const allocations: Allocation[] = workloads
  .filter((workload) => ["running", "admitted", "succeeded", "failed"].includes(workload.state))
  .flatMap((workload) => Array.from({ length: workload.replicas }, (_, replica) => ({ workload, replica })))
  .map(({ workload, replica }, at) => {
    const home = homes[at % homes.length];
    const cluster = clusters[0]?.row;
    if (!home || !cluster) throw new Error("The mock has no nodes.");
    const state = workload.state === "running" ? "active" : workload.state === "admitted" ? "reserved" : "released";
    return {
      ...row(), tenant: workload.tenant, tenant_name: workload.tenant_name, project: workload.project, workload: workload.id, workload_name: workload.name,
      cluster: cluster.id, cluster_name: cluster.name, node: home.row.id, node_name: home.row.name, flavor: "H100", attempt: 1, replica,
      state, reason: state === "active" ? "Running" : state === "reserved" ? "WaitingForSite" : "Finished", message: "", state_since: ago(600), epoch: 1, generation: 1,
      cpu_milli: 16_000, memory_mib: 131_072, held_milli: 4000,
      shares: home.cards.slice(0, 4).map((card, index) => ({ accelerator: card[0], index, uuid: `GPU-${index}`, model: "H100", milli: 1000, memory_mib: 81_920 })),
      started_at: ago(1_000), ended_at: null, proof_at: ago(2), exit_code: null, used_cpu_milli: 9_400, used_memory_mib: 80_000, used_disk_read_kibps: 40_960, used_disk_write_kibps: 512, used_net_in_kibps: 9_000, used_net_out_kibps: 700, is_stuck: false, actions: state === "active" ? ["release"] : [],
    };
  });

export function historyOf(workload: Workload): StateChange[] {
  const steps: [Workload["state"], string][] = [["queued", "Submitted"]];
  if (workload.started_at) steps.push(["admitted", "Admitted"], ["running", "Running"]);
  if (steps.at(-1)?.[0] !== workload.state) steps.push([workload.state, workload.reason]);
  return steps.map(([state, reason], at) => ({
    id: at + 1, at: ago(3000 - at * 400), effective_at: ago(3000 - at * 400), object_type: "workload", object_id: workload.id,
    from_state: steps[at - 1]?.[0] ?? "", to_state: state, reason, message: "", by: at === 0 ? "admin" : "system",
  }));
}

export const prices: Price[] = MODELS.map((model, at) => ({
  ...row(), flavor: model.name, unit: "device", tenant: at === 3 ? (tenants[0]?.id ?? null) : null, tenant_name: at === 3 ? (tenants[0]?.name ?? null) : null,
  unit_price: ["24.500000", "16.000000", "9.800000", "5.250000"][at] ?? "1", currency: "CNY", valid_from: ago(8_000_000), valid_to: null,
  book: "list-cny", meter: "accelerator", tenant_class: "", site: at === 2 ? "shanghai" : "", slicing_mode: at === 1 ? "sliced" : "", service_class: at === 1 ? "over-quota" : "", tier_mode: at === 0 ? "graduated" : "", tier_scope: "tenant",
  tiers: at === 0 ? [{ start: "1000.000000000", unit_price: "22.000000" }, { start: "10000.000000000", unit_price: "19.500000" }] : [], minimum_seconds: at === 1 ? 3600 : 0, step_seconds: at === 1 ? 60 : 1,
}));

export const usage: UsageRecord[] = allocations.slice(0, 30).map((allocation, at) => ({
  ...row(), allocation: allocation.id, workload: allocation.workload, workload_name: allocation.workload_name, tenant: allocation.tenant, tenant_name: allocation.tenant_name,
  project: allocation.project, project_name: "risk", flavor: "H100", unit: "device", site: "Shanghai", cluster: "k8s-prod", node: allocation.node_name,
  start_at: ago(7200 + at * 60), end_at: ago(3600 + at * 60), seconds: 3600 - at, held_milli: 4000, milli_seconds: 4000 * (3600 - at), quantity: ((4 * (3600 - at)) / 3600).toFixed(9), metered_at: ago(60),
  workload_kind: "training", user: "admin", pool: "everything", model: "H100", slicing_mode: "exclusive", service_class: "guaranteed", cpu_milli: 16_000, memory_mib: 131_072,
  device_memory_mib: 327_680, power_watts: 700, power_milliwatts: 512_000, revision: 0, reverses: null, event_ids: [1, 2], proof_at: ago(60), charged_in: null,
}));

export const invoices: Invoice[] = tenants.slice(0, 2).map((tenant, at) => ({
  ...row(), number: at ? "2026-10-0001" : null, state: at ? "issued" : "draft", reason: "", message: "", state_since: ago(5000), tenant: tenant.id, tenant_name: tenant.name,
  period: at ? "2026-10" : "2026-11", period_start: "2026-10-31T16:00:00Z", period_end: "2026-11-30T16:00:00Z", currency: "CNY", total: "48213.504166666666667",
  payable: "48213.50", has_unrated: at === 0, refers_to: null, credit_note: null, issued_at: at ? ago(5000) : null, actions: at ? ["cancel", "pay"] : ["issue"],
  due_on: at ? "2026-11-20" : null, is_overdue: at === 1, paid: "0.00", from_wallet: "0.00", issuer: { name: at ? "Hub" : "", tax_id: "", address: "", bank: "" },
  bill_to: { legal_name: at ? tenant.name : "", tax_id: "", address: "", phone: "", bank: "", bank_account: "", email: "" },
}));

export const lines: InvoiceLine[] = projects.slice(0, 4).map((project, at) => ({
  ...row(), position: at + 1, category: "usage", project: project.id, project_name: project.name, site: "Shanghai", flavor: MODELS[at]?.name ?? "", unit: "device",
  milli_seconds: 3_600_000, quantity: "492.125000000", unit_price: at === 3 ? null : "24.500000", cost: at === 3 ? "0.000000000000000" : "12057.062500000000000", currency: "CNY", is_rated: at !== 3, price: null, meter: "",
}));

export const tokens: Token[] = [
  { ...row(), name: "ci", prefix: "aq_7Kx2mP9", scopes: ["workload.*"], tenant: null, expires_at: ago(-60 * 86_400), last_used_at: ago(30), revoked_at: null },
  { ...row(), name: "old laptop", prefix: "aq_1bb0ZqW", scopes: ["*"], tenant: null, expires_at: ago(-86_400), last_used_at: null, revoked_at: ago(900) },
];
