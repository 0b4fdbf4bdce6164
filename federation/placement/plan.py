"""Who goes where: one global view over all nodes of all sites, one request after the other, nothing twice.

Pure and deterministic: the same fleet, requests, policy and seed give the same plan. Capacity is consumed as
the plan goes on. A gang gets all of its members or none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from federation.placement.filters import Wish, share_memory
from federation.placement.policies import POLICIES
from federation.placement.rankings import Ranking
from federation.placement.refusals import never, not_now
from federation.placement.shapes import Board, State, step_up
from federation.placement.types import (
    Candidate,
    DeviceShare,
    Fleet,
    MemberPlacement,
    NodeFree,
    Outcome,
    Placement,
    Refusal,
    Request,
)

_NEXT_BEST = 5
_ANY_AMOUNT = 1 << 40  # of CPU or memory, where a node's whole is not known


def plan(requests: Sequence[Request], fleet: Fleet, policy: str = "best-fit", seed: int = 0) -> list[Outcome]:
    """One outcome for each request, in their order. See `Planner`."""
    planner = Planner(fleet, policy, seed)
    return [planner.place(request) for request in requests]


class Planner:
    """A plan in the making: each `place` holds what it grants against all later ones.

    Nodes with equal scores are taken in fleet order; a seed other than 0 draws another order, once.
    """

    def __init__(self, fleet: Fleet, policy: str = "best-fit", seed: int = 0) -> None:
        if policy not in POLICIES:
            raise ValueError(f"No placement policy is called {policy!r}; there are {', '.join(POLICIES)}.")
        order = list(range(len(fleet.nodes)))
        if seed:
            Random(seed).shuffle(order)
        self._fleet = fleet
        self._policy = POLICIES[policy]
        self._board = Board(fleet, order)
        self._rankings: dict[Wish, Ranking] = {}
        self._emptied: Planner | None = None
        self._finals: dict[tuple[Wish, int], Refusal | None] = {}

    def place(self, request: Request) -> Outcome:
        """Grant all members of a request, or say why not and hold nothing."""
        _check(request)
        attempt = self._attempt(request)
        if attempt.stuck is None:
            return Placement(request.id, tuple(attempt.members), self._policy.name, attempt.best)
        never_fits = self._never(request)  # even where all is free, open and healthy?
        refusal = never_fits or not_now(request, attempt.stuck, self._board, len(attempt.members))
        self._undo(attempt)
        return refusal

    def _attempt(self, request: Request) -> "_Attempt":
        """Hold one member after the other until all are placed or one finds no node."""
        attempt = _Attempt()
        room = None if request.flavors is None else dict(request.flavors)
        for _ in range(request.replicas):
            ranking = self._ranking(_wish(request, room, self._board))
            found = ranking.best(1 if attempt.members else 1 + _NEXT_BEST)
            if not found:
                attempt.stuck = ranking
                break
            if not attempt.members:
                attempt.best = tuple(Candidate(self._board.nodes[at].id, -cost) for cost, at, _ in found)
            _, position, shape = found[0]
            choice = ranking.choose(shape)
            slots = shape.layout.slots
            shares = {
                s: DeviceShare(
                    slots[s].device_index, slots[s].takes(request.milli), share_memory(ranking.wish, slots[s])
                )
                for s in choice.slots
            }
            before = self._board.take(position, request.cpu_milli, request.memory_mib, shares)
            attempt.held.append((position, before))
            attempt.members.append(
                MemberPlacement(self._board.nodes[position].id, choice.flavor, tuple(shares.values()))
            )
            if room is not None:
                room[choice.flavor] -= choice.milli if request.wants_accelerators else request.cpu_milli
        return attempt

    def _undo(self, attempt: "_Attempt") -> None:
        for position, before in reversed(attempt.held):
            self._board.restore(position, before)

    def _ranking(self, wish: Wish) -> Ranking:
        ranking = self._rankings.get(wish)
        if ranking is None:
            ranking = self._rankings[wish] = Ranking(wish, self._board, self._policy)
        return ranking

    def _never(self, request: Request) -> Refusal | None:
        """The refusal that the empty fleet gives, quota aside; None when waiting may help."""
        if not self._fleet.nodes:
            return None  # nothing is known of the sites yet: nothing is final
        key = (_wish(request, None, self._board), request.replicas)
        if key not in self._finals:
            if self._emptied is None:
                self._emptied = Planner(Fleet(tuple(_emptied(node) for node in self._fleet.nodes)))
            self._finals[key] = self._emptied._refusal_when_empty(replace(request, flavors=None))
        final = self._finals[key]
        return None if final is None else replace(final, request=request.id)

    def _refusal_when_empty(self, request: Request) -> Refusal | None:
        # Members are equal and no quota counts here, so how many a node takes does not depend on their
        # order: if this finds no room for all, there is none.
        attempt = self._attempt(request)
        refusal = None
        if attempt.stuck is not None:
            refusal = never(request, attempt.stuck, self._board, len(attempt.members))
        self._undo(attempt)
        return refusal


@dataclass(slots=True)
class _Attempt:
    members: list[MemberPlacement] = field(default_factory=list)
    best: tuple[Candidate, ...] = ()
    held: list[tuple[int, State]] = field(default_factory=list)  # position and its state before
    stuck: Ranking | None = None  # the ranking in which the next member found no node


def _wish(request: Request, room: Mapping[str, int] | None, board: Board) -> Wish:
    # A share counts as what it is rounded up to, at most a whole device: only then steps decide.
    needed = _counted(request)
    short = [] if room is None or request.milli == 1000 else [f for f, left in room.items() if needed <= left < 1000]
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
            for step in board.steps.get(flavor, ())
            if room is not None and step_up(needed, step) > room[flavor]
        ),
    )


def _counted(request: Request) -> int:
    """What one member counts against quota at least: 1/1000 of devices, or of cores when it wants none."""
    return request.devices * request.milli if request.wants_accelerators else request.cpu_milli


def _check(request: Request) -> None:
    """A request that makes no sense is a mistake of the caller, not a refusal."""
    amounts = (request.cpu_milli, request.memory_mib, request.devices, request.device_memory_mib)
    if min(amounts) < 0 or request.replicas < 1 or not 1 <= request.milli <= 1000:
        raise ValueError(f"Request {request.id} asks for an amount that cannot be.")
    if request.milli < 1000 and request.devices > 1:
        raise ValueError(f"Request {request.id} asks for shares of several devices; a share is of one device.")


def _emptied(node: NodeFree) -> NodeFree:
    devices = tuple(
        replace(d, free_milli=1000, free_memory_mib=d.memory_mib, is_healthy=True, held_shares=0) for d in node.devices
    )
    return replace(
        node,
        cpu_milli=max(node.total_cpu_milli, node.cpu_milli) if node.total_cpu_milli else _ANY_AMOUNT,
        memory_mib=max(node.total_memory_mib, node.memory_mib) if node.total_memory_mib else _ANY_AMOUNT,
        devices=devices,
        is_open=True,
    )
