/** Pretended books, terms, reservations, other prices, gaps and capacity. */
import type { BillingTerm, CapacityHour, Commitment, Month, Position, PriceBook, Proposal, Settlement, TaxRule, UsageGap } from "../src/api/__generated__";
import { MODELS } from "./fleet.ts";
import { nextId } from "./random.ts";
import { allocations, prices, projects, tenants } from "./work.ts";

const HOUR = 3_600_000;
const thisHour = Math.floor(Date.now() / HOUR) * HOUR;
const hour = (from: number) => new Date(thisHour + from * HOUR).toISOString();
const row = () => ({ id: nextId(), version: 1, created_at: hour(-200) });

export const books: PriceBook[] = [
  { ...row(), slug: "list-cny", name: "List prices in CNY", currency: "CNY", is_default: true },
  { ...row(), slug: "partners", name: "合作单位价目", currency: "CNY", is_default: false },
  { ...row(), slug: "next-year", name: "Prices of next year", currency: "CNY", is_default: false },
];

export const taxes: TaxRule[] = [
  { ...row(), book: "list-cny", name: "VAT", rate: "0.060000", valid_from: hour(-4000), valid_to: null },
  { ...row(), book: "partners", name: "VAT", rate: "0.030000", valid_from: hour(-4000), valid_to: hour(400) },
];

export const terms: BillingTerm[] = tenants.slice(0, 2).map((tenant, at) => ({
  ...row(), tenant: tenant.id, book: at ? "partners" : "list-cny", tenant_class: at ? "partner" : "external", is_taxed: at === 0, valid_from: hour(-3000 + at),
}));

export const commitments: Commitment[] = tenants.map((tenant, at) => ({
  ...row(), tenant: tenant.id, flavor: MODELS[at]?.name ?? "", site: at ? "" : "shanghai", held_milli: [64_000, 8_000, 2_500][at] ?? 1000, unit_price: "14.250000", currency: "CNY",
  start_at: hour([-400, 100, -2000][at] ?? 0), end_at: hour([300, 820, -1300][at] ?? 1),
}));

export function hoursOf(commitment: Commitment): object {
  const all = ((Date.parse(commitment.end_at) - Date.parse(commitment.start_at)) / HOUR) * (commitment.held_milli / 1000);
  const gone = Math.max(0, Math.min(1, (thisHour - Date.parse(commitment.start_at)) / (Date.parse(commitment.end_at) - Date.parse(commitment.start_at))));
  return { reserved: all.toFixed(9), used: (all * gone * 0.72).toFixed(9), unused: (all * gone * 0.28).toFixed(9) };
}

const differences = projects.slice(0, 4).map((project, at) => {
  const [was, would_be] = ([["12057.062500000000000", "9843.500000000000000"], ["820.000000000000000", "820.125000000000000"], ["4100.000000000000000", "6150.000000000000000"], ["0.000000000000000", "310.400000000000000"]] as const)[at] ?? ["0", "0"];
  return { project: project.name, flavor: MODELS[at]?.name ?? "", site: "shanghai", meter: at === 3 ? "energy" : "accelerator", was, would_be, difference: (Number(would_be) - Number(was)).toFixed(15) };
});

export const proposals: Proposal[] = (["open", "approved", "dropped"] as const).map((state, at) => ({
  ...row(), tenant: tenants[at % 2]?.id ?? "", book: at ? "partners" : "next-year", period_start: hour(-700), period_end: hour(0), currency: "CNY", state, state_since: hour(-2 - at),
  charges: 4312, was: "16977.062500000000000", would_be: "17124.025000000000000", lines: at === 2 ? [] : differences, posted_as: at === 1 ? nextId() : null, actions: at === 0 ? ["approve", "drop"] : [],
}));

export const gaps: UsageGap[] = allocations.slice(0, 5).map((each, at) => ({
  ...row(), allocation: each.id, workload: each.workload, tenant: each.tenant, project: each.project, site: "shanghai", cluster: each.cluster_name, node: each.node_name, flavor: each.flavor,
  held_milli: each.held_milli, start_at: hour(-at - 1), end_at: at === 0 ? null : hour(-at), proven_seconds: at === 0 ? null : 900 * at,
}));

/** A week of it: days busier than nights, and one hour of which nothing is known. */
export const capacity: CapacityHour[] = Array.from({ length: 168 }, (_, back) => back + 1)
  .filter((back) => back !== 9)
  .flatMap((back) =>
    MODELS.slice(0, 2).flatMap((model, kind) =>
      ["shanghai", "shenzhen"].map((site, place) => {
        const all = [512, 128][kind]! * 1000 * 3600;
        const work = Math.round(all * (0.45 + 0.25 * Math.sin((back / 24) * 2 * Math.PI) + 0.06 * place));
        const reserved = Math.round(all * (0.05 + 0.04 * ((back * 7) % 5)));
        return { id: nextId(), site, flavor: model.name, hour: hour(-back), capacity: all, work, reserved, idle: all - work - reserved, contested: back === 3 ? 7_200_000 : 0, computed_at: hour(0) };
      }),
    ),
  );

/** What a create makes of its body. */
export function make(noun: string, body: Record<string, unknown>): object | undefined {
  const stem = { ...row(), created_at: new Date().toISOString() };
  const from = (body.valid_from as string | null) ?? new Date().toISOString();
  if (noun === "price-books") return added(books, { ...stem, is_default: false, ...(body as { slug: string; name: string; currency: string }) });
  if (noun === "tax-rules") return added(taxes, { ...stem, ...(body as { book: string; name: string; rate: string }), valid_from: from, valid_to: null });
  if (noun === "billing-terms") return added(terms, { ...stem, ...(body as unknown as BillingTerm), valid_from: from });
  if (noun === "commitments") return added(commitments, { ...stem, ...(body as unknown as Commitment), currency: "CNY" });
  if (noun === "prices") return added(prices, { ...prices[0]!, ...stem, ...(body as object), valid_from: from, book: String(body.book ?? "list-cny"), currency: "CNY", tiers: (body.tiers as never) ?? [] });
  if (noun === "proposals") return added(proposals, { ...proposals[0]!, ...stem, ...(body as object), state: "open", actions: ["approve", "drop"] });
  return undefined;
}

function added<Row extends object>(rows: Row[], made: Row): Row {
  rows.unshift(made);
  return made;
}

export const months: Month[] = ["2026-11", "2026-10", "2026-09"].map((label, at) => ({
  ...row(), label, period_start: hour(-720 * (at + 1)), period_end: hour(-720 * at), state: at === 2 ? "closed" : "open", reason: at === 2 ? "Closed" : "", message: "", state_since: hour(-100),
  drafts: 2 - at, unrated: at === 1 ? 3 : 0, uncharged: 0, gaps: at === 0 ? 1 : 0, in_the_way: [["month-not-over", "earlier-month-open", "open-gaps"], ["unrated-usage"], []][at] ?? [], accepted: [],
  asked_by: at === 2 ? "admin" : "", ledger_seq: at === 2 ? 812 : null, closed_at: at === 2 ? hour(-100) : null, archive_sha256: at === 2 ? "9f2c".repeat(16) : "", archive_bytes: at === 2 ? 48_120 : 0, actions: at === 2 ? [] : ["close"],
}));

export const settlements: Settlement[] = tenants.slice(0, 2).map((tenant, at) => ({
  ...row(), month: "2026-09", side: at ? "department" : "site", tenant: tenant.id, tenant_name: tenant.name, debtor: at ? "research" : "", creditor: at ? "" : "shanghai", period: "2026-09", currency: "CNY", amount: "12057.062500000000000",
}));

export const positions: Position[] = settlements.flatMap((line) =>
  [line.debtor, line.creditor].map((party, at) => ({
    side: line.side, tenant: line.side === "site" ? null : line.tenant, party, currency: line.currency, owes: at ? "0" : line.amount, is_owed: at ? line.amount : "0", net: at ? line.amount : `-${line.amount}`,
  })),
);
