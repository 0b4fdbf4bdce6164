"""A plan in the making, and the greedy way to make one: the best thing to do next, again and again."""

from collections.abc import Iterator, Sequence

from federation.placement.moving.options import Arriving, Leaving, Options
from federation.placement.moving.pieces import Move, Piece
from federation.placement.moving.rooms import Kind, Room
from federation.placement.moving.wanted import Clearing, Wanted
from federation.placement.types import DeviceShare

GIVES, TAKES = "gives", "takes"
MOVE_COST = 50.0  # 1/1000 of devices that a move has to bring at least: work is stopped for it


class Draft:
    """Moves so far, what is free after them, and which nodes give or take."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.rooms: dict[str, Room] = {}
        self.roles: dict[str, str] = {}
        self.moves: list[Move] = []
        self.given: dict[str, Leaving] = {}
        self.taken: dict[str, tuple[tuple[Kind, tuple[DeviceShare, ...]], ...]] = {}
        self.served: dict[str, tuple[int, ...]] = {}  # numbers of what waits

    def room(self, place: str) -> Room:
        return self.rooms.get(place) or self.options.rooms.places[place].room

    @property
    def left(self) -> int:
        return self.options.most_moves - len(self.moves)

    def copy(self) -> "Draft":
        other = Draft(self.options)
        other.rooms, other.roles, other.moves = dict(self.rooms), dict(self.roles), list(self.moves)
        other.given, other.taken, other.served = dict(self.given), dict(self.taken), dict(self.served)
        return other

    def in_order(self) -> tuple[Move, ...]:
        """Node by node, what promised most first. No node both gives and takes: any order fits."""
        place = {name: number for number, name in enumerate(self.given)}
        return tuple(sorted(self.moves, key=lambda move: (place[move.source], move.piece)))

    def arriving(self) -> Iterator[Arriving]:
        """What nodes take on by this plan."""
        waste = self.options.rooms.waste
        for name, taken in self.taken.items():
            place = self.options.rooms.places[name]
            loss = waste.of(place, self.rooms[name]) - waste.of(place, place.room)
            yield Arriving(name, tuple(k for k, _ in taken), tuple(s for _, s in taken), self.rooms[name], loss)

    def move(self, piece: Piece) -> float | None:
        """To the node where it costs the least fragmentation; that cost, or None when no node has room.

        The room that it leaves is the caller's to note.
        """
        options = self.options
        best = None
        for target in options.targets(options.kinds[piece.id]):
            name = target.place
            if name == piece.node or self.roles.get(name) == GIVES:
                continue
            if name not in self.rooms:
                loss, room, shares = target.loss, target.room, target.shares[0]
            else:
                spot = options.best_spot(options.rooms.places[name], self.rooms[name], options.kinds[piece.id])
                if spot is None:
                    continue
                loss, room, shares = spot[1], spot[0].room, spot[0].shares
            if best is None or loss < best[0]:
                best = (loss, name, room, shares)
        if best is None:
            return None
        loss, name, room, shares = best
        self.rooms[name], self.roles[name] = room, TAKES
        self.taken[name] = (*self.taken.get(name, ()), (options.kinds[piece.id], shares))
        self.moves.append(Move(piece.id, piece.node, name, shares))
        return loss

    def give(self, leaving: Leaving) -> float | None:
        """Move all of these; the fragmentation that is gone, or None when they cannot all go: the draft is spoiled."""
        self.roles[leaving.place], self.rooms[leaving.place] = GIVES, leaving.room
        self.given[leaving.place] = leaving
        gain = leaving.gain
        for piece in sorted(leaving.pieces, key=_large_first):
            if (loss := self.move(piece)) is None:
                return None
            gain -= loss
        return gain


def by_mix(draft: Draft, ways: Sequence[Leaving]) -> Draft:
    """One way after the other, as they promise, where it still brings what its moves cost."""
    for leaving in ways:
        if leaving.place in draft.roles or len(leaving.pieces) > draft.left:
            continue
        tried = draft.copy()
        gain = tried.give(leaving)
        if gain is not None and gain > MOVE_COST * len(leaving.pieces):
            draft = tried
    return draft


def by_waiting(draft: Draft, wanted: Sequence[Wanted], clearings: dict[int, list[Clearing]]) -> Draft:
    """One request after the other in the order of the queue, each with the fewest moves that it needs now."""
    for number, each in enumerate(wanted):
        for _ in range(each.count):
            served = _served(draft, number, each, clearings[number])
            if served is None:
                break
            draft = served
    return draft


def _served(draft: Draft, number: int, wanted: Wanted, clearings: Sequence[Clearing]) -> Draft | None:
    """With all members of one more such request placed."""
    draft = draft.copy()
    for _ in range(wanted.replicas):
        if _fits(draft, number, wanted):
            continue
        for clearing in clearings:
            leaving = clearing.leaving
            if leaving.place in draft.roles or len(leaving.pieces) > draft.left:
                continue
            tried = draft.copy()
            if tried.give(leaving) is not None and _put(tried, leaving.place, number, wanted):
                draft = tried
                break
        else:
            return None
    return draft


def _fits(draft: Draft, number: int, wanted: Wanted) -> bool:
    """On a node that gave already, or, for members of gangs, anywhere: alone they had room, together not."""
    names = [name for name, role in draft.roles.items() if role == GIVES]
    if wanted.replicas > 1:
        names += [name for name in draft.options.rooms.places if name not in draft.roles]
    return any(_put(draft, name, number, wanted) for name in names)


def _put(draft: Draft, name: str, number: int, wanted: Wanted) -> bool:
    best = draft.options.best_spot(draft.options.rooms.places[name], draft.room(name), wanted.kind)
    if best is None:
        return False
    draft.rooms[name] = best[0].room
    draft.roles.setdefault(name, GIVES)
    draft.served[name] = (*draft.served.get(name, ()), number)
    return True


def _large_first(piece: Piece) -> tuple[int, int, str]:
    return -sum(share.milli for share in piece.devices), -piece.request.cpu_milli, piece.id
