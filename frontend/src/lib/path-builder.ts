/** Every address of the console, and nothing else: the router is built from these and links use only these. */

type Query = Record<string, string | number | boolean | undefined | null>;

/** Leaves out what is empty, so that a page without filters has a bare address. */
export function withQuery(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") search.set(key, String(value));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

const id = (value: string) => encodeURIComponent(value);

export const pb = {
  overview: () => "/",
  login: (next?: string) => withQuery("/login", { next }),
  sites: (query?: { site?: string; state?: string }) => withQuery("/sites", query),
  /** `node`: the one whose devices are shown. */
  cluster: (cluster: string, query?: { node?: string }) => withQuery(`/clusters/${id(cluster)}`, query),
  workloads: (query?: {
    state?: string;
    reason?: string;
    pool?: string;
    project?: string;
    tenant?: string;
    name?: string;
  }) => withQuery("/workloads", query),
  catalogue: () => "/catalogue",
  workloadNew: (query?: { project?: string; pool?: string; template?: string }) => withQuery("/workloads/new", query),
  workload: (workload: string) => `/workloads/${id(workload)}`,
  pools: () => "/pools",
  pool: (pool: string) => `/pools/${id(pool)}`,
  /** `change`: what is asked, in JSON as the API takes it, so that an address can be handed on. */
  poolWhatIf: (pool: string, query?: { change?: string }) => withQuery(`/pools/${id(pool)}/what-if`, query),
  allocations: (query?: {
    state?: string;
    cluster?: string;
    node?: string;
    workload?: string;
    tenant?: string;
  }) => withQuery("/allocations", query),
  tenants: () => "/tenants",
  tenant: (tenant: string) => `/tenants/${id(tenant)}`,
  billing: (query?: {
    /** One of `pages/billing/tabs.tsx`. */
    tab?: string;
    period?: string;
    by?: string;
    measure?: string;
    project?: string;
    flavor?: string;
    site?: string;
    book?: string;
    when?: string;
    state?: string;
    tenant?: string;
    days?: string;
  }) => withQuery("/billing", query),
  proposal: (proposal: string) => `/billing/proposals/${id(proposal)}`,
  invoice: (invoice: string) => `/billing/invoices/${id(invoice)}`,
  tokens: () => "/settings/tokens",
} as const;
