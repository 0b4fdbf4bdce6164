"""What waits, and the pieces that would have to leave a node for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from federation.placement.moving.options import MOST_TOGETHER, Leaving, Options
from federation.placement.moving.pieces import Piece
from federation.placement.moving.rooms import Kind, Place, Room, has_quota, wish_of
from federation.placement.types import Request

MOST_WANTED = 40  # kinds of requests, from the head of the queue
MOST_GIVERS = 400  # nodes from which pieces may leave
MOST_CLEARINGS = 24  # nodes for each, the fewest moves first
MOST_SERVED = 12  # sets of requests that are tried in one room


@dataclass(frozen=True, slots=True)
class Wanted:
    """Requests alike, `count` of them, of `replicas` members each."""

    kind: Kind
    replicas: int
    count: int

    @property
    def milli(self) -> int:
        return self.kind.wish.devices * self.kind.wish.milli * self.replicas


@dataclass(frozen=True, slots=True)
class Clearing:
    """A node that gives, and how many of each that waits then go there: sets to which nothing can be added."""

    leaving: Leaving
    serves: tuple[tuple[int, ...], ...]


def wanted_of(requests: Sequence[Request]) -> list[Wanted]:
    """In the order of the queue; without what quota does not let in, and moves cannot help."""
    counts: dict[tuple[Kind, int], int] = {}
    for request in requests:
        wish = wish_of(request)
        if has_quota(wish):
            key = (Kind(wish), request.replicas)
            counts[key] = counts.get(key, 0) + 1
    return [Wanted(kind, replicas, count) for (kind, replicas), count in counts.items()][:MOST_WANTED]


def clearings(options: Options, wanted: Sequence[Wanted]) -> dict[int, list[Clearing]]:
    """For each that waits the nodes where it would go when something leaves, the fewest moves first."""
    found: dict[int, list[Clearing]] = {number: [] for number in range(len(wanted))}
    made: dict[tuple[str, tuple[str, ...]], Clearing] = {}
    # Where the most is free the fewest have to leave.
    givers = sorted(options.givers(), key=lambda place: (-sum(place.room.free), place.node.id))[:MOST_GIVERS]
    for number, each in enumerate(wanted):
        ways: list[Leaving] = []
        for place in givers:
            for pieces in _for(options, place, each.kind):
                leaving = options.leaving(place, pieces)
                if next(place.spots(leaving.room, each.kind), None) is not None and options.can_go(leaving):
                    ways.append(leaving)
        ways.sort(key=lambda w: (len(w.pieces), -w.gain, w.place))
        for leaving in ways[: max(MOST_CLEARINGS, 2 * each.count * each.replicas)]:
            key = (leaving.place, tuple(sorted(piece.id for piece in leaving.pieces)))
            if key not in made:
                made[key] = Clearing(leaving, tuple(_served(options.rooms.places[leaving.place], leaving.room, wanted)))
            found[number].append(made[key])
    return found


def _for(options: Options, place: Place, kind: Kind) -> Iterator[Sequence[Piece]]:
    if place.takes(kind) is None:
        return
    if options.is_small:
        yield from options.sets(place)
        return
    groups = place.takes(kind) or ()
    for off in [_off(place, kind, parts) for parts in groups] if kind.wish.devices else [[]]:
        gone = None if off is None else _with_cores(place, kind, off)
        if gone and len(gone) <= min(options.most_moves, MOST_TOGETHER):
            yield gone


def _off(place: Place, kind: Kind, parts: Sequence[tuple[int, int, int]]) -> list[Piece] | None:
    """Those to take off devices of one group so that the kind has enough of them; the fewest, roughly."""
    room, wish, on = place.room, kind.wish, place.on
    if wish.is_share:
        best: list[Piece] | None = None
        for slot, milli, _ in parts:
            free, gone = room.free[slot], []
            for held, piece in on[slot]:
                if free >= milli:
                    break
                free += held
                gone.append(piece)
            if free >= milli and (best is None or len(gone) < len(best)):
                best = gone
        return best
    found: dict[str, Piece] = {}
    slots = [slot for slot, _, _ in parts]
    short = wish.devices - sum(room.free[slot] == 1000 for slot in slots)
    left = [s for s in slots if room.free[s] < 1000 and room.free[s] + sum(held for held, _ in on[s]) == 1000]
    while short > 0 and left:
        slot = min(left, key=lambda s: (sum(piece.id not in found for _, piece in on[s]), s))
        left.remove(slot)
        found |= {piece.id: piece for _, piece in on[slot]}
        short -= 1
    return None if short > 0 else list(found.values())


def _with_cores(place: Place, kind: Kind, gone: Sequence[Piece]) -> list[Piece] | None:
    """And those with the most cores, or memory, while these are short."""
    wish, found, room = kind.wish, list(gone), place.lifted(place.room, gone)
    ids = {piece.id for piece in gone}
    rest = [piece for piece in place.movable if piece.id not in ids]
    while room.cpu < wish.cpu_milli or room.memory < wish.memory_mib:
        if not rest:
            return None
        cpu, memory = max(wish.cpu_milli - room.cpu, 0), max(wish.memory_mib - room.memory, 0)
        helps = [(-min(p.request.cpu_milli, cpu), -min(p.request.memory_mib, memory), p.id) for p in rest]
        chosen = rest.pop(helps.index(min(helps)))
        found.append(chosen)
        room = place.lifted(room, [chosen])
    return found


def _served(place: Place, room: Room, wanted: Sequence[Wanted]) -> Iterator[tuple[int, ...]]:
    """How many of each go into a room, for sets that are full; those early in the queue first."""
    most = [each.count * each.replicas for each in wanted]
    stack: list[tuple[tuple[int, ...], Room, list[int]]] = [((0,) * len(wanted), room, list(range(len(wanted))))]
    seen: set[tuple[int, ...]] = set()
    while stack and len(seen) < MOST_SERVED:
        counts, left, able = stack.pop()
        # Whoever has no room now has none later.
        more = [
            (number, spot.room)
            for number in able
            if counts[number] < most[number]
            for spot in place.spots(left, wanted[number].kind)
        ]
        if not more and counts not in seen:
            seen.add(counts)
            yield counts
        still = sorted({number for number, _ in more})
        last = max((number for number, count in enumerate(counts) if count), default=0)
        # In one order only, each set once.
        stack += [
            ((*counts[:number], counts[number] + 1, *counts[number + 1 :]), rest, still)
            for number, rest in reversed(more)
            if number >= last
        ]
