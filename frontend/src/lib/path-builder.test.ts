import { expect, test } from "vitest";
import { pb } from "./path-builder";

test("every address of the console", () => {
  const addresses = Object.fromEntries(
    Object.entries(pb).map(([name, build]) => [name, (build as (id: string) => string)("018f 1/2")]),
  );
  expect(addresses).toMatchInlineSnapshot(`
    {
      "allocations": "/allocations?0=0&1=1&2=8&3=f&4=+&5=1&6=%2F&7=2",
      "billing": "/billing?0=0&1=1&2=8&3=f&4=+&5=1&6=%2F&7=2",
      "catalogue": "/catalogue",
      "cluster": "/clusters/018f%201%2F2",
      "invoice": "/billing/invoices/018f%201%2F2",
      "login": "/login?next=018f+1%2F2",
      "overview": "/",
      "pool": "/pools/018f%201%2F2",
      "poolWhatIf": "/pools/018f%201%2F2/what-if",
      "pools": "/pools",
      "proposal": "/billing/proposals/018f%201%2F2",
      "sites": "/sites?0=0&1=1&2=8&3=f&4=+&5=1&6=%2F&7=2",
      "tenant": "/tenants/018f%201%2F2",
      "tenants": "/tenants",
      "tokens": "/settings/tokens",
      "workload": "/workloads/018f%201%2F2",
      "workloadNew": "/workloads/new?0=0&1=1&2=8&3=f&4=+&5=1&6=%2F&7=2",
      "workloads": "/workloads?0=0&1=1&2=8&3=f&4=+&5=1&6=%2F&7=2",
    }
  `);
});

test("empty filters leave no trace, and text is encoded", () => {
  expect(pb.workloads({ state: "queued", pool: "", name: "a b&c" })).toBe(
    "/workloads?state=queued&name=a+b%26c",
  );
  expect(pb.workloads({})).toBe("/workloads");
  expect(pb.login("/workloads?state=queued")).toBe("/login?next=%2Fworkloads%3Fstate%3Dqueued");
});
