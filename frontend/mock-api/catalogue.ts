/** Pretended images and templates. */
import type { Image, Template } from "../src/api/__generated__";
import { nextId } from "./random.ts";
import { tenants } from "./work.ts";

const row = () => ({ id: nextId(), version: 1, created_at: new Date(Date.now() - 900_000_000).toISOString(), is_archived: false, can_edit: true });

export const images: Image[] = [
  { ...row(), tenant: null, tenant_name: null, slug: "debian-12", name: "Debian 12", description: "", form: "vm", reference: "debian-12.qcow2", url: "https://images.example.org/debian-12.qcow2", sha256: "0f".repeat(32), format: "qcow2", size_bytes: null, min_disk_mib: 4096 },
  { ...row(), tenant: tenants[0]?.id ?? null, tenant_name: tenants[0]?.name ?? null, slug: "train", name: "Train", description: "", form: "container", reference: "registry.example.org/team/train:1.4", url: "", sha256: "", format: "", size_bytes: null, min_disk_mib: 0 },
];

export const templates: Template[] = [
  { ...row(), tenant: null, tenant_name: null, slug: "notebook", name: "Notebook, one card", description: "Jupyter on port 8888", work: { kind: "notebook", accelerators: 1, cpu_milli: 8000, memory_mib: 65_536, ports: [8888], command: ["jupyter", "lab"] } },
  { ...row(), tenant: tenants[1]?.id ?? null, tenant_name: tenants[1]?.name ?? null, slug: "finetune", name: "微调 8 卡", description: "", can_edit: false, work: { kind: "training", accelerators: 8, model_names: ["H100"], max_seconds: 86_400 } },
];

export function makeTemplate(body: Record<string, unknown>): Template {
  const owner = tenants.find(({ id }) => id === body.tenant);
  const made = { ...row(), description: "", ...body, tenant_name: owner?.name ?? null } as Template;
  templates.unshift(made);
  return made;
}
