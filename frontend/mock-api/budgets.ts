/** Pretended budgets, wallets and what came into them. */
import type { Budget, Credit, Estimate, Wallet } from "../src/api/__generated__";
import { nextId } from "./random.ts";
import { projects, tenants } from "./work.ts";

const ago = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();
const row = () => ({ id: nextId(), version: 1, created_at: ago(20) });

export const budgets: Budget[] = projects.slice(0, 3).map((project, at) => {
  const [spent, held, left, reached] = ([["21000", "9000", "20000", []], ["41250.5", "5000", "3749.5", [50, 80]], ["50210", "0", "-210", [50, 80, 100]]] as [string, string, string, number[]][])[at]!;
  return {
    ...row(), tenant: project.tenant, tenant_name: project.tenant_name, project: at === 1 ? null : project.id, project_name: at === 1 ? null : project.name, currency: "CNY", limit: "50000.00",
    on_exhausted: at === 2 ? "stop" : "refuse", horizon_hours: at === 0 ? 24 : null, thresholds: [50, 80, 100], period: "2026-11", spent, held, left,
    alerts: reached.map((threshold) => ({ threshold, spent, limit: "50000.00", created_at: ago(2) })), settled_at: ago(0), ended_at: null, actions: ["change", "end"],
  };
});

export const wallets: Wallet[] = tenants.slice(0, 2).map((tenant, at) => ({
  ...row(), tenant: tenant.id, tenant_name: tenant.name, currency: "CNY", balance: at ? "-120.00" : "8250.00", overdraft: at ? "500.00" : "0.00",
}));

export const credits: Credit[] = wallets.flatMap((wallet, at) =>
  (["top-up", "grant"] as const).map((kind) => ({
    ...row(), wallet: wallet.id, tenant: wallet.tenant, tenant_name: wallet.tenant_name, kind, currency: "CNY", amount: kind === "grant" ? "1000.00" : "10000.00", left: at ? "0.00" : kind === "grant" ? "250.00" : "8000.00",
    expires_at: kind === "grant" ? ago(-40) : null, note: kind === "grant" ? "Pilot" : "B-2026-118", by: "admin",
  })),
);

export function estimated(body: Record<string, unknown>): Estimate {
  const [hour, limit] = [Number(body.accelerators ?? 0) * 14.25, Number(body.max_seconds ?? 0)];
  const worst = ((hour * (limit || 8 * 86_400)) / 3600).toFixed(2);
  const mine = budgets.filter((budget) => budget.project === body.project);
  return {
    currency: "CNY", is_priced: true, per_hour: hour.toFixed(15), has_time_limit: limit > 0, seconds: limit || 8 * 86_400, worst_case: worst, period: "2026-11",
    budgets: mine.map(({ id, tenant_name, project_name, limit: most, left }) => ({ budget: id, tenant_name, project_name, limit: most, left, cost: worst, is_enough: Number(worst) <= Number(left) })),
  };
}
