/** What a tenant may hold in all: its own quota, or where it has none, what its projects add up to. */
import type { Quota } from "~/api/__generated__";

export type QuotaAmounts = Pick<Quota, "flavor" | "unit" | "nominal_milli" | "borrowing_limit_milli" | "limit_milli" | "held_milli">;

export function tenantQuotas(quotas: readonly Quota[]): QuotaAmounts[] {
  const own = quotas.filter((quota) => quota.project === null);
  const byFlavor = new Map<string, QuotaAmounts>();
  for (const { flavor, unit, nominal_milli, borrowing_limit_milli, limit_milli, held_milli } of own.length > 0 ? own : quotas) {
    const sum = byFlavor.get(flavor);
    byFlavor.set(flavor, {
      flavor,
      unit,
      nominal_milli: nominal_milli + (sum?.nominal_milli ?? 0),
      borrowing_limit_milli: borrowing_limit_milli + (sum?.borrowing_limit_milli ?? 0),
      limit_milli: limit_milli + (sum?.limit_milli ?? 0),
      held_milli: held_milli + (sum?.held_milli ?? 0),
    });
  }
  return [...byFlavor.values()].toSorted((a, b) => b.held_milli - a.held_milli);
}
