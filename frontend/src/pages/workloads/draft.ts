/** What the form holds, in people's units, and how it becomes a request in the API's. */
import type { BootRequest, NewWorkloadRequest, VolumeRequest, Workload } from "~/api/__generated__";
import { Problem } from "~/api/problem";
import { ANYHOW, TERMS_FIELDS, type TermsDraft, toTerms } from "./terms";

export interface VolumeDraft {
  /** Tells rows apart while they come and go. */
  key: string;
  path: string;
  kind: NonNullable<VolumeRequest["kind"]>;
  source: string;
  sizeGib: number | "";
  isReadOnly: boolean;
}

export interface Draft extends TermsDraft {
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
  /** NAME=value, one a line. */
  env: string;
  ports: string[];
  volumes: VolumeDraft[];
  secret_env: string[];
  pull_secrets: string[];
  graceSeconds: number | "";
  isMovable: boolean;
  /** An image of the catalogue, instead of one by name. */
  catalogueImage: string;
  /** Public keys, one a line. */
  sshKeys: string;
  diskGib: number | "";
  userData: string;
  bootFrom: NonNullable<BootRequest["boot_from"]>;
}

export const DEFAULTS: Draft = {
  ...ANYHOW,
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
  env: "",
  ports: [],
  volumes: [],
  secret_env: [],
  pull_secrets: [],
  graceSeconds: "",
  isMovable: false,
  catalogueImage: "",
  sshKeys: "",
  diskGib: "",
  userData: "",
  bootFrom: "disk",
};

/** These run in containers where the site has them, so their image is what one thinks of first. */
export const isContainer = (kind: Workload["kind"]) => kind !== "vm" && kind !== "server";

export const isPort = (text: string) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535;

const LINE_OF_ENV = /^([A-Za-z_]\w*)=(.*)$/s;

/** The first line that is no NAME=value, if there is one. */
export function badLine(env: string): string | undefined {
  return linesOf(env).find((line) => !LINE_OF_ENV.test(line));
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}

function asEnv(text: string): Record<string, string> {
  return Object.fromEntries(linesOf(text).flatMap((line) => {
    const found = LINE_OF_ENV.exec(line.trimStart());
    return found ? [[found[1] ?? "", found[2] ?? ""]] : [];
  }));
}

/** What a kind does not have is not sent: a claim has the size it has, and what is made empty has no source. */
function asVolume({ path, kind, source, sizeGib, isReadOnly }: VolumeDraft): VolumeRequest {
  if (kind === "claim") return { path: path.trim(), kind, source: source.trim(), is_read_only: isReadOnly };
  return { path: path.trim(), kind, size_mib: sizeGib === "" ? 0 : Math.round(sizeGib * 1024) };
}

function asBoot({ sshKeys, diskGib, userData, bootFrom, kind }: Draft): BootRequest {
  return {
    ...(linesOf(sshKeys).length > 0 ? { ssh_keys: linesOf(sshKeys).map((line) => line.trim()) } : {}),
    ...(diskGib === "" ? {} : { disk_mib: Math.round(diskGib * 1024) }),
    ...(userData.trim() ? { user_data: userData } : {}),
    ...(kind === "server" && bootFrom !== "disk" ? { boot_from: bootFrom } : {}),
  };
}

/** A template's fields in the form's units; what the form has no field for stays with the template. */
export function fromTemplate(work: Record<string, unknown>): Partial<Draft> {
  const number = (name: string, by: number) => (typeof work[name] === "number" ? (work[name] as number) / by : undefined);
  const found: Partial<Record<keyof Draft, unknown>> = {
    kind: work.kind, image: work.image, accelerators: work.accelerators, replicas: work.replicas, model_names: work.model_names,
    share: number("accelerator_milli", 1000), cores: number("cpu_milli", 1000), memoryGib: number("memory_mib", 1024),
    command: Array.isArray(work.command) ? work.command.join("\n") : undefined,
    limitMinutes: number("max_seconds", 60), max_retries: work.max_retries,
    env: work.env ? Object.entries(work.env).map(([name, value]) => `${name}=${value}`).join("\n") : undefined,
    ports: Array.isArray(work.ports) ? work.ports.map(String) : undefined,
    catalogueImage: work.catalogue_image,
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

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
    ...(draft.catalogueImage ? { catalogue_image: draft.catalogueImage } : { image: draft.image.trim() }),
    ...(isContainer(draft.kind) ? {} : { boot: asBoot(draft) }),
    run_seconds: seconds(draft.runMinutes),
    max_seconds: seconds(draft.limitMinutes),
    max_retries: draft.max_retries,
    env: asEnv(draft.env),
    ports: draft.ports.map(Number),
    volumes: draft.volumes.map(asVolume),
    secret_env: draft.secret_env,
    pull_secrets: draft.pull_secrets,
    ...(draft.graceSeconds === "" ? {} : { grace_seconds: draft.graceSeconds }),
    ...(draft.isMovable ? { is_movable: true } : {}),
    ...toTerms(draft),
  };
}

const FIELDS: Record<string, string> = {
  accelerator_milli: "share", cpu_milli: "cores", memory_mib: "memoryGib", run_seconds: "runMinutes", max_seconds: "limitMinutes", grace_seconds: "graceSeconds", is_movable: "isMovable", catalogue_image: "catalogueImage", ...TERMS_FIELDS,
};
const BOOT_FIELDS: Record<string, string> = { ssh_keys: "sshKeys", disk_mib: "diskGib", user_data: "userData", boot_from: "bootFrom" };
const VOLUME_FIELDS: Record<string, string> = { size_mib: "sizeGib", is_read_only: "isReadOnly" };

/** The API's errors by the fields of the form: "/volumes/0/size_mib" -> "volumes.0.sizeGib", "/ports/1" -> "ports". */
export function draftErrors(error: unknown): Record<string, string> {
  if (!(error instanceof Problem)) return {};
  const found: Record<string, string> = {};
  for (const { pointer, detail } of error.errors) {
    const [field = "", at, inside = "path"] = pointer.split("/").slice(1);
    const name = field === "boot" ? (BOOT_FIELDS[at ?? ""] ?? "image") : field === "volumes" && at !== undefined ? `volumes.${at}.${VOLUME_FIELDS[inside] ?? inside}` : (FIELDS[field] ?? field);
    if (name && !(name in found)) found[name] = detail;
  }
  return found;
}

/** Errors of what stands in the section that is closed at first. */
export const isOfMore = (field: string) => /^(env|ports|volumes|secret_env|pull_secrets|graceSeconds)\b/.test(field);
