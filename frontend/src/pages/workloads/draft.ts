/** What the form holds, in people's units, and how it becomes a request in the API's. */
import type { NewWorkloadRequest, Workload } from "~/api/__generated__";

export interface Draft {
  name: string;
  project: string;
  pool: string;
  kind: Workload["kind"];
  accelerators: number;
  share: number;
  replicas: number;
  model_names: string[];
  cores: number;
  memoryGib: number;
  command: string;
  image: string;
  runMinutes: number | "";
  limitMinutes: number | "";
  max_retries: number;
}

export const DEFAULTS: Draft = {
  name: "",
  project: "",
  pool: "",
  kind: "batch",
  accelerators: 1,
  share: 1,
  replicas: 1,
  model_names: [],
  cores: 4,
  memoryGib: 16,
  command: "",
  image: "",
  runMinutes: "",
  limitMinutes: "",
  max_retries: 0,
};

export function toBody(draft: Draft): NewWorkloadRequest {
  const seconds = (minutes: number | "") => (minutes === "" ? null : Math.round(minutes * 60));
  return {
    name: draft.name.trim(),
    project: draft.project,
    pool: draft.pool,
    kind: draft.kind,
    accelerators: draft.accelerators,
    accelerator_milli: draft.accelerators > 0 ? Math.round(draft.share * 1000) : 1000,
    replicas: draft.replicas,
    model_names: draft.accelerators > 0 ? draft.model_names : [],
    cpu_milli: Math.round(draft.cores * 1000),
    memory_mib: Math.round(draft.memoryGib * 1024),
    // One argument a line: no shell reads it, so nothing in it needs quoting.
    command: draft.command.split("\n").filter((line) => line !== ""),
    image: draft.image.trim(),
    run_seconds: seconds(draft.runMinutes),
    max_seconds: seconds(draft.limitMinutes),
    max_retries: draft.max_retries,
  };
}
