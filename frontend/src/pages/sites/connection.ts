/** What the fields of a connection hold, and how they become a request and get their errors back. */
import type { ConnectionRequestWritable as ConnectionRequest } from "~/api/__generated__";
import { Problem } from "~/api/problem";

/** The kinds of site that the hub calls by itself. */
export type Direct = "kubernetes" | "docker" | "kvm" | "redfish";
/** How one is let in; each kind of site has some of these. */
export type By = "kubeconfig" | "token" | "certificate" | "ssh" | "password";

export const WAYS_IN: Record<Direct, By[]> = { kubernetes: ["kubeconfig", "token"], docker: ["certificate"], kvm: ["certificate", "ssh"], redfish: ["password"] };

const TEXTS = ["server", "ca_pem", "token", "tls_server_name", "client_cert_pem", "client_key_pem", "username", "password", "ssh_private_key", "ssh_known_hosts", "hook_secret"] as const;
type Text = (typeof TEXTS)[number];

/** What each way asks for. The first group must be filled in. */
const ASKED: Record<Exclude<By, "kubeconfig">, { must: Text[]; may: Text[] }> = {
  token: { must: ["server", "token"], may: ["ca_pem", "tls_server_name"] },
  certificate: { must: ["server", "client_cert_pem", "client_key_pem"], may: ["ca_pem", "tls_server_name"] },
  ssh: { must: ["server", "ssh_private_key", "ssh_known_hosts"], may: [] },
  password: { must: ["username", "password"], may: ["ca_pem", "hook_secret"] },
};

export interface ConnectionDraft extends Record<Text, string> {
  by: By;
  kubeconfig: string;
  /** One machine a line: its name, where its management controller is, and the fingerprint of its certificate. */
  machines: string;
  /** What an operator's own service does with a server between two tenants: where it is. */
  wipeHook: string;
  /** The account and role of deploy/kubernetes/direct.yaml are there. */
  isPrepared: boolean;
}

const BLANK = Object.fromEntries(TEXTS.map((name) => [name, ""])) as Record<Text, string>;
export const NO_CONNECTION: ConnectionDraft = { ...BLANK, by: "kubeconfig", kubeconfig: "", machines: "", wipeHook: "", isPrepared: true };

/** Words of a line, however they are set apart. */
export function machinesOf(text: string): NonNullable<ConnectionRequest["machines"]> {
  return text
    .split("\n")
    .map((line) => line.trim().split(/[\s,;]+/).filter(Boolean))
    .filter((words) => words.length > 0)
    .map(([name = "", server = "", fingerprint = ""]) => ({ name, server, ...(fingerprint ? { fingerprint } : {}) }));
}

/** Only what belongs to the chosen way, and only what was filled in. */
export function toConnection(draft: ConnectionDraft): ConnectionRequest {
  if (draft.by === "kubeconfig") return { kubeconfig: draft.kubeconfig };
  const { must, may } = ASKED[draft.by];
  const texts = Object.fromEntries([...must, ...may].map((name) => [name, draft[name].trim()]).filter(([, value]) => value));
  return draft.by === "password" ? { ...texts, machines: machinesOf(draft.machines) } : texts;
}

/** Of the cluster. Kubernetes: so that what we make in a project's namespace may be made by our own account there. */
export function settingsOf(draft: ConnectionDraft, driver: Direct): Record<string, unknown> {
  if (driver === "kubernetes") return draft.isPrepared ? { bind_role: "aquifer-hub-project", bind_account: "aquifer-system/aquifer-hub" } : {};
  if (driver === "redfish") return draft.wipeHook.trim() ? { hooks: { wipe: draft.wipeHook.trim() } } : { wipe: "none" };
  return {};
}

export function isFilled(draft: ConnectionDraft): boolean {
  if (draft.by === "kubeconfig") return draft.kubeconfig.trim() !== "";
  return ASKED[draft.by].must.every((name) => draft[name].trim() !== "") && (draft.by !== "password" || machinesOf(draft.machines).length > 0);
}

/** Errors by field. Pointers lead into a kubeconfig: what is behind its name is told before the sentence. */
export function connectionErrors(error: unknown, under = ""): Record<string, string> {
  if (!(error instanceof Problem)) return {};
  const found: Record<string, string> = {};
  for (const { pointer, detail } of error.errors) {
    const steps = pointer.split("/").slice(1);
    if (under && steps.shift() !== under) continue;
    const [field, ...inside] = steps;
    if (field === undefined || field in found) continue;
    found[field] = inside.length > 0 ? `${inside.map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~")).join(" › ")}: ${detail}` : detail;
  }
  return found;
}

/** The same errors where a form has the connection under a name of its own. */
export function errorsUnder(name: string, errors: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(errors).map(([field, text]) => [`${name}.${field}`, text]));
}
