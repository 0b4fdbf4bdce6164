/** The words for what the API says in codes: states, kinds and verbs, in both languages. */
import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import type { Accelerator, Allocation, Cluster, ExportState, Invoice, MembershipOfMe, Month, Node, NodePower, Proposal, Tenant, Workload } from "~/api/__generated__";

/** How a state is shown: colour and shape together, never colour alone. */
export type Tone = "good" | "busy" | "waiting" | "warning" | "bad" | "ended";

export interface StateWord {
  label: MessageDescriptor;
  tone: Tone;
}

const word = (label: MessageDescriptor, tone: Tone): StateWord => ({ label, tone });

export const WORKLOAD_STATES: Record<Workload["state"], StateWord> = {
  queued: word(msg`Queued`, "waiting"),
  admitted: word(msg`Starting`, "busy"),
  running: word(msg`Running`, "good"),
  suspended: word(msg`Suspended`, "warning"),
  succeeded: word(msg`Succeeded`, "ended"),
  failed: word(msg`Failed`, "bad"),
  cancelled: word(msg`Cancelled`, "ended"),
};

export const ALLOCATION_STATES: Record<Allocation["state"], StateWord> = {
  reserved: word(msg`Reserved`, "waiting"),
  starting: word(msg`Starting`, "busy"),
  active: word(msg`Active`, "good"),
  stopping: word(msg`Stopping`, "busy"),
  released: word(msg`Released`, "ended"),
  lost: word(msg`Lost`, "bad"),
};

export const CLUSTER_STATES: Record<Cluster["state"], StateWord> = {
  pending: word(msg`Waiting for first contact`, "waiting"),
  connected: word(msg`Connected`, "good"),
  degraded: word(msg`Degraded`, "warning"),
  stale: word(msg`Silent`, "warning"),
  disconnected: word(msg`Disconnected`, "bad"),
  draining: word(msg`Draining`, "busy"),
  maintenance: word(msg`Paused`, "warning"),
  retired: word(msg`Retired`, "ended"),
};

export const NODE_STATES: Record<Node["state"], StateWord> = {
  ready: word(msg`Ready`, "good"),
  "not-ready": word(msg`Not ready`, "bad"),
  draining: word(msg`Draining`, "busy"),
  drained: word(msg`Drained`, "warning"),
  gone: word(msg`Gone`, "ended"),
};

export const TENANT_STATES: Record<Tenant["state"], StateWord> = {
  active: word(msg`Active`, "good"),
  suspended: word(msg`Suspended`, "warning"),
};

export const INVOICE_STATES: Record<Invoice["state"], StateWord> = {
  draft: word(msg`Draft`, "waiting"),
  issued: word(msg`Issued`, "good"),
  paid: word(msg`Paid`, "ended"),
  void: word(msg`Void`, "ended"),
};

export const MONTH_STATES: Record<Month["state"], StateWord> = {
  open: word(msg`Open`, "good"),
  charging: word(msg`Charging what is metered`, "busy"),
  issuing: word(msg`Issuing drafts`, "busy"),
  settled: word(msg`Writing the archive`, "busy"),
  closed: word(msg`Closed`, "ended"),
};

export const PROPOSAL_STATES: Record<NonNullable<Proposal["state"]>, StateWord> = {
  open: word(msg`Open`, "waiting"),
  approved: word(msg`Approved`, "good"),
  dropped: word(msg`Dropped`, "ended"),
};

export const EXPORT_STATES: Record<ExportState, StateWord> = {
  queued: word(msg`Queued`, "waiting"),
  running: word(msg`Being made`, "busy"),
  done: word(msg`Done`, "good"),
  failed: word(msg`Failed`, "bad"),
  cancelled: word(msg`Cancelled`, "ended"),
  expired: word(msg`No longer kept`, "ended"),
};

/** By noun, as events and history name it. The records above make a state without words a type error. */
export const STATES: Record<string, Record<string, StateWord>> = {
  workload: WORKLOAD_STATES,
  allocation: ALLOCATION_STATES,
  cluster: CLUSTER_STATES,
  node: NODE_STATES,
  tenant: TENANT_STATES,
  invoice: INVOICE_STATES,
  month: MONTH_STATES,
  proposal: PROPOSAL_STATES,
  export: EXPORT_STATES,
};

/** A filter from an address: the one state it names, or nothing when it names none that there is. */
export function onlyState<State extends string>(states: Record<State, StateWord>, wanted: string | undefined): State[] | undefined {
  return wanted !== undefined && wanted in states ? [wanted as State] : undefined;
}

export const CLUSTER_KINDS: Record<Cluster["kind"], MessageDescriptor> = {
  kubernetes: msg`Kubernetes`,
  kvm: msg`KVM`,
  openstack: msg`OpenStack`,
  vmware: msg`VMware`,
  baremetal: msg`Bare metal`,
  docker: msg`Docker`,
  slurm: msg`Slurm`,
};

/** What work comes as, and sites run. */
export const FORMS: Record<string, MessageDescriptor> = {
  process: msg`programs`,
  container: msg`container`,
  vm: msg`virtual machine`,
  server: msg`whole server`,
};

/** How a card is handed out. */
export const MODES: Record<string, MessageDescriptor> = {
  exclusive: msg`whole`,
  shared: msg`shared in turns`,
  sliced: msg`sliced by software`,
  partitioned: msg`fixed parts`,
  "vgpu-mdev": msg`vGPU`,
  passthrough: msg`passed through`,
  remote: msg`over the network`,
};

export const HEALTHS: Record<Accelerator["health"], StateWord> = {
  healthy: word(msg`Healthy`, "good"),
  unhealthy: word(msg`Unhealthy`, "bad"),
  unknown: word(msg`Health unknown`, "warning"),
};

/** Of a machine, as its controller says. */
export const POWERS: Record<NodePower, StateWord> = {
  on: word(msg`Switched on`, "good"),
  off: word(msg`Switched off`, "ended"),
  unknown: word(msg`Power unknown`, "waiting"),
};

export const WORKLOAD_KINDS: Record<Workload["kind"], MessageDescriptor> = {
  training: msg`Training`,
  inference: msg`Inference`,
  notebook: msg`Notebook`,
  batch: msg`Batch`,
  vm: msg`Virtual machine`,
  server: msg`Server`,
};

export const VERBS: Record<string, MessageDescriptor> = {
  cancel: msg`Cancel`,
  suspend: msg`Suspend`,
  resume: msg`Resume`,
  retry: msg`Run again`,
  pause: msg`Pause`,
  unpause: msg`Go on`,
  restart: msg`Restart`,
  drain: msg`Drain`,
  undrain: msg`Take back into use`,
  retire: msg`Retire`,
  release: msg`Release`,
  issue: msg`Issue`,
  reverse: msg`Reverse`,
  close: msg`Close the month`,
  revoke: msg`Revoke`,
  reinstate: msg`Reinstate`,
  connect: msg`Connect anew`,
  approve: msg`Approve`,
  drop: msg`Drop`,
  remove: msg`Remove`,
};

export const ROLES: Record<MembershipOfMe["role"], MessageDescriptor> = {
  "platform-admin": msg`Platform admin`,
  "platform-operator": msg`Platform operator`,
  "platform-viewer": msg`Platform viewer`,
  "platform-finance": msg`Platform finance`,
  "tenant-owner": msg`Tenant owner`,
  "tenant-finance": msg`Tenant finance`,
  "tenant-member": msg`Tenant member`,
  "tenant-viewer": msg`Tenant viewer`,
  "project-member": msg`Project member`,
  "project-viewer": msg`Project viewer`,
};
