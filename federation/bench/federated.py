"""The openb experiment over many clusters of which the hub knows late: what old views cost.

The nodes are dealt out to clusters. Time is virtual: so many arrivals a second, in the order of the experiment. What is
in it of Aquifer:

- One planner scores the nodes of all clusters in one view; no cluster is chosen first. What it grants it knows at once,
  since grants are rows of the hub's own.
- A share of the arrivals is *foreign*: it goes to a cluster by chance, whose own scheduler (spread, as that of
  Kubernetes does) puts it on a node at once. The hub learns of it by the cluster's next report; each cluster reports
  once in `staleness` seconds, all at different moments, so a view is up to that old. (Clusters that are followed live
  are known sooner: docs/scale.md.)
- A grant is checked twice before it counts. The hub's rows refuse what another planner took or a report showed; the
  site refuses what would stand on foreign work, and with the refusal tells what is on that node. Whoever is refused
  plans again at once: one decision retried. The loser of a race reads all rows anew.
- With several planners the arrivals go to them in turn, and each learns of the grants of the others by the reports of
  the clusters too, or by losing. (In Aquifer a pool has one planner at a time; several are pools over the same
  clusters, and each reads the rows at the beginning of every look, most often sooner than this.)

What is not in it: nothing ends, as in the experiment, so that old knowledge of ended work, which makes the hub wait but
never lose a grant, costs nothing here; no node goes away; a site's refusal takes no time, and shows what is on the
node. (Aquifer learns that from the cluster's next report, and may be refused there again until then.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from random import Random
from statistics import fmean
from typing import Any

from federation.bench import experiment, openb
from federation.bench.figures import BenchError
from federation.placement.mix import Mix
from federation.placement.plan import Planner
from federation.placement.types import Fleet, MemberPlacement, NodeFree, Placement, Request

THEIRS = "spread"  # how a cluster's own scheduler places


@dataclass(frozen=True, slots=True)
class Setting:
    """`staleness` in seconds, 0: all is known at once; `rate` in arrivals a second; `foreign` from 0 to 1."""

    clusters: int
    staleness: float
    rate: float
    foreign: float
    planners: int = 1


@dataclass(slots=True)
class Counts:
    decisions: int = 0  # of the hub
    retried: int = 0  # of those, planned more than once
    lost_races: int = 0  # plans that the hub's rows refused
    refused_by_sites: int = 0  # plans that stood on foreign work
    allocated_milli: int = 0  # the hub's and foreign
    over_committed: int = 0  # nodes and devices that hold more than they have


class Book:
    """What is free on each node, as somebody knows it."""

    def __init__(self, fleet: Fleet) -> None:
        self._nodes = {node.id: node for node in fleet.nodes}

    def __getitem__(self, node: str) -> NodeFree:
        return self._nodes[node]

    def put(self, node: NodeFree) -> None:
        self._nodes[node.id] = node

    def fits(self, request: Request, member: MemberPlacement) -> bool:
        node, devices = self._nodes[member.node], {d.index: d for d in self._nodes[member.node].devices}
        return (
            node.cpu_milli >= request.cpu_milli
            and node.memory_mib >= request.memory_mib
            and all(
                devices[share.index].free_milli >= share.milli
                and devices[share.index].free_memory_mib >= share.memory_mib
                for share in member.devices
            )
        )

    def take(self, request: Request, member: MemberPlacement) -> None:
        """Whether it fits or not."""
        node, shares = self._nodes[member.node], {share.index: share for share in member.devices}
        self._nodes[node.id] = replace(
            node,
            cpu_milli=node.cpu_milli - request.cpu_milli,
            memory_mib=node.memory_mib - request.memory_mib,
            devices=tuple(
                replace(d, free_milli=d.free_milli - s.milli, free_memory_mib=d.free_memory_mib - s.memory_mib)
                if (s := shares.get(d.index))
                else d
                for d in node.devices
            ),
        )

    def over(self) -> int:
        """Nodes and devices that hold more than they have."""
        return sum(
            (node.cpu_milli < 0) + (node.memory_mib < 0) + sum(d.free_milli < 0 for d in node.devices)
            for node in self._nodes.values()
        )


def split(fleet: Fleet, clusters: int) -> Fleet:
    """The nodes dealt out to so many clusters, one after the other."""
    names = [f"cluster-{number:03}" for number in range(clusters)]
    return Fleet(
        tuple(replace(n, cluster=names[i % clusters], site=names[i % clusters]) for i, n in enumerate(fleet.nodes))
    )


class Run:
    """One run over arrivals. `fleet` is split already."""

    def __init__(self, fleet: Fleet, setting: Setting, mix: Mix, policy: str, seed: int) -> None:
        self.counts = Counts()
        self._setting = setting
        self._truth, self._rows = Book(fleet), Book(fleet)
        self._cluster = {node.id: node.cluster for node in fleet.nodes}
        self._names = sorted(set(self._cluster.values()))
        self._planners = [Planner(fleet, policy, seed, mix) for _ in range(setting.planners)]
        self._theirs = Planner(fleet, THEIRS, seed)
        self._random = Random(f"foreign {seed}")
        # What changed without their doing: for each planner by cluster, for the rows, and for the sites' schedulers.
        self._unseen: list[dict[str, set[str]]] = [{name: set() for name in self._names} for _ in self._planners]
        self._unreported: dict[str, set[str]] = {name: set() for name in self._names}
        self._unknown_to_sites: set[str] = set()
        count = len(self._names)
        self._next_report = {name: setting.staleness * at / count for at, name in enumerate(self._names)}
        self._taken: list[tuple[Request, MemberPlacement]] = []

    def take_all(self, arrivals: Sequence[Request]) -> Counts:
        for number, request in enumerate(arrivals):
            self._report(number / self._setting.rate)
            is_foreign, where = self._random.random() < self._setting.foreign, self._random.choice(self._names)
            if is_foreign:
                self._place_theirs(request, where)
            else:
                self._place_ours(number % len(self._planners), request)
        final = Book(Fleet(tuple(self._planners[0].columns.fleet.nodes)))
        for request, member in self._taken:  # added up once more, from nothing
            final.take(request, member)
        self.counts.over_committed = final.over()
        self.counts.allocated_milli = sum(member.milli for _, member in self._taken)
        return self.counts

    def _report(self, now: float) -> None:
        for name in self._names:
            if self._next_report[name] > now:
                continue
            while self._setting.staleness and self._next_report[name] <= now:
                self._next_report[name] += self._setting.staleness
            for node in self._unreported[name]:
                self._rows.put(self._truth[node])
            self._unreported[name].clear()
            for planner in range(len(self._planners)):
                self._show(planner, self._unseen[planner][name])

    def _show(self, planner: int, nodes: set[str]) -> None:
        """A planner reads the rows of nodes."""
        if nodes:
            assert self._planners[planner].renew([self._rows[node] for node in sorted(nodes)])
            nodes.clear()

    def _place_theirs(self, request: Request, where: str) -> None:
        assert self._theirs.renew([self._truth[node] for node in sorted(self._unknown_to_sites)])
        self._unknown_to_sites.clear()
        outcome = self._theirs.place(replace(request, sites=frozenset({where})))
        if isinstance(outcome, Placement):
            (member,) = outcome.members
            self._truth.take(request, member)
            self._taken.append((request, member))
            self._unreported[where].add(member.node)
            for unseen in self._unseen:
                unseen[where].add(member.node)

    def _place_ours(self, planner: int, request: Request) -> None:
        self.counts.decisions += 1
        plans = 0
        while isinstance(outcome := self._planners[planner].place(request), Placement):
            plans += 1
            (member,) = outcome.members
            if self._is_granted(planner, request, member):
                break
        self.counts.retried += plans > 1 or (plans == 1 and not isinstance(outcome, Placement))

    def _is_granted(self, planner: int, request: Request, member: MemberPlacement) -> bool:
        place = self._cluster[member.node]
        if not self._rows.fits(request, member):
            self.counts.lost_races += 1
            self._unseen[planner][place].add(member.node)  # where it had held what it did not get
            for nodes in self._unseen[planner].values():
                self._show(planner, nodes)
            return False
        if not self._truth.fits(request, member):
            self.counts.refused_by_sites += 1
            self._rows.put(self._truth[member.node])
            self._unreported[place].discard(member.node)
            self._show(planner, {member.node})
            return False
        for book in (self._rows, self._truth):
            book.take(request, member)
        self._taken.append((request, member))
        self._unknown_to_sites.add(member.node)
        for other, unseen in enumerate(self._unseen):
            if other != planner:
                unseen[place].add(member.node)
        return True


def compared(fleet: Fleet, arrivals: Sequence[Request], setting: Setting, mix: Mix, policy: str, seed: int
             ) -> tuple[float, float, Counts]:  # fmt: skip
    """Percent of the devices given out by one planner that knows all at once, and by this setting, on the same
    arrivals with the same foreign ones; and what happened in the latter."""
    parts = split(fleet, setting.clusters)
    known = Run(parts, replace(setting, staleness=0.0, planners=1), mix, policy, seed).take_all(arrivals)
    found = Run(parts, setting, mix, policy, seed).take_all(arrivals)
    whole = max(openb.capacity_milli(fleet), 1) / 100
    return known.allocated_milli / whole, found.allocated_milli / whole, found


def setting_of(options: dict[str, Any]) -> Setting:
    """What the command line asks for; BenchError for what makes no sense."""
    setting = Setting(
        options["clusters"], options["staleness"], options["rate"], options["foreign"] / 100, options["planners"]
    )
    is_sane = setting.clusters > 0 and 0 <= setting.staleness < inf and 0 < setting.rate < inf
    if not is_sane or not 0 <= setting.foreign <= 1 or setting.planners < 1:
        raise BenchError(
            "Clusters, planners and arrivals a second are above 0, staleness is not below, foreign from 0 to 100."
        )
    return setting


def measure(fleet: Fleet, pods: Sequence[Request], setting: Setting, options: dict[str, Any]) -> dict[str, Any]:
    """All seeds; `options` are those of `bench placement`."""
    mix, runs = Mix.of(pods), []
    for seed in experiment.seeds_of(options["seeds"]):
        arrivals = experiment.arrivals(fleet, pods, seed, options)
        runs.append(compared(fleet, arrivals, setting, mix, options["policy"], seed))
    return figures(setting, runs)


def figures(setting: Setting, runs: Sequence[tuple[float, float, Counts]]) -> dict[str, Any]:
    lost = [known - found for known, found, _ in runs]
    total: dict[str, int] = {
        name: sum(getattr(counts, name) for _, _, counts in runs)
        for name in ("decisions", "retried", "lost_races", "refused_by_sites", "over_committed")
    }
    return {
        "clusters": setting.clusters,
        "staleness_s": setting.staleness,
        "rate_per_s": setting.rate,
        "foreign_percent": round(100 * setting.foreign, 1),
        "planners": setting.planners,
        "unsplit_percent": round(fmean(known for known, _, _ in runs), 3),
        "allocation_percent": round(fmean(found for _, found, _ in runs), 3),
        "lost_points": round(fmean(lost), 3),
        "lost_by_seed": [round(one, 3) for one in lost],
        "retried_percent": round(100 * total["retried"] / max(total["decisions"], 1), 3),
        **total,
    }
