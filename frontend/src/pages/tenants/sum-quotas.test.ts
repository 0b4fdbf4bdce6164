import { expect, test } from "vitest";
import type { Quota } from "~/api/__generated__";
import { tenantQuotas } from "./sum-quotas";

const quota = (project: string | null, flavor: string, nominal_milli: number, held_milli: number) =>
  ({ project, flavor, unit: "device", nominal_milli, borrowing_limit_milli: 500, limit_milli: nominal_milli + 500, held_milli }) as Quota;

test("without a quota of its own a tenant shows what its projects add up to, the most held first", () => {
  const sums = tenantQuotas([quota("a", "h100", 1000, 100), quota("b", "h100", 2000, 300), quota("b", "t4", 1000, 900)]);
  expect(sums.map(({ flavor, nominal_milli, limit_milli, held_milli }) => [flavor, nominal_milli, limit_milli, held_milli])).toEqual([
    ["t4", 1000, 1500, 900],
    ["h100", 3000, 4000, 400],
  ]);
});

test("a quota of its own is the wall, and its projects' are within it", () => {
  expect(tenantQuotas([quota(null, "h100", 5000, 400), quota("a", "h100", 1000, 400)])).toMatchObject([{ flavor: "h100", nominal_milli: 5000, held_milli: 400 }]);
});
