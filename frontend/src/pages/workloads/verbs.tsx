import { Trans } from "@lingui/react/macro";
import {
  workloadsCancelMutation,
  workloadsResumeMutation,
  workloadsRetryMutation,
  workloadsSuspendMutation,
} from "~/api/__generated__/@tanstack/react-query.gen";
import type { Verb } from "~/parts/Verbs";

export const WORKLOAD_VERBS: Verb[] = [
  {
    name: "cancel",
    permission: "workload.control",
    mutation: workloadsCancelMutation,
    isDangerous: true,
    confirm: <Trans>It is stopped and gives back what it holds. What it has not saved is lost.</Trans>,
  },
  {
    name: "suspend",
    permission: "workload.control",
    mutation: workloadsSuspendMutation,
    confirm: <Trans>It is stopped and gives back what it holds, and stays here until it is resumed. What it has not saved is lost.</Trans>,
  },
  { name: "resume", permission: "workload.control", mutation: workloadsResumeMutation },
  { name: "retry", permission: "workload.control", mutation: workloadsRetryMutation },
];
