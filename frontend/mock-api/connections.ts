/** Pretended tries of a connection. What comes of one is in what was sent: `exec:`, `too-short`, a server called `away`,
 * `half`, or `other` (which work holds hardware on). */
import type { Cluster, ConnectionRequestWritable as ConnectionRequest, NewConnectionRequestWritable as NewConnectionRequest } from "../src/api/__generated__";
import { clusters, type MockCluster, siteId } from "./fleet.ts";
import { nextId } from "./random.ts";

interface Refusal {
  pointer: string;
  detail: string;
  code: string;
}

export function refusals(sent: ConnectionRequest): Refusal[] {
  if (sent.kubeconfig?.includes("exec:")) {
    return [{ pointer: "/kubeconfig/users/0/user/exec", detail: "`exec` would have the hub run a program. Use the token of a service account.", code: "forbidden-key" }];
  }
  if (sent.kubeconfig && !sent.kubeconfig.includes("clusters")) return [{ pointer: "/kubeconfig", detail: "This is no kubeconfig: kind Config, apiVersion v1.", code: "not-a-kubeconfig" }];
  if (sent.kubeconfig) return [];
  if (!sent.server) return [{ pointer: "/server", detail: "The address of the API server is missing.", code: "required" }];
  if (!sent.token) return [{ pointer: "/token", detail: "There is no token and no client certificate.", code: "required" }];
  if (sent.token === "too-short") return [{ pointer: "/token", detail: "This is no bearer token: 16 to 8192 letters, digits and ._~+/-= in one line.", code: "bad-token" }];
  return [];
}

const serverOf = (sent: ConnectionRequest) => sent.server || "https://10.8.0.9:6443";

export function tried(sent: ConnectionRequest): object {
  const server = serverOf(sent);
  const isAway = server.includes("away");
  const isHalf = server.includes("half");
  return {
    is_reachable: !isAway,
    is_degraded: isHalf,
    site_version: isAway ? "" : "v1.36.3",
    message: isAway ? "The site did not answer within 3 seconds." : isHalf ? "The account may not: list resourceslices.resource.k8s.io, create pods." : "",
    server,
    fingerprint: "9b1d4c07ee52a316",
    expires_at: new Date(Date.now() + 86_400_000 * 364).toISOString(),
  };
}

function shown(sent: ConnectionRequest): Cluster["connection"] {
  return {
    server: serverOf(sent), tls_server_name: sent.tls_server_name ?? "", has_authority: Boolean(sent.ca_pem ?? sent.kubeconfig), way: "token", machines: [],
    fingerprint: "9b1d4c07ee52a316", expires_at: new Date(Date.now() + 86_400_000 * 364).toISOString(), replaced_at: new Date().toISOString(),
  };
}

/** True where a cluster that holds work would be another one. */
export const isElsewhere = (sent: NewConnectionRequest) => serverOf(sent).includes("other") && !sent.is_same_cluster;

export function reconnect(cluster: Cluster, sent: NewConnectionRequest): void {
  Object.assign(cluster, { connection: shown(sent), version: cluster.version + 1 });
}

export function addCluster(body: { site?: string; name?: string; slug?: string; kind?: Cluster["kind"]; driver?: string; connection?: ConnectionRequest }, siteName: string): MockCluster {
  const now = new Date().toISOString();
  const isDirect = body.driver === "kubernetes";
  const row: Cluster = {
    id: nextId(), site: body.site ?? siteId(siteName), site_name: siteName, slug: body.slug ?? "", name: body.name ?? "", kind: body.kind ?? "baremetal", driver: body.driver ?? "agent",
    state: "pending", reason: "NeverAnswered", message: "", state_since: now, epoch: 1, site_version: "", last_seen_at: null, inventory_at: null, followed_at: null, figures_at: null,
    is_stuck: false, is_demo: false, connection: isDirect && body.connection ? shown(body.connection) : null, created_at: now, version: 1,
    actions: isDirect ? ["pause", "drain", "retire", "connect"] : ["pause", "drain", "retire"],
  };
  const made = { row, nodes: [] };
  clusters.push(made);
  // It answers a moment later, as a real one would.
  setTimeout(() => Object.assign(row, { state: "connected", reason: "Answers", site_version: isDirect ? "v1.36.3" : "", last_seen_at: new Date().toISOString(), inventory_at: new Date().toISOString() }), 5_000);
  return made;
}
