import type { QueryClient } from "@tanstack/react-query";
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { Problem } from "~/api/problem";
import { readSession } from "~/api/session";
import { startLive, stopLive } from "~/live/live";
import { fleetQuery, overviewQuery } from "~/pages/overview/queries";
import { pb } from "~/lib/path-builder";
import { splitPath } from "~/parts/AppLink";
import { NotFound, PageFailed } from "./fallbacks";
import { queryClient } from "./query-client";
import { Shell } from "./shell";

/** Addresses carry plain text: what a filter is called is what stands in the URL. */
type Search = Record<string, string>;
const asSearch = (search: Record<string, unknown>): Search =>
  Object.fromEntries(Object.entries(search).filter((entry): entry is [string, string] => typeof entry[1] === "string" && entry[1] !== ""));

const root = createRootRouteWithContext<{ queryClient: QueryClient }>()({ validateSearch: asSearch });

const login = createRoute({
  getParentRoute: () => root,
  path: "/login",
  component: lazyRouteComponent(() => import("~/pages/login/LoginPage"), "LoginPage"),
});

const loginOnce = createRoute({
  getParentRoute: () => root,
  path: "/login/once",
  component: lazyRouteComponent(() => import("~/pages/login/OncePage"), "OncePage"),
});

/** Everything behind the login. */
const inside = createRoute({
  getParentRoute: () => root,
  id: "inside",
  component: Shell,
  beforeLoad: async ({ context, location }) => {
    try {
      await readSession(context.queryClient);
    } catch (error) {
      if (error instanceof Problem && (error.status === 401 || error.status === 403)) {
        throw redirect({ ...splitPath(pb.login(location.href === "/" ? undefined : location.href)) });
      }
      throw error;
    }
    startLive(context.queryClient);
  },
});

/** Reads ahead while the page's code is on its way; the page itself shows what goes wrong. */
const ahead = (read: Promise<unknown>) => void read;

const overview = createRoute({
  getParentRoute: () => inside,
  path: "/",
  loader: ({ context }) => {
    ahead(context.queryClient.prefetchQuery(overviewQuery));
    ahead(context.queryClient.prefetchQuery(fleetQuery));
  },
  component: lazyRouteComponent(() => import("~/pages/overview/OverviewPage"), "OverviewPage"),
});

const sites = createRoute({
  getParentRoute: () => inside,
  path: "/sites",
  component: lazyRouteComponent(() => import("~/pages/sites/SitesPage"), "SitesPage"),
});
const cluster = createRoute({
  getParentRoute: () => inside,
  path: "/clusters/$id",
  component: lazyRouteComponent(() => import("~/pages/sites/ClusterPage"), "ClusterPage"),
});
const workloads = createRoute({
  getParentRoute: () => inside,
  path: "/workloads",
  component: lazyRouteComponent(() => import("~/pages/workloads/WorkloadsPage"), "WorkloadsPage"),
});
const workloadNew = createRoute({
  getParentRoute: () => inside,
  path: "/workloads/new",
  component: lazyRouteComponent(() => import("~/pages/workloads/NewWorkloadPage"), "NewWorkloadPage"),
});
const workload = createRoute({
  getParentRoute: () => inside,
  path: "/workloads/$id",
  component: lazyRouteComponent(() => import("~/pages/workload/WorkloadPage"), "WorkloadPage"),
});
const allocations = createRoute({
  getParentRoute: () => inside,
  path: "/allocations",
  component: lazyRouteComponent(() => import("~/pages/allocations/AllocationsPage"), "AllocationsPage"),
});
const pools = createRoute({
  getParentRoute: () => inside,
  path: "/pools",
  component: lazyRouteComponent(() => import("~/pages/pools/PoolsPage"), "PoolsPage"),
});
const pool = createRoute({
  getParentRoute: () => inside,
  path: "/pools/$id",
  component: lazyRouteComponent(() => import("~/pages/pools/PoolPage"), "PoolPage"),
});
const poolWhatIf = createRoute({
  getParentRoute: () => inside,
  path: "/pools/$id/what-if",
  component: lazyRouteComponent(() => import("~/pages/pools/WhatIfPage"), "WhatIfPage"),
});
const catalogue = createRoute({
  getParentRoute: () => inside,
  path: "/catalogue",
  component: lazyRouteComponent(() => import("~/pages/catalogue/CataloguePage"), "CataloguePage"),
});
const tenants = createRoute({
  getParentRoute: () => inside,
  path: "/tenants",
  component: lazyRouteComponent(() => import("~/pages/tenants/TenantsPage"), "TenantsPage"),
});
const tenant = createRoute({
  getParentRoute: () => inside,
  path: "/tenants/$id",
  component: lazyRouteComponent(() => import("~/pages/tenants/TenantPage"), "TenantPage"),
});
const billing = createRoute({
  getParentRoute: () => inside,
  path: "/billing",
  component: lazyRouteComponent(() => import("~/pages/billing/BillingPage"), "BillingPage"),
});
const invoice = createRoute({
  getParentRoute: () => inside,
  path: "/billing/invoices/$id",
  component: lazyRouteComponent(() => import("~/pages/billing/InvoicePage"), "InvoicePage"),
});
const proposal = createRoute({
  getParentRoute: () => inside,
  path: "/billing/proposals/$id",
  component: lazyRouteComponent(() => import("~/pages/billing/ProposalPage"), "ProposalPage"),
});
const tokens = createRoute({
  getParentRoute: () => inside,
  path: "/settings/tokens",
  component: lazyRouteComponent(() => import("~/pages/settings/TokensPage"), "TokensPage"),
});

export const router = createRouter({
  routeTree: root.addChildren([
    login,
    loginOnce,
    inside.addChildren([overview, sites, cluster, workloads, workloadNew, workload, pools, pool, poolWhatIf, catalogue, allocations, tenants, tenant, billing, invoice, proposal, tokens]),
  ]),
  context: { queryClient },
  defaultPreload: "intent",
  defaultPreloadStaleTime: 0,
  defaultNotFoundComponent: NotFound,
  defaultErrorComponent: PageFailed,
  scrollRestoration: true,
  parseSearch: (search) => Object.fromEntries(new URLSearchParams(search)),
  stringifySearch: (search) => {
    const text = new URLSearchParams(asSearch(search)).toString();
    return text ? `?${text}` : "";
  },
});

/** A session that has ended shows in whatever was read next: then to the login, and back here after it. */
queryClient.getQueryCache().subscribe((event) => {
  if (event.type !== "updated" || event.action.type !== "error") return;
  const { error } = event.query.state;
  const { pathname, href } = router.state.location;
  if (!(error instanceof Problem) || error.status !== 401 || pathname.startsWith("/login")) return;
  stopLive();
  void router.navigate(splitPath(pb.login(href)));
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
