/** Pretended costs, and what stands behind a line of an invoice. */
import type { Charge, CostKey, Costs, CostSeries, Forecasts, Idle, Loans, UnitCosts, UsageEvent } from "../src/api/__generated__";
import { historyOf, projects, tenants, usage, workloads } from "./work.ts";

const DAY = 86_400_000;
const CHINA = 8 * 3_600_000; // days begin there eight hours before those of UTC
const money = (amount: number) => amount.toFixed(15);

/** The month as [first instant, last, days that are over]. */
function month(period: string): [start: number, end: number, gone: number] {
  const [year = 2026, number = 1] = period.split("-").map(Number);
  const start = Date.UTC(year, number - 1, 1) - CHINA;
  const end = Date.UTC(year, number, 1) - CHINA;
  return [start, end, Math.max(0, Math.min(Math.ceil((end - start) / DAY), Math.floor((Date.now() - start) / DAY)))];
}

const presentMonth = () => new Date(Date.now() + CHINA).toISOString().slice(0, 7);

function costs(query: URLSearchParams): Costs {
  const [start, end, gone] = month(query.get("period") ?? presentMonth());
  const by = (query.get("by") ?? "tenant").split(",") as CostKey["dimension"][];
  const series = projects.map((project, at): CostSeries => {
    const points = Array.from({ length: gone }, (_, day) => ({ start: new Date(start + day * DAY).toISOString(), cost: money((at + 1) * 180 + ((day * 37 + at * 11) % 23) * 9.5) }));
    const names: Record<string, [string | null, string]> = { tenant: [project.tenant, project.tenant_name], project: [project.id, project.name] };
    const keys = by.map((dimension) => ({ dimension, id: names[dimension]?.[0] ?? null, name: names[dimension]?.[1] ?? `${dimension} ${at + 1}` }));
    return { currency: "CNY", keys: at === projects.length - 1 ? [] : keys, total: money(points.reduce((sum, point) => sum + Number(point.cost), 0)), share: null, points };
  });
  const whole = series.reduce((sum, each) => sum + Number(each.total), 0);
  for (const each of series) each.share = whole ? (Number(each.total) / whole).toFixed(6) : null;
  return { start: new Date(start).toISOString(), end: new Date(end).toISOString(), zone: "Asia/Shanghai", series: gone ? series : [], totals: gone ? [{ currency: "CNY", cost: money(whole) }] : [] };
}

const forecasts = (query: URLSearchParams): Forecasts => ({
  period: query.get("period") ?? presentMonth(), charged_until: new Date().toISOString(), assumption: "", left_off: 3,
  forecasts: projects.map((project, at) => ({
    tenant: project.tenant, tenant_name: project.tenant_name, project: project.id, project_name: project.name, currency: "CNY", spent: money(9000 - at * 700), known: money(0), days: at ? 7 : 1,
    daily: (330 - at * 20).toFixed(2), expected: (12_300 - at * 900).toFixed(2), low: at ? (11_500 - at * 900).toFixed(2) : null, high: at ? (13_100 - at * 900).toFixed(2) : null,
  })),
});

const units = (): UnitCosts => ({
  by: "model",
  units: ["H100", "Ascend 910B"].map((name, at) => ({ key: name, name, currency: "CNY", cost: money(48_000), card_hours: "2004.250000000", per_card_hour: at ? "16.000000" : "23.949108", busy_share: at ? null : "0.6120", per_busy_card_hour: at ? null : "39.132529" })),
});

const idle = (query: URLSearchParams): Idle => ({
  currency: "CNY", rule: query.get("rule") === "quota" ? "quota" : "use", cost: money(20_480.5), unallocated: money(480.5),
  shares: tenants.slice(0, 2).map((tenant, at) => ({ tenant: tenant.id, tenant_name: tenant.name, cost: money(at ? 5000 : 15_000) })),
  places: [{ site: "shanghai", flavor: "H100", capacity: "5376.000000000", work: "4012.500000000", reserved: "120.250000000", idle: "1243.250000000", unpriced: "0.000000000", idle_cost: money(20_480.5), reserved_cost: money(2946.125) }],
});

const loans = (): Loans => ({
  start: new Date(Date.now() - 30 * DAY).toISOString(), end: new Date().toISOString(),
  loans: [true, false].map((is_promised) => ({
    flavor: "H100", site: "shanghai", borrower: tenants[0]?.id ?? null, borrower_name: tenants[0]?.name ?? "", lender: is_promised ? (tenants[1]?.id ?? null) : null,
    lender_name: is_promised ? (tenants[1]?.name ?? "") : "", is_promised, milli_seconds: 181_500_000,
  })),
});

/** What `GET /costs` and those below it answer. */
export function costsOf(part: string | undefined, query: URLSearchParams): object | undefined {
  switch (part) {
    case undefined:
      return costs(query);
    case "forecast":
      return forecasts(query);
    case "units":
      return units();
    case "idle":
      return idle(query);
    case "loans":
      return loans();
    default:
      return undefined;
  }
}

export const charges = (): Charge[] =>
  usage.slice(0, 5).map((record) => ({
    id: record.id, created_at: record.created_at, category: "usage", reverses: null, is_correction: false, is_minimum: false, transaction: record.id, transaction_seq: 7,
    tenant: record.tenant, tenant_name: record.tenant_name, project: record.project, project_name: record.project_name, workload: record.workload, workload_name: record.workload_name,
    workload_kind: "training", allocation: record.allocation, user: "admin", site: record.site, cluster: record.cluster, pool: "everything", node: record.node, flavor: "H100", model: "H100",
    slicing_mode: "exclusive", service_class: "guaranteed", tenant_class: "external", meter: "accelerator", sku: "H100/accelerator", billing_period_start: "2026-10-31T16:00:00Z",
    billing_period_end: "2026-11-30T16:00:00Z", period_start: record.start_at, period_end: record.end_at, milli_seconds: record.milli_seconds, quantity: record.quantity, unit: "Accelerator-Hours",
    tier: 0, pricing: "standard", list_unit_price: "24.500000", contracted_unit_price: "24.500000", list_cost: money(98), contracted_cost: money(98), billed_cost: money(98),
    effective_cost: money(98), currency: "CNY", price_version: record.id, list_price_version: record.id, commitment: null, tax_rule: null, rule_version: "1", usage_records: [record.id], description: "",
  }));

export function eventsOf(): UsageEvent[] {
  const [first] = workloads;
  return first ? historyOf(first) : [];
}
