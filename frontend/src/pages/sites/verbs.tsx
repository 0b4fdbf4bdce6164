import { Trans } from "@lingui/react/macro";
import {
  clustersDrainMutation,
  clustersPauseMutation,
  clustersResumeMutation,
  clustersRetireMutation,
  nodesDrainMutation,
  nodesUndrainMutation,
} from "~/api/__generated__/@tanstack/react-query.gen";
import type { Verb } from "~/parts/Verbs";

export const CLUSTER_VERBS: Verb[] = [
  { name: "pause", permission: "cluster.edit", mutation: clustersPauseMutation },
  { name: "resume", permission: "cluster.edit", mutation: clustersResumeMutation },
  {
    name: "drain",
    permission: "cluster.edit",
    mutation: clustersDrainMutation,
    isDangerous: true,
    confirm: <Trans>No new work comes here, and what runs here is stopped and queued again for elsewhere.</Trans>,
  },
  {
    name: "retire",
    permission: "cluster.edit",
    mutation: clustersRetireMutation,
    isDangerous: true,
    confirm: <Trans>This is the end of it: its agent is refused from now on. The history stays.</Trans>,
  },
];

export const NODE_VERBS: Verb[] = [
  {
    name: "drain",
    permission: "node.drain",
    mutation: nodesDrainMutation,
    isDangerous: true,
    confirm: <Trans>No new work comes here, and what runs here is stopped and queued again for elsewhere.</Trans>,
  },
  { name: "undrain", permission: "node.drain", mutation: nodesUndrainMutation },
];
