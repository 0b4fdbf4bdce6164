/** What the fields of a connection hold, and how they become a request and get their errors back. */
import type { ConnectionRequest } from "~/api/__generated__";
import { Problem } from "~/api/problem";

export interface ConnectionDraft {
  by: "kubeconfig" | "token";
  kubeconfig: string;
  server: string;
  ca_pem: string;
  token: string;
  tls_server_name: string;
  /** The account and role of deploy/kubernetes/direct.yaml are there. */
  isPrepared: boolean;
}

export const NO_CONNECTION: ConnectionDraft = { by: "kubeconfig", kubeconfig: "", server: "", ca_pem: "", token: "", tls_server_name: "", isPrepared: true };

/** Only what belongs to the chosen way, and only what was filled in. */
export function toConnection(draft: ConnectionDraft): ConnectionRequest {
  if (draft.by === "kubeconfig") return { kubeconfig: draft.kubeconfig };
  const { server, ca_pem, token, tls_server_name } = draft;
  return Object.fromEntries(Object.entries({ server, ca_pem, token, tls_server_name }).map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
}

/** So that what we make in a project's namespace may be made by our own account there. */
export function settingsOf(draft: ConnectionDraft): Record<string, string> {
  return draft.isPrepared ? { bind_role: "aquifer-hub-project", bind_account: "aquifer-system/aquifer-hub" } : {};
}

export const isFilled = (draft: ConnectionDraft) => (draft.by === "kubeconfig" ? draft.kubeconfig.trim() !== "" : draft.server.trim() !== "" && draft.token.trim() !== "");

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
