"""What could be tried: sets of pieces that leave a node, and nodes that take pieces on. Bounded, in a fixed order.

In a plan a node either gives or takes, never both. So no step waits for another, and one that goes wrong spoils none.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from federation.placement.columns import I64
from federation.placement.moving.pieces import Piece
from federation.placement.moving.rooms import Kind, Place, Room, Rooms, Spot, kind_of
from federation.placement.types import DeviceShare

ALL_SETS = 6  # of so few movable pieces on a node all sets are tried; of more, sets that empty devices or free cores
FEW_NODES = 12  # with movable pieces: so few that all sets are tried for what waits
MOST_TOGETHER = 8  # pieces that leave one node
MOST_LEAVING = 6000  # ways for nodes to give
MOST_SOLVED = 800  # of those, for the solver
MOST_OF_ONE = 6  # of one node
MOST_LOOKED_AT = 64  # nodes looked at for a kind, the fullest first
MOST_TARGETS = 12  # of those, for the solver
MOST_ARRIVING = 24  # ways for one node to take several


# By number, kinds that were chosen; the room that is left, and the devices of each.
_Chosen = tuple[tuple[int, ...], Room, tuple[tuple[DeviceShare, ...], ...]]


@dataclass(frozen=True, slots=True)
class Leaving:
    """Pieces that leave a node. `gain` is the fragmentation, in 1/1000, that goes with them."""

    place: str
    pieces: tuple[Piece, ...]
    room: Room
    gain: float


@dataclass(frozen=True, slots=True)
class Arriving:
    """Kinds that a node takes on, each with its devices. `loss` is the fragmentation of it, often negative."""

    place: str
    kinds: tuple[Kind, ...]
    shares: tuple[tuple[DeviceShare, ...], ...]
    room: Room
    loss: float


class Options:
    """What can be tried on a fleet with these pieces, with at most so many moves."""

    def __init__(self, rooms: Rooms, pieces: Sequence[Piece], most_moves: int) -> None:
        self.rooms, self.most_moves = rooms, most_moves
        self.kinds = {piece.id: kind_of(piece, rooms.places[piece.node].node) for piece in pieces if not piece.obstacle}
        for piece in sorted(pieces, key=lambda p: p.id):
            place = rooms.places[piece.node]
            if not piece.obstacle and place.node.is_open:
                place.movable.append(piece)
        for place in self.givers():
            place.count()
        self.is_small = sum(1 for _ in self.givers()) <= FEW_NODES
        self._order = sorted(rooms.places.values(), key=lambda p: sum(p.room.free))
        self._columns = _Columns(self._order)
        self._targets: dict[Kind, list[Arriving]] = {}

    def givers(self) -> Iterator[Place]:
        return (place for place in self.rooms.places.values() if place.movable)

    def leaving(self, place: Place, pieces: Iterable[Piece]) -> Leaving:
        gone = tuple(pieces)
        room = place.lifted(place.room, gone)
        waste = self.rooms.waste
        return Leaving(place.node.id, gone, room, waste.of(place, place.room) - waste.of(place, room))

    def sets(self, place: Place) -> Iterator[tuple[Piece, ...]]:
        """Pieces that might leave together."""
        most = min(self.most_moves, MOST_TOGETHER)
        if len(place.movable) <= ALL_SETS:
            for count in range(1, min(len(place.movable), most) + 1):
                yield from combinations(place.movable, count)
            return
        seen: set[tuple[str, ...]] = set()
        for found in _telling(place):
            key = tuple(sorted(piece.id for piece in found))
            if found and len(found) <= most and key not in seen:
                seen.add(key)
                yield tuple(found)

    def targets(self, kind: Kind) -> list[Arriving]:
        """Nodes that could take one of a kind, the best first."""
        if kind not in self._targets:
            found = []
            for number in self._columns.fitting(kind):
                place = self._order[number]
                if (best := self.best_spot(place, place.room, kind)) is not None:
                    spot, loss = best
                    found.append(Arriving(place.node.id, (kind,), (spot.shares,), spot.room, loss))
                    if len(found) == MOST_LOOKED_AT:
                        break
            self._targets[kind] = sorted(found, key=lambda a: (a.loss, a.place))
        return self._targets[kind]

    def few_targets(self, kind: Kind) -> list[Arriving]:
        """The best of them, and some of the others: many kinds have the same best ones."""
        found = self.targets(kind)
        best, rest = found[: MOST_TARGETS // 2], found[MOST_TARGETS // 2 :]
        return best + rest[:: max(-(-2 * len(rest) // MOST_TARGETS), 1)]

    def can_go(self, leaving: Leaving) -> bool:
        """Has each piece of it a place elsewhere, as if it were alone?"""
        kinds = {self.kinds[piece.id] for piece in leaving.pieces}
        return all(any(target.place != leaving.place for target in self.targets(kind)) for kind in kinds)

    def best_spot(self, place: Place, room: Room, kind: Kind) -> tuple[Spot, float] | None:
        """The way to take it on that costs the least fragmentation, and that cost."""
        waste = self.rooms.waste
        before = waste.of(place, room)
        found = [(waste.of(place, spot.room) - before, n, spot) for n, spot in enumerate(place.spots(room, kind))]
        if not found:
            return None
        loss, _, spot = min(found, key=lambda each: each[:2])
        return spot, loss

    def together(self, kinds: dict[Kind, int], places: set[str]) -> list[Arriving]:
        """Ways for these nodes to take several, `kinds` of them at most so often."""
        order = sorted(kinds, key=_in_order)
        wanted: dict[str, list[Kind]] = {}
        for kind in order:
            for arriving in self.few_targets(kind):
                wanted.setdefault(arriving.place, []).append(kind)
        found: list[Arriving] = []
        for name in sorted(places & set(wanted)):
            place = self.rooms.places[name]
            found += self._several(place, wanted[name], kinds)
        return found

    def _several(self, place: Place, kinds: Sequence[Kind], counts: dict[Kind, int]) -> list[Arriving]:
        """Sets of one, of two, and so on, each of the last with one more; cut off when they become too many."""
        waste = self.rooms.waste
        before = waste.of(place, place.room)
        found: list[Arriving] = []
        layer: list[_Chosen] = [((), place.room, ())]
        while layer and len(found) < MOST_ARRIVING:
            grown: dict[object, _Chosen] = {}
            for chosen, room, shares in layer:
                for number in range(chosen[-1] if chosen else 0, len(kinds)):
                    if chosen.count(number) == counts[kinds[number]] or len(chosen) == self.most_moves:
                        continue
                    for spot in place.spots(room, kinds[number]):
                        key = ((*chosen, number), _sorted(place, spot.room))
                        grown.setdefault(key, ((*chosen, number), spot.room, (*shares, spot.shares)))
            layer = sorted(grown.values(), key=lambda each: (waste.of(place, each[1]), each[0]))[:MOST_ARRIVING]
            found += [
                Arriving(place.node.id, tuple(kinds[n] for n in chosen), shares, room, waste.of(place, room) - before)
                for chosen, room, shares in layer
            ]
        return found


class _Columns:
    """Cores, memory and devices of all places, to pass over most of them at once."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._cpu: I64 = np.array([p.room.cpu for p in places], np.int64)
        self._memory: I64 = np.array([p.room.memory for p in places], np.int64)
        self._most: I64 = np.array([max(p.room.free, default=0) for p in places], np.int64)
        self._full: I64 = np.array([p.room.free.count(1000) for p in places], np.int64)

    def fitting(self, kind: Kind) -> list[int]:
        """Places that may do; `spots` knows. Where the least is free comes first, as the places do."""
        wish = kind.wish
        fine = (self._cpu >= wish.cpu_milli) & (self._memory >= wish.memory_mib)
        if wish.devices:
            fine &= self._most >= wish.milli if wish.is_share else self._full >= wish.devices
        found: list[int] = np.flatnonzero(fine).tolist()
        return found


def _telling(place: Place) -> Iterator[list[Piece]]:
    """Single pieces; all that are on a device, on the two easiest to empty, and so on; those with the most cores."""
    for piece in place.movable:
        yield [piece]
    free, on = place.room.free, place.on
    can_empty = [slot for slot in on if on[slot] and free[slot] + sum(held for held, _ in on[slot]) == 1000]
    can_empty.sort(key=lambda slot: (len(on[slot]), slot))
    together: dict[str, Piece] = {}
    for slot in can_empty:
        alone = {piece.id: piece for _, piece in on[slot]}
        yield list(alone.values())
        together |= alone
        yield list(together.values())
    by_cores = sorted(place.movable, key=lambda p: (-p.request.cpu_milli, p.id))
    for count in range(2, 5):
        yield by_cores[:count]


def _sorted(place: Place, room: Room) -> tuple[object, ...]:
    """Rooms that differ in nothing but which of like devices is used have the same."""
    return (
        room.cpu,
        room.memory,
        *(
            tuple(sorted((room.free[s], room.device_memory[s], room.seats[s], *_facts(place, s)) for s in group.slots))
            for group in place.groups
        ),
    )


def _facts(place: Place, slot: int) -> tuple[object, ...]:
    device = place.node.devices[slot]
    return device.model, device.vendor, device.step_milli, device.memory_mib, device.is_healthy, device.can_share


def _in_order(kind: Kind) -> tuple[object, ...]:
    """Large ones first; an order that does not hang on how sets lie in memory."""
    wish = kind.wish
    terms = (sorted(wish.terms.modes), sorted(wish.terms.regions), sorted(wish.terms.labels), wish.terms[3:])
    names = (sorted(wish.models), sorted(wish.vendors), sorted(wish.sites), sorted(wish.flavors or ()), *terms)
    return (-wish.devices * wish.milli, -wish.cpu_milli, -wish.memory_mib, wish.device_memory_mib, *names,
            kind.held_milli, kind.cluster or ("", ""))  # fmt: skip


def most_promising(options: Options) -> list[Leaving]:
    """The ways to give, by what each move brings where it costs the least."""
    found = [options.leaving(place, pieces) for place in options.givers() for pieces in options.sets(place)]
    found.sort(key=lambda way: (-way.gain / len(way.pieces), len(way.pieces), way.place))
    promising: list[tuple[float, Leaving]] = []
    for way in found[: 2 * MOST_LEAVING]:
        losses = []
        for piece in way.pieces:
            targets = options.targets(options.kinds[piece.id])
            losses.append(next((target.loss for target in targets if target.place != way.place), None))
        known = [loss for loss in losses if loss is not None]
        if len(known) == len(losses):
            promising.append(((way.gain - sum(known)) / len(known), way))
    promising.sort(key=lambda each: (-each[0], len(each[1].pieces), each[1].place))
    of: Counter[str] = Counter()
    kept = []
    for _, way in promising:
        of[way.place] += 1
        if of[way.place] <= MOST_OF_ONE:
            kept.append(way)
    return kept[:MOST_LEAVING]
