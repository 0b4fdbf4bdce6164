import { msg } from "@lingui/core/macro";
import { useLingui } from "@lingui/react/macro";
import type { CostSeries } from "~/api/__generated__";

/** What costs are told apart by, as a person picks it. */
export const DIMENSIONS = {
  tenant: msg`Tenant`,
  department: msg`Department`,
  project: msg`Project`,
  user: msg`User`,
  site: msg`Site`,
  cluster: msg`Cluster`,
  pool: msg`Pool`,
  flavor: msg`What`,
  model: msg`Model`,
  slicing_mode: msg`Slicing`,
  service_class: msg`Service class`,
  meter: msg`Meter`,
  category: msg`Kind of charge`,
  workload: msg`Workload`,
} as const;

export const MEASURES = {
  billed: msg`As billed`,
  effective: msg`With reservations spread`,
  list: msg`At list prices`,
} as const;

export type Dimension = keyof typeof DIMENSIONS;
export type Measure = keyof typeof MEASURES;

/** A value of the address that may be anything. */
export const oneOf = <Name extends string>(names: Record<Name, unknown>, value: unknown, otherwise: Name): Name =>
  typeof value === "string" && Object.hasOwn(names, value) ? (value as Name) : otherwise;

/** What several tenants may have of the same name is shown with its tenant. */
const OF_A_TENANT = new Set<Dimension>(["department", "project", "workload"]);

export const asked = (by: Dimension) => (OF_A_TENANT.has(by) ? `tenant,${by}` : by);

/** One name for each series, no two alike. The tenant is left out where there is only one. */
export function useSeriesNames(): (series: CostSeries[]) => string[] {
  const { t } = useLingui();
  return (series) => {
    const tenants = new Set(series.flatMap(({ keys }) => keys.filter((key) => key.dimension === "tenant").map((key) => key.id)));
    const seen = new Map<string, number>();
    return series.map(({ keys }) => {
      const told = keys.length > 1 && tenants.size === 1 ? keys.filter((key) => key.dimension !== "tenant") : keys;
      const name = keys.length === 0 ? t`All others` : told.toReversed().map((key) => key.name || t`none`).join(" · ");
      const times = (seen.get(name) ?? 0) + 1;
      seen.set(name, times);
      return times === 1 ? name : `${name} (${times})`;
    });
  };
}
