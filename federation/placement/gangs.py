"""A gang: the place where all of its members are, chosen over the whole fleet; all of them there, or none.

Members are equal, so how many a place holds can be counted before anything is held. The places that hold enough are
taken in the order of their best node.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np

from federation.placement import together
from federation.placement.answers import Decision
from federation.placement.columns import I32, I64, Columns
from federation.placement.filters import Filter, Wish, removed
from federation.placement.kernel import Answers
from federation.placement.places import Map, Places, Spots
from federation.placement.refusals import Missed
from federation.placement.shares import Supplier, share_out
from federation.placement.shortfalls import Short
from federation.placement.state import State
from federation.placement.terms import ANY
from federation.placement.types import CPU_FLAVOR, Candidate, MemberPlacement, Request

Room = Mapping[str, int] | None  # quota left by flavor; None when it does not limit
_AMPLE = 1 << 60


@dataclass(slots=True)
class Held:
    """Members that hold what they got until it is given back."""

    decisions: Callable[[int], Decision]  # by number of the member
    answers: Answers
    which: I32  # the wish of each
    turns: I64  # of sites, before
    left: Room  # of quota, after

    @property
    def count(self) -> int:
        return len(self.which)

    @property
    def members(self) -> tuple[MemberPlacement, ...]:
        return tuple(self.decisions(m).member() for m in range(self.count))

    @property
    def best(self) -> Sequence[Candidate]:
        return self.decisions(0).candidates()


@dataclass(slots=True)
class Look:
    """What each place of a kind could do for a gang now. `holds` is quota aside."""

    request: Request
    places: Places
    spots: Spots
    wish: int
    row: int
    head: I32  # the best node of each place
    holds: I64
    order: I64  # places that hold anything, the one with the best node first
    filters: Mapping[str, int]  # nodes that each filter removed
    fitting: int  # nodes that fit one member
    exact: dict[bytes, int] = field(default_factory=dict)


class Gangs:
    """Gangs on the columns of a plan. `wish_of` says what a member wishes, given the quota left."""

    def __init__(self, columns: Columns, state: State, wish_of: Callable[[Request, Room], Wish]) -> None:
        self._columns, self._state, self._wish_of = columns, state, wish_of
        self._map = Map(columns)
        self._stamp = 1
        flavors = sorted({kind.flavor for kind in columns.kinds} | {CPU_FLAVOR})
        self._flavors = {flavor: number for number, flavor in enumerate(flavors)}
        names = [*(kind.flavor for kind in columns.kinds), CPU_FLAVOR]
        self._flavor_of = np.array([self._flavors[name] for name in names], np.int32)
        self._keys = np.zeros(len(columns.index))
        chunks = len(columns.index) // together.CHUNK + 1
        self._peaks, self._tops = np.zeros(chunks), np.zeros(chunks, np.int32)

    def place(self, request: Request) -> Held | None:
        """Hold all members, or as many as fit if that is no fewer than its least. None: it holds nothing."""
        look = self._look(request, request.topology, request.spread)
        wanted, least = request.replicas, request.least
        enough = ((p, wanted) for p in look.order[look.holds[look.order] >= wanted].tolist()
                  if self._exact(look, p) >= wanted)  # fmt: skip
        for place, most in enough:
            if (held := self._hold(look, place, most, wanted)) is not None:
                return held
        for place, most in self._by_members(look, least) if least < wanted else ():
            if (held := self._hold(look, place, most, least)) is not None:
                return held
        return None

    def give_back(self, held: Held) -> None:
        state = self._state
        state.make_room(len(held.which))
        together.take_back(held.which, state.fleet, state.arrays, state.table, state.log, state.room, held.answers)
        state.room.sites.turn[:] = held.turns

    def shortfall(self, request: Request) -> Short:
        """Why there is no place for it now."""
        look = self._look(request, request.topology, request.spread)
        if not look.fitting:
            return Short(missed=self._missed(request, request.flavors))
        place, most = self._fullest(look)
        short = Short(most, look.fitting)
        if most:
            node = self._columns.node(look.head[place])
            short = replace(short, name=look.places.names[place], node=node.id)
        if (found := self._narrower(request)) is not None:
            return replace(short, term=found, filters={**look.filters, found.value: look.fitting})
        return self._stuck(request, short)

    def _narrower(self, request: Request) -> Filter | None:
        """Which term it is that keeps all members from a place; None when there is no room for them at all."""
        easier = (
            (request.topology, "", Filter.SPREAD),
            (ANY, request.spread, Filter.TOPOLOGY),
            (ANY, "", Filter.TOPOLOGY),
        )
        for topology, spread, found in easier:
            if (topology, spread) != (request.topology, request.spread):
                _, most = self._fullest(self._look(request, topology, spread))
                if most >= request.least:
                    return found
        return None

    def _stuck(self, request: Request, short: Short) -> Short:
        """With what the next member misses when as many as fit are placed anywhere."""
        look = self._look(request, ANY, "")
        place, most = self._fullest(look)
        held = self._hold(look, place, most, 1)
        if held is None:
            return short
        missed = self._missed(request, held.left)
        self.give_back(held)
        return replace(short, missed=missed, placed=held.count)

    def _missed(self, request: Request, room: Room) -> Missed | None:
        """What one member misses; None when it misses nothing."""
        state = self._state
        w = state.number_of(self._wish_of(request, room))
        answers = state.decide(np.array([w], np.int32), np.array([_key(request)], np.int64))
        missed = Decision(self._columns, state.wishes[w], answers, 0).missed
        if missed is None:
            state.give_back(answers, w)
        return missed

    def _look(self, request: Request, topology: str, spread: str) -> Look:
        state = self._state
        w = state.number_of(self._wish_of(request, request.flavors))
        places, spots = self._map.places(topology), self._map.spots(spread)
        count = len(places.names)
        best, head, holds = np.zeros(count), np.zeros(count, np.int32), np.zeros(count, np.int64)
        row = together.survey(
            _same(w), _key(request), places.order, places.start, spots.of, bool(spread), spots.seen,
            self._stamps(count), state.fleet, state.arrays, state.table, state.rule, state.rows, state.seats,
            state.log, state.room, best, head, holds,
        )  # fmt: skip
        rank = self._columns.nodes.rank[head]
        order = np.lexsort((rank, -best))
        order = order[holds[order] > 0]
        counts = state.rows.counts[row]
        return Look(request, places, spots, w, row, head, holds, order, removed(counts), int(counts[0]))

    def _stamps(self, count: int) -> int:
        first = self._stamp
        self._stamp += count
        return first

    def _fullest(self, look: Look) -> tuple[int, int]:
        """The place with the most members, and how many; (-1, 0) when there is none."""
        return next(iter(self._by_members(look, 1)), (-1, 0))

    def _by_members(self, look: Look, least: int) -> list[tuple[int, int]]:
        """Places that might hold the most members, and how many, most first; of equals the one with the best node."""
        order = look.order[look.holds[look.order] >= least]
        found: list[tuple[int, int, int]] = []
        most = least
        for rank in np.argsort(-look.holds[order], kind="stable").tolist():
            place = int(order[rank])
            if look.holds[place] < most:
                break
            exact = self._exact(look, place)
            if exact >= least:
                most = max(most, exact)
                found.append((-exact, rank, place))
        return [(place, -exact) for exact, _, place in sorted(found)]

    def _exact(self, look: Look, place: int) -> int:
        """How many members a place holds, of those that are wanted, with what quota leaves."""
        request = look.request
        holds, room = min(int(look.holds[place]), request.replicas), request.flavors
        if room is None:
            return holds
        suppliers = self._suppliers(look.wish, request)
        if all(room[one.flavor] >= holds * one.cost for one in suppliers):
            return holds
        if len(suppliers) == 1:
            return min(holds, room[suppliers[0].flavor] // suppliers[0].cost)
        caps, totals, _ = self._capacities(look, place, suppliers)
        key = caps.tobytes() + totals.tobytes()
        if key not in look.exact:
            look.exact[key] = int(share_out(caps, totals, suppliers, room, request.replicas).sum())
        return look.exact[key]

    def _suppliers(self, w: int, request: Request) -> list[Supplier]:
        if not request.wants_accelerators:
            return [Supplier(CPU_FLAVOR, request.cpu_milli)]
        takes = self._state.arrays.takes[w]
        kinds = self._columns.kinds
        return sorted({Supplier(kinds[k].flavor, request.devices * int(takes[k])) for k in np.flatnonzero(takes >= 0)})

    def _capacities(self, look: Look, place: int, suppliers: Sequence[Supplier]) -> tuple[I64, I64, I64]:
        """By spot of a place what it holds of each supplier, and in all; and the spot of each of its nodes."""
        state, request, w = self._state, look.request, look.wish
        at, kinds = look.places.nodes(place), self._columns.kinds
        takes = state.arrays.takes[w]
        numbers = {supplier: number for number, supplier in enumerate(suppliers)}
        taken = [Supplier(kind.flavor, request.devices * int(takes[k])) for k, kind in enumerate(kinds)]
        supplier_of = np.array([numbers.get(one, 0) for one in taken], np.int32)
        caps, totals = np.zeros((len(at), len(suppliers)), np.int64), np.zeros(len(at), np.int64)
        together.capacities(_same(w), at, look.spots.of, supplier_of, state.fleet, state.arrays, caps, totals)
        if not look.spots.kind:
            return caps, totals, np.arange(len(at))
        _, spot = np.unique(look.spots.of[at], return_inverse=True)
        shared = np.zeros((int(spot.max(initial=-1)) + 1, len(suppliers)), np.int64)
        np.maximum.at(shared, spot, np.minimum(caps, totals[:, None]).clip(0, 1))
        return shared, shared.max(axis=1, initial=0), spot

    def _hold(self, look: Look, place: int, wanted: int, least: int) -> Held | None:
        """So many members in a place that holds them by count, or no fewer than `least`."""
        held = self._in_turn(look, place, wanted)
        if held.count < wanted and look.request.flavors is not None:
            self.give_back(held)  # each took what was best for it, and left flavors that the last could not have
            held = self._as_planned(look, place, wanted)
        if held.count >= least:
            return held
        self.give_back(held)
        return None

    def _in_turn(self, look: Look, place: int, wanted: int) -> Held:
        """Each member on the node that is best for it."""
        filling = _Filling(self, look, wanted)
        room = look.request.flavors
        while filling.count < wanted:
            w = self._state.number_of(self._wish_of(look.request, room))
            if not filling.go_on(w, look.places.nodes(place), wanted, look.row if not filling.count else -1):
                break
            room = filling.room()
        return filling.held()

    def _as_planned(self, look: Look, place: int, wanted: int) -> Held:
        """Members by flavor where a flow over flavors and nodes has them."""
        filling, request = _Filling(self, look, wanted), look.request
        suppliers = self._suppliers(look.wish, request)
        caps, totals, spot = self._capacities(look, place, suppliers)
        given = share_out(caps, totals, suppliers, request.flavors or {}, wanted)
        at = look.places.nodes(place)
        for s, k in np.argwhere(given > 0).tolist():
            flavor, cost = suppliers[k]
            # As if quota were left for this one only: what costs more is then too coarse, too.
            w = self._state.number_of(self._wish_of(request, {flavor: cost}))
            filling.go_on(w, at[spot == s], filling.count + int(given[s, k]), -1)
        return filling.held()


class _Filling:
    """The members of one gang, as they are placed."""

    def __init__(self, gangs: Gangs, look: Look, most: int) -> None:
        self._gangs, self._look, self._state = gangs, look, gangs._state
        self._stamp = gangs._stamps(1)
        self._answers = self._state.answers(most, most * look.request.devices)
        self._which = np.zeros(most, np.int32)
        self._turns = self._state.room.sites.turn.copy()
        self._left = np.full(len(gangs._flavors), _AMPLE, np.int64)
        for flavor, left in (look.request.flavors or {}).items():
            if flavor in gangs._flavors:
                self._left[gangs._flavors[flavor]] = left
        self.count = 0
        self._state.make_room(most)

    def go_on(self, w: int, at: I32, end: int, row: int) -> int:
        """Members with wish w on the nodes `at` until there are `end` of them; how many were added."""
        gangs, look, state = self._gangs, self._look, self._state
        floor = np.zeros(len(self._left), np.int64)
        if look.request.flavors is not None:
            for flavor, cost in gangs._suppliers(w, look.request):
                floor[gangs._flavors[flavor]] = max(floor[gangs._flavors[flavor]], cost)
        spots = look.spots
        added: int = together.fill(
            _same(w), row, _key(look.request), at, spots.of, bool(spots.kind), spots.seen, self._stamp, self.count, end,
            gangs._keys, gangs._peaks, gangs._tops, self._left, floor, gangs._flavor_of, state.fleet, state.arrays,
            state.table, state.rule, state.rows, state.seats, state.log, state.room, self._answers,
        )  # fmt: skip
        self._which[self.count : self.count + added] = w
        self.count += added
        return added

    def room(self) -> Room:
        """The quota that is left."""
        flavors, numbers = self._look.request.flavors, self._gangs._flavors
        if flavors is None:
            return None
        return {f: int(self._left[numbers[f]]) if f in numbers else left for f, left in flavors.items()}

    def held(self) -> Held:
        columns, state, count = self._gangs._columns, self._state, self.count
        wishes, which, answers = state.wishes, self._which[:count], self._answers
        decisions = partial(_decision, columns, wishes, which, answers)
        return Held(decisions, answers, which, self._turns, self.room())


def _decision(columns: Columns, wishes: Sequence[Wish], which: I32, answers: Answers, m: int) -> Decision:
    return Decision(columns, wishes[which[m]], answers, m)


def _same(w: int) -> Any:
    """A wish as `decide` numbers it: for another kind of number all that is called would be compiled once more."""
    return np.int32(w)


def _key(request: Request) -> int:
    """What policies that hash know of a request."""
    return crc32(request.id.encode())
