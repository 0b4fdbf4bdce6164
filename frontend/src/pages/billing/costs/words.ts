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

export function useSeriesName(): (series: CostSeries) => string {
  const { t } = useLingui();
  return ({ keys }) => (keys.length === 0 ? t`All others` : keys.map((key) => key.name || t`none`).join(" · "));
}
