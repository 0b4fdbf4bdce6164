import { expect, test } from "vitest";
import type { Finding, Where } from "~/api/__generated__";
import { sorted } from "./findings";

const where = (node: string, members = 1): Where => ({ site: "s", cluster: "c", node, members });
const finding = (over: Partial<Finding>): Finding => ({
  workload: null, name: "a", tenant_name: "t", project_name: "p", kind: "new", before: null, outcome: "placed", where: [], reason: "", message: "", nearest: "", miss: null, is_final: false, ...over,
});

test("copies of new work that come to the same are one row, with all their places", () => {
  const { new: rows } = sorted([
    finding({ where: [where("x"), where("y")] }),
    finding({ where: [where("x", 2)] }),
    finding({ outcome: "waiting", reason: "NotEnoughCpu" }),
    finding({ name: "b" }),
  ]);
  expect(rows.map((row) => [row.first.name, row.first.outcome, row.count])).toEqual([["a", "placed", 2], ["a", "waiting", 1], ["b", "placed", 1]]);
  expect(rows[0]?.where).toEqual([where("x", 3), where("y")]);
});

test("work that is there is never put together, and goes where it belongs", () => {
  const found = sorted([
    finding({ workload: "1", kind: "displaced" }),
    finding({ workload: "2", kind: "displaced" }),
    finding({ workload: "3", kind: "waiting", before: "waiting", outcome: "placed" }),
    finding({ workload: "4", kind: "waiting", before: "placed", outcome: "waiting" }),
  ]);
  const ids = Object.fromEntries(Object.entries(found).map(([name, rows]) => [name, rows.map((row) => row.first.workload)]));
  expect(ids).toEqual({ new: [], displaced: ["1", "2"], helped: ["3"], hindered: ["4"] });
});
