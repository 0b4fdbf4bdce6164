/** What is done with running work in place, where its site can. */
import { Trans } from "@lingui/react/macro";
import { allocationsPauseMutation, allocationsRestartMutation, allocationsUnpauseMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import type { Verb } from "~/parts/Verbs";

export const IN_PLACE: Verb[] = [
  { name: "pause", permission: "workload.control", mutation: allocationsPauseMutation, confirm: <Trans>It stands still, and holds what it holds: that is billed.</Trans> },
  { name: "unpause", permission: "workload.control", mutation: allocationsUnpauseMutation },
  { name: "restart", permission: "workload.control", mutation: allocationsRestartMutation, confirm: <Trans>It is asked to end and starts anew in place; what it has not saved is lost.</Trans>, isDangerous: true },
];
