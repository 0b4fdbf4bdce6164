/** The changes of a what-if: as the form holds them, in people's units, and as the API and the address have them. */
import type { AddedRequest, AskedRequest, ChangeRequest, QuotaChangeRequest } from "~/api/__generated__";
import { freshKey } from "~/lib/key";
import { ANYHOW, readTerms, type TermsDraft, toTerms } from "~/pages/workloads/terms";

export interface WorkDraft extends TermsDraft {
  /** Tells rows apart while they come and go. */
  key: string;
  name: string;
  project: string;
  count: number | "";
  accelerators: number | "";
  share: number | "";
  replicas: number | "";
  model_names: string[];
  cores: number | "";
  memoryGib: number | "";
  priority: number | "";
}

export interface QuotaDraft {
  key: string;
  tenant: string;
  /** Empty: the tenant's own. */
  project: string;
  flavor: string;
  /** In whole units of the flavor: devices or cores. */
  amount: number | "";
}

export interface NodesDraft {
  key: string;
  like: string;
  count: number | "";
}

export interface ChangeDraft {
  work: WorkDraft[];
  quotas: QuotaDraft[];
  closedSites: string[];
  nodes: NodesDraft[];
}

export const NOTHING: ChangeDraft = { work: [], quotas: [], closedSites: [], nodes: [] };

export const newWork = (over: Partial<WorkDraft> = {}): WorkDraft => ({
  key: freshKey(), name: "", project: "", count: 1, accelerators: 1, share: 1, replicas: 1, model_names: [], cores: 4, memoryGib: 16, priority: 0, ...ANYHOW, ...over,
});
export const newQuota = (over: Partial<QuotaDraft> = {}): QuotaDraft => ({ key: freshKey(), tenant: "", project: "", flavor: "", amount: "", ...over });
export const newNodes = (over: Partial<NodesDraft> = {}): NodesDraft => ({ key: freshKey(), like: "", count: 1, ...over });

/** What is complete of it; a row that still lacks something is not asked about yet. */
export function toChange(draft: ChangeDraft): ChangeRequest {
  const workloads = draft.work.flatMap(asAsked);
  const quotas = draft.quotas.flatMap(asQuota);
  const added = draft.nodes.flatMap(({ like, count }): AddedRequest[] => (like && count ? [{ like, count }] : []));
  return {
    ...(workloads.length > 0 ? { workloads } : {}),
    ...(quotas.length > 0 ? { quotas } : {}),
    ...(draft.closedSites.length > 0 ? { closed_sites: draft.closedSites } : {}),
    ...(added.length > 0 ? { added_nodes: added } : {}),
  };
}

function asAsked(draft: WorkDraft): AskedRequest[] {
  if (!draft.project || !draft.count) return [];
  const accelerators = draft.accelerators || 0;
  return [
    {
      project: draft.project,
      ...(draft.name.trim() ? { name: draft.name.trim() } : {}),
      count: draft.count,
      accelerators,
      accelerator_milli: accelerators > 0 && draft.share ? Math.round(draft.share * 1000) : 1000,
      replicas: draft.replicas || 1,
      ...(accelerators > 0 && draft.model_names.length > 0 ? { model_names: draft.model_names } : {}),
      ...(draft.cores ? { cpu_milli: Math.round(draft.cores * 1000) } : {}),
      ...(draft.memoryGib ? { memory_mib: Math.round(draft.memoryGib * 1024) } : {}),
      ...(draft.priority ? { priority: draft.priority } : {}),
      ...toTerms(draft),
    },
  ];
}

function asQuota({ tenant, project, flavor, amount }: QuotaDraft): QuotaChangeRequest[] {
  if (!tenant || !flavor || amount === "") return [];
  return [{ tenant, project: project || null, flavor, nominal_milli: Math.round(amount * 1000) }];
}

export const isEmpty = (change: ChangeRequest) => Object.keys(change).length === 0;

/** For the address: nothing when there is nothing. */
export const printChange = (change: ChangeRequest) => (isEmpty(change) ? undefined : JSON.stringify(change));

/** What somebody may have typed into the address is looked at part by part; what makes no sense is left out. */
export function readChange(text: string | undefined): ChangeDraft {
  const found = parsed(text);
  return {
    work: rows(found.workloads).map((each) => {
      const accelerators = numberOf(each.accelerators, 1);
      return newWork({
        name: textOf(each.name), project: textOf(each.project), count: numberOf(each.count, 1), accelerators, share: numberOf(each.accelerator_milli, 1000) / 1000,
        replicas: numberOf(each.replicas, 1), model_names: texts(each.model_names), priority: numberOf(each.priority, 0),
        cores: "cpu_milli" in each ? numberOf(each.cpu_milli, 0) / 1000 : "", memoryGib: "memory_mib" in each ? numberOf(each.memory_mib, 0) / 1024 : "", ...readTerms(each),
      });
    }),
    quotas: rows(found.quotas).map((each) => newQuota({ tenant: textOf(each.tenant), project: textOf(each.project), flavor: textOf(each.flavor), amount: numberOf(each.nominal_milli, 0) / 1000 })),
    closedSites: texts(found.closed_sites),
    nodes: rows(found.added_nodes).map((each) => newNodes({ like: textOf(each.like), count: numberOf(each.count, 1) })),
  };
}

type Loose = Record<string, unknown>;

function parsed(text: string | undefined): Loose {
  try {
    const found: unknown = JSON.parse(text ?? "{}");
    return isObject(found) ? found : {};
  } catch {
    return {};
  }
}

const isObject = (value: unknown): value is Loose => typeof value === "object" && value !== null && !Array.isArray(value);
const rows = (value: unknown): Loose[] => (Array.isArray(value) ? value.filter(isObject) : []);
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.filter((each): each is string => typeof each === "string") : []);
const textOf = (value: unknown) => (typeof value === "string" ? value : "");
const numberOf = (value: unknown, otherwise: number) => (typeof value === "number" && Number.isFinite(value) ? value : otherwise);
