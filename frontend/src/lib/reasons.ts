/** Every reason the back end gives, in plain words. The test beside this fails when one is missing. */
import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";

interface ReasonWords {
  headline: MessageDescriptor;
  /** What one can do about it, where there is something. */
  hint?: MessageDescriptor;
}

const say = (headline: MessageDescriptor, hint?: MessageDescriptor): ReasonWords => (hint ? { headline, hint } : { headline });

export const REASONS: Record<string, ReasonWords> = {
  // Waiting in the queue
  Submitted: say(msg`Just submitted, not looked at yet`),
  Retrying: say(msg`Failed and is tried again`),
  RetriedByUser: say(msg`Run again by a user`),
  ResumedByUser: say(msg`Resumed by a user`),
  QuotaExhausted: say(msg`The quota is used up`, msg`It starts when work of the same tenant or project ends, or when the quota is raised.`),
  NotEnoughFreeAccelerators: say(msg`Not enough free accelerators on one node just now`, msg`Ask for fewer per member, let it run on another model, or wait for work to end.`),
  NotEnoughCpu: say(msg`Not enough free CPU cores`, msg`Ask for fewer cores, or wait for work to end.`),
  NotEnoughMemory: say(msg`Not enough free memory`, msg`Ask for less memory, or wait for work to end.`),
  NoMatchingModel: say(msg`No accelerator of this model is there`, msg`Choose another model, or leave the model open.`),
  NoOpenNodes: say(msg`No node is open to new work`, msg`Sites are paused, drained or silent, or there are none in this pool. See the sites.`),
  NeverFits: say(msg`It can never fit, even when everything is free`, msg`Ask for less, or choose another pool; waiting does not help.`),
  // On its way and running
  Admitted: say(msg`Placed; the site is being asked`),
  Reserved: say(msg`Held for it; the site is being asked`),
  WaitingForSite: say(msg`The site has not taken it on yet`),
  AcceptedBySite: say(msg`Taken on by the site`),
  Starting: say(msg`Starting at the site`),
  Running: say(msg`Running`),
  Adopted: say(msg`Found running again and kept`),
  Finished: say(msg`Finished`),
  // Ended by somebody
  CancelledByUser: say(msg`Cancelled by a user`),
  SuspendedByUser: say(msg`Suspended by a user`),
  ReleasedByUser: say(msg`Released by a user`),
  SuspendedByStaff: say(msg`Suspended by the platform's staff`),
  NodeDrained: say(msg`Its node was drained; it is queued for elsewhere`),
  ClusterDrained: say(msg`Its site was drained; it is queued for elsewhere`),
  // Ended badly
  NonZeroExit: say(msg`The command ended with an error`, msg`See its logs.`),
  OutOfMemory: say(msg`It ran out of memory`, msg`Ask for more memory and run it again.`),
  ImagePullFailed: say(msg`Its image could not be fetched`, msg`Check the name of the image and the site's access to it.`),
  TimeLimit: say(msg`It reached its time limit`),
  KilledBySignal: say(msg`It was killed by a signal`, msg`See its logs.`),
  Stopped: say(msg`It was stopped`),
  CommandNotFound: say(msg`The command does not exist at the site`),
  GangMemberFailed: say(msg`Another member of it failed`),
  GangMemberGone: say(msg`Another member of it is gone`),
  GangMemberLost: say(msg`Another member of it was lost`),
  SiteLost: say(msg`Its site has been silent for too long`),
  SiteUnavailable: say(msg`The site does not answer just now`),
  VanishedAtSite: say(msg`It was removed at the site`),
  BrokenAtSite: say(msg`It is in a broken state at the site`),
  RejectedBySite: say(msg`The site refused it`),
  OldGeneration: say(msg`The site already knows a newer order`),
  WaitingForDevice: say(msg`The site waits until earlier work has given the accelerator back`),
  LimitsFailed: say(msg`The site could not set its limits of CPU and memory`),
  GrantChanged: say(msg`Its grant was changed on the way`),
  DeviceGone: say(msg`The accelerator it was to have is gone`),
  DeviceMissing: say(msg`The machine does not have this accelerator`),
  DeviceBusy: say(msg`The accelerator is taken by other work at the site`),
  DeviceError: say(msg`The accelerator failed while it ran`),
  NodeGone: say(msg`Its node is no longer at the site`),
  NodeMissing: say(msg`Its node is not at the site just now`),
  NodeFail: say(msg`Its node failed`),
  BadGrant: say(msg`The site does not understand the share it was given`),
  BadSpec: say(msg`The site does not understand the request`),
  InvalidSpec: say(msg`The site cannot run the request as it is`, msg`See the message; a bare-metal site needs a command.`),
  BadSettings: say(msg`The site is set up wrongly`),
  CommandNotRunnable: say(msg`The command cannot be run at the site`),
  CommandNotAllowed: say(msg`The site does not allow this command`),
  CouldNotStart: say(msg`The site could not start it`),
  ImageNotFound: say(msg`Its image does not exist`, msg`Check the name of the image and the site's access to it.`),
  AdmissionDenied: say(msg`A policy of the site refuses it`),
  UnsupportedConfiguration: say(msg`The host cannot pass this device through`),
  GuestCrashed: say(msg`Its virtual machine crashed`),
  NoValidHost: say(msg`No host of the cloud fulfils the request`),
  InstanceError: say(msg`Its virtual machine went into an error`),
  InvalidDeviceSpec: say(msg`The host does not offer this device to guests`),
  InvalidPartition: say(msg`The partition does not accept this job`),
  AgentDiskFull: say(msg`The disk of the agent's machine is full`),
  AgentStopped: say(msg`The agent was stopped for good`),
  MachineRestarted: say(msg`Its machine restarted while it ran`),
  ShimLost: say(msg`The process that watched over it was killed`),
  FoundAgain: say(msg`Found again after it was moved elsewhere; it is stopped here`),
  // Sites and nodes
  NeverAnswered: say(msg`It has not been heard of yet`, msg`Run the agent's line on its machine.`),
  Answers: say(msg`It answers`),
  Degraded: say(msg`It answers, but not fully`),
  Silent: say(msg`Nothing has been heard of it for a while`),
  Unavailable: say(msg`It does not answer just now`),
  PausedByOperator: say(msg`Closed to new work by an operator`),
  ResumedByOperator: say(msg`Opened again by an operator`),
  DrainedByOperator: say(msg`Being emptied by an operator`),
  RetiredByOperator: say(msg`Retired by an operator`),
  OpenedByOperator: say(msg`Opened again by an operator`),
  Empty: say(msg`Nothing runs here any more`),
  SiteReports: say(msg`As its site reports`),
  NotInInventory: say(msg`No longer in its site's inventory`),
  SeenAgain: say(msg`Seen again`),
  // Invoices
  Issued: say(msg`Issued`),
  Cancels: say(msg`Takes another invoice back`),
  CancelledByCreditNote: say(msg`Taken back by a credit note`),
};

/** Reasons that say no more than their state does; shown in the history only. */
export const PLAIN_REASONS: ReadonlySet<string> = new Set(["Answers", "Running", "Finished", "Starting", "SiteReports", "Issued"]);
