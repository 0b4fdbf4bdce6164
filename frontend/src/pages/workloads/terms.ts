/** What work may say about where it goes and by when: in people's units, and as the API has it. */
import type { NewWorkloadRequest, Workload } from "~/api/__generated__";
import { PREFERENCES, SPREADS, TOPOLOGIES } from "~/lib/placement";
import { MODES } from "~/lib/words";

export interface TermsDraft {
  topology: Workload["topology"];
  spread: Workload["spread"];
  minReplicas: number | "";
  slicing_modes: NonNullable<NewWorkloadRequest["slicing_modes"]>;
  regions: string[];
  /** name=value, one a line. */
  labels: string;
  network_class: string;
  /** Of the reader's own clock, as the browser's field has it: 2026-12-01T09:00. */
  deadline: string;
  prefer: Workload["prefer"];
}

export const ANYHOW: TermsDraft = {
  topology: "site",
  spread: "",
  minReplicas: "",
  slicing_modes: [],
  regions: [],
  labels: "",
  network_class: "",
  deadline: "",
  prefer: "",
};

const LINE_OF_LABEL = /^\s*([^\s=]+)\s*=\s*(.*?)\s*$/;

const linesOf = (text: string) => text.split("\n").filter((line) => line.trim() !== "");

/** The first line that is no name=value, if there is one. */
export const badLabel = (labels: string): string | undefined => linesOf(labels).find((line) => !LINE_OF_LABEL.test(line));

function asLabels(text: string): Record<string, string> {
  return Object.fromEntries(linesOf(text).flatMap((line) => {
    const found = LINE_OF_LABEL.exec(line);
    return found ? [[found[1] ?? "", found[2] ?? ""]] : [];
  }));
}

/** Only what is said: the rest is as the server has it by itself. */
export function toTerms(draft: TermsDraft): Partial<NewWorkloadRequest> {
  const labels = asLabels(draft.labels);
  return {
    ...(draft.topology === ANYHOW.topology ? {} : { topology: draft.topology }),
    ...(draft.spread ? { spread: draft.spread } : {}),
    ...(draft.minReplicas === "" ? {} : { min_replicas: draft.minReplicas }),
    ...(draft.slicing_modes.length > 0 ? { slicing_modes: draft.slicing_modes } : {}),
    ...(draft.regions.length > 0 ? { regions: draft.regions } : {}),
    ...(Object.keys(labels).length > 0 ? { node_labels: labels } : {}),
    ...(draft.network_class.trim() ? { network_class: draft.network_class.trim() } : {}),
    ...(draft.deadline ? { deadline_at: new Date(draft.deadline).toISOString() } : {}),
    ...(draft.prefer ? { prefer: draft.prefer } : {}),
  };
}

/** The other way round, of what may be anything: what makes no sense is left out. */
export function readTerms(found: Record<string, unknown>): TermsDraft {
  const oneOf = <Value extends string>(words: Record<Value, unknown>, value: unknown, otherwise: Value) => (typeof value === "string" && value in words ? (value as Value) : otherwise);
  const texts = (value: unknown) => (Array.isArray(value) ? value.filter((each): each is string => typeof each === "string") : []);
  const labels = typeof found.node_labels === "object" && found.node_labels !== null ? Object.entries(found.node_labels) : [];
  return {
    topology: oneOf(TOPOLOGIES, found.topology, ANYHOW.topology),
    spread: oneOf(SPREADS, found.spread, ""),
    minReplicas: typeof found.min_replicas === "number" ? found.min_replicas : "",
    slicing_modes: texts(found.slicing_modes).filter((mode): mode is TermsDraft["slicing_modes"][number] => mode in MODES),
    regions: texts(found.regions),
    labels: labels.map(([name, value]) => `${name}=${String(value)}`).join("\n"),
    network_class: typeof found.network_class === "string" ? found.network_class : "",
    deadline: typeof found.deadline_at === "string" ? asLocal(new Date(found.deadline_at)) : "",
    prefer: oneOf(PREFERENCES, found.prefer, ""),
  };
}

function asLocal(at: Date): string {
  if (Number.isNaN(at.getTime())) return "";
  const two = (number: number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** How the API calls them, where that is otherwise. */
export const TERMS_FIELDS: Record<string, string> = { min_replicas: "minReplicas", node_labels: "labels", deadline_at: "deadline" };

export const isOfTerms = (field: string) => field in ANYHOW;
