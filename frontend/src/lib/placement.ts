/** The words of placement: what filters look for, how nodes are compared, who comes first in a queue. */
import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import type { Workload } from "~/api/__generated__";

/** What each filter removes, in the order in which they are asked; a node is counted at the first that removes it. */
export const FILTERS: Record<string, MessageDescriptor> = {
  closed: msg`closed to new work, or silent`,
  site: msg`at another site`,
  region: msg`in another region`,
  form: msg`that run something else`,
  "whole-server": msg`leased whole, with another number of accelerators`,
  label: msg`without the labels asked for`,
  "network-class": msg`on another class of network`,
  model: msg`without this model`,
  mode: msg`whose cards are handed out in another way`,
  quota: msg`of a kind the quota has nothing left for`,
  accelerators: msg`without enough free accelerators`,
  "device-memory": msg`without enough free accelerator memory`,
  cpu: msg`without enough free CPU cores`,
  memory: msg`without enough free memory`,
  spread: msg`where its members cannot be kept this far apart`,
  topology: msg`where its members cannot be kept this close together`,
};

export interface Named {
  title: MessageDescriptor;
  description: MessageDescriptor;
}

/** How nodes that could take a member are compared. */
export const POLICIES: Record<string, Named> = {
  packing: { title: msg`Packing`, description: msg`Keeps the gaps that are worth most to what is likely to come next. Fits the most work.` },
  fgd: { title: msg`Least fragmentation`, description: msg`Chooses where the fewest cards are left in pieces that nothing fits.` },
  "best-fit": { title: msg`Best fit`, description: msg`Chooses the fullest node that still has room; empty nodes stay whole for large work.` },
  spread: { title: msg`Spread`, description: msg`Chooses the emptiest node, so that work is in each other's way the least.` },
  "round-robin": { title: msg`Sites in turn`, description: msg`The site that got work longest ago comes next; within it, packing.` },
  "least-loaded": { title: msg`Least loaded site`, description: msg`The site with the lowest load just now; within it, packing.` },
  weighted: { title: msg`By the sites' weights`, description: msg`The site that is furthest below its weight; within it, packing.` },
  hash: { title: msg`Site by hash`, description: msg`The same work always goes to the same site while that has room; within it, packing.` },
  shedding: { title: msg`Away from hot sites`, description: msg`Sites with more than 80 % load come last, the hottest at the very end; else packing.` },
  cheapest: { title: msg`Cheapest`, description: msg`Where power costs least; of equal prices, packing.` },
  greenest: { title: msg`Greenest`, description: msg`Where power is made with the least carbon; of equals, packing.` },
  // Baselines, to compare with.
  random: { title: msg`Random`, description: msg`Any node that fits, each as likely. To compare with.` },
  dotprod: { title: msg`Dot product`, description: msg`The node whose free amounts are most alike in kind to what is asked. To compare with.` },
  "gpu-clustering": { title: msg`Clustering`, description: msg`Work that asks for equal amounts goes together. To compare with.` },
  "gpu-packing": { title: msg`Card packing`, description: msg`Cards in use first, then nodes in use, then free nodes. To compare with.` },
};

interface Ordered extends Named {
  /** Which work may wait for ever while other work keeps coming. */
  starves?: MessageDescriptor;
}

/** Who comes first in the queue. */
export const ORDERS: Record<string, Ordered> = {
  priority: { title: msg`Priority`, description: msg`The higher priority first; of equals, whoever came first.`, starves: msg`Work of low priority can wait for ever while more important work keeps coming.` },
  fifo: { title: msg`First come, first served`, description: msg`In the order in which work was sent, whatever its priority.` },
  "fair-share": {
    title: msg`Fair share`,
    description: msg`The tenant that has least of the pool for its quota; of its own work the higher priority first.`,
    starves: msg`Within a tenant, work of low priority can wait for ever.`,
  },
  "earliest-deadline": {
    title: msg`Earliest deadline`,
    description: msg`What must be done soonest comes first; work without a deadline comes last.`,
    starves: msg`Work without a deadline can wait for ever while work with one keeps coming.`,
  },
  "shortest-predicted": {
    title: msg`Shortest first`,
    description: msg`What is expected to run shortest comes first; what nothing is known of comes last.`,
    starves: msg`Long work can wait for ever while shorter work keeps coming.`,
  },
};

/** Where all members of work are together. */
export const TOPOLOGIES: Record<Workload["topology"], MessageDescriptor> = {
  any: msg`anywhere`,
  site: msg`on the same site`,
  cluster: msg`in the same cluster`,
  rack: msg`in the same rack`,
  network: msg`on the same fast network`,
  node: msg`on the same node`,
};

/** Where no two members of work are. */
export const SPREADS: Record<Workload["spread"], MessageDescriptor> = {
  "": msg`does not matter`,
  node: msg`on different nodes`,
  rack: msg`in different racks`,
  site: msg`on different sites`,
};

/** What comes before what a pool prefers. */
export const PREFERENCES: Record<Workload["prefer"], MessageDescriptor> = {
  "": msg`nothing`,
  money: msg`cheap power`,
  energy: msg`clean power`,
};

/** What a combination of policies weighs against each other, in the order of the sliders. */
export const OBJECTIVES: Record<string, Named> = {
  utilisation: { title: msg`Utilisation`, description: msg`fit the most work on what is there` },
  waiting: { title: msg`Waiting`, description: msg`go where the load is lowest` },
  fairness: { title: msg`Fairness`, description: msg`fill the sites by their weights` },
  shedding: { title: msg`Shedding`, description: msg`relieve sites with more than 80 % load` },
  money: { title: msg`Money`, description: msg`go where power costs least` },
  energy: { title: msg`Energy`, description: msg`go where power is cleanest` },
};

/** What a score is made of: what a policy measures nodes by, and what is added for sites, money and energy. */
export const PARTS: Record<string, MessageDescriptor> = {
  utilisation: msg`Utilisation`,
  packing: msg`Worth of the gaps it uses`,
  fragmentation: msg`Fragmentation`,
  fullness: msg`Fullness`,
  emptiness: msg`Emptiness`,
  alignment: msg`Alike in kind`,
  clustering: msg`Equal work together`,
  "device-packing": msg`Cards in use first`,
  chance: msg`Chance`,
  turn: msg`The site's turn`,
  hash: msg`Hash of the site`,
  waiting: msg`Load of the site`,
  fairness: msg`Weight of the site`,
  shedding: msg`Relief of hot sites`,
  money: msg`Money`,
  energy: msg`Energy`,
  preference: msg`What it prefers itself`,
};
