"""Who goes where: one global view over all nodes of all sites, one request after the other, nothing twice.

Pure and deterministic: the same fleet, requests, policy, seed and mix give the same plan. Capacity is consumed as
the plan goes on. A gang gets all of its members or none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from federation.placement import policies
from federation.placement.answers import Batch, Decision
from federation.placement.columns import Columns
from federation.placement.filters import Wish, step_up
from federation.placement.mix import Mix
from federation.placement.refusals import Missed, never, no_nodes, not_now
from federation.placement.shortfalls import gang_never, gang_not_now
from federation.placement.terms import NO_TERMS
from federation.placement.terms import check as _check
from federation.placement.types import (
    DeviceFree,
    Fleet,
    NodeFree,
    Outcome,
    Placement,
    Refusal,
    Request,
    SiteFacts,
)

if TYPE_CHECKING:
    from federation.placement.gangs import Gangs
    from federation.placement.state import State


def plan(
    requests: Sequence[Request], fleet: Fleet, policy: str = policies.DEFAULT, seed: int = 0, mix: Mix | None = None
) -> Sequence[Outcome]:
    """One outcome for each request, in their order. See `Planner`; the mix is that of the requests if none is given."""
    return Planner(fleet, policy, seed, Mix.of(requests) if mix is None else mix).place_all(requests)


class Planner:
    """A plan in the making: each `place` holds what it grants against all later ones.

    Nodes with equal scores are taken in fleet order; a seed other than 0 draws another order, once. `mix` is what
    is likely to be asked next, for policies that look at fragmentation.
    """

    def __init__(
        self, fleet: Fleet | Columns, policy: str = policies.DEFAULT, seed: int = 0, mix: Mix | None = None
    ) -> None:
        self._policy = policies.named(policy)
        if isinstance(fleet, Fleet):
            order = list(range(len(fleet.nodes)))
            if seed:
                Random(seed).shuffle(order)
            fleet = Columns(fleet, order)
        self.columns = fleet
        self.state = _state(fleet, self._policy, mix or Mix(), seed)
        self._quick: dict[tuple[object, ...], int] = {}
        self._emptied: Planner | None = None
        self._positions: dict[str, int] | None = None  # of nodes, by id
        self._finals: dict[tuple[object, ...], Refusal | None] = {}
        self._gangs: Gangs | None = None

    def place(self, request: Request) -> Outcome:
        """Grant all members of a request, or say why not and hold nothing."""
        if request.replicas != 1 or not self.columns.fleet.nodes:
            _check(request)
            return self._place_gang(request) if self.columns.fleet.nodes else no_nodes(request)
        w = self._number(request)
        answers = self.state.decide_one(w, crc32(request.id.encode()))
        return self.outcome(request, Decision(self.columns, self.state.wishes[w], answers, 0))

    def renew(self, nodes: Iterable[NodeFree]) -> bool:
        """Go on with what is free on these nodes now, instead of what this plan left there. False when more than that
        has changed, or there is a node more: then only a new planner will do."""
        if self._positions is None:
            self._positions = {self.columns.node(at).id: at for at in range(len(self.columns.fleet.nodes))}
        found = [(self._positions.get(node.id), node) for node in nodes]
        if any(at is None for at, _ in found):
            return False
        return self.state.renew([(at, self.columns.node(at), node) for at, node in found if at is not None])

    def learn(self, mix: Mix) -> None:
        """Another mix from here on."""
        self.state.learn(mix)

    def heat(self, sites: Mapping[str, SiteFacts]) -> None:
        """Other weights and loads of sites from here on; see `Fleet.sites`."""
        self.state.heat(sites)

    def place_all(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """An outcome for each request, as `place` in turn gives. The outcomes are written out when looked at."""
        if all(request.replicas == 1 for request in requests):
            return self._place_singles(requests)
        outcomes: list[Outcome] = []
        singles: list[Request] = []
        for request in requests:
            if request.replicas == 1:
                singles.append(request)
                continue
            outcomes += self._place_singles(singles)
            singles = []
            outcomes.append(self.place(request))
        return outcomes + list(self._place_singles(singles))

    def _place_singles(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        if not self.columns.fleet.nodes:
            for request in requests:
                _check(request)
            return [no_nodes(request) for request in requests]
        which = np.fromiter(map(self._number, requests), np.int32, len(requests))
        keys = np.fromiter((crc32(r.id.encode()) for r in requests), np.int64, len(requests))
        return Batch(self, requests, which, self.state.decide(which, keys))

    def _number(self, request: Request) -> int:
        """Of its wish. Most requests of a queue are like another."""
        if request.flavors is not None or request.terms is not None:
            _check(request)
            return self.state.number_of(self._wish(request, request.flavors))
        key = (
            request.cpu_milli, request.memory_mib, request.devices, request.milli, request.device_memory_mib,
            request.models, request.vendors, request.sites,
        )  # fmt: skip
        found = self._quick.get(key)
        if found is None:
            _check(request)
            found = self._quick[key] = self.state.number_of(self._wish(request, None))
        return found

    def outcome(self, request: Request, decision: Decision) -> Outcome:
        """A decision in words and names."""
        if decision.missed is None:
            return Placement(request.id, (decision.member(),), self._policy.name, decision.candidates())
        return self._refusal(request, decision.missed)

    def _refusal(self, request: Request, missed: Missed) -> Refusal:
        final = self._never(request)  # even where all is free, open and healthy?
        return final or not_now(request, missed, self.columns)

    def _place_gang(self, request: Request) -> Outcome:
        gangs = self.gangs()
        held = gangs.place(request)
        if held is not None:
            return Placement(request.id, held.members, self._policy.name, held.best)
        final = self._never(request)
        return final or gang_not_now(request, gangs.shortfall(request), self.columns)

    def gangs(self) -> "Gangs":
        if self._gangs is None:
            self._gangs = _gangs(self.columns, self.state, self._wish)
        return self._gangs

    def _never(self, request: Request) -> Refusal | None:
        """The refusal that the empty fleet gives, quota aside; None when waiting may help."""
        key = (self._wish(request, None), request.replicas, request.least, request.topology, request.spread)
        if key not in self._finals:
            if self._emptied is None:
                self._emptied = Planner(self.columns.emptied(), "best-fit")
            self._finals[key] = self._emptied._refusal_when_empty(replace(request, flavors=None))
        final = self._finals[key]
        return None if final is None else replace(final, request=request.id)

    def _refusal_when_empty(self, request: Request) -> Refusal | None:
        if request.replicas > 1:
            gangs = self.gangs()
            held = gangs.place(request)
            if held is None:
                return gang_never(request, gangs.shortfall(request), self.columns)
            gangs.give_back(held)
            return None
        w = self.state.number_of(self._wish(request, None))
        answers = self.state.decide(np.array([w], np.int32), np.zeros(1, np.int64))
        missed = Decision(self.columns, self.state.wishes[w], answers, 0).missed
        if missed is not None:
            return never(request, missed, self.columns)
        self.state.give_back(answers, w)
        return None

    def _wish(self, request: Request, room: Mapping[str, int] | None) -> Wish:
        # A share counts as what it is rounded up to, at most a whole device: only then steps decide.
        needed = _counted(request)
        short = (
            [] if room is None or request.milli == 1000 else [f for f, left in room.items() if needed <= left < 1000]
        )
        return Wish(
            request.cpu_milli,
            request.memory_mib,
            request.devices,
            request.milli,
            request.device_memory_mib,
            request.models,
            request.vendors,
            request.sites,
            None if room is None else frozenset(flavor for flavor, left in room.items() if left >= needed),
            frozenset(
                (flavor, step)
                for flavor in short
                for step in self.columns.steps.get(flavor, ())
                if room is not None and step_up(needed, step) > room[flavor]
            ),
            request.terms or NO_TERMS,
        )


def _state(columns: Columns, policy: policies.Policy, mix: Mix, seed: int) -> "State":
    # Here, not above: numba comes with it, which only processes that plan should wait for and hold in memory.
    from federation.placement.state import State

    return State(columns, policy, mix, seed)


def _gangs(columns: Columns, state: "State", wish_of: "Callable[[Request, Mapping[str, int] | None], Wish]") -> "Gangs":
    from federation.placement.gangs import Gangs  # as above

    return Gangs(columns, state, wish_of)


def warm() -> None:
    """Have the loops compiled, or read from disk, before somebody waits for a plan."""
    devices = tuple(DeviceFree(i, f"f{i}", "m", "v", 1000, 9, 9, can_share=True) for i in range(2))
    node = NodeFree("n", "n", "c", "s", 9000, 9, devices)
    request = Request("r", 1000, 1, devices=1, milli=500)
    planner = Planner(Fleet((node,)), mix=Mix.of((request,)))
    planner.place(request)
    # Of two flavors with little quota left; then more than there is room for: what was placed is given back.
    planner.place(replace(request, replicas=2, flavors={"f0": 500, "f1": 500}))
    planner.place(replace(request, replicas=9, flavors={"f0": 500, "f1": 500}))
    planner.renew((node,))


def _counted(request: Request) -> int:
    """What one member counts against quota at least: 1/1000 of devices, or of cores when it wants none."""
    return request.devices * request.milli if request.wants_accelerators else request.cpu_milli
