"""Which hardware part is on which card, where a node only counts its parts (MIG by device plugin, vNPU, partitions).

Nobody can know it from outside, so parts are dealt out the same way every time: largest first, to the card with the
most room, and never more to a card than its compute and memory can make.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from federation.drivers.kubernetes.tokens import Token

_UNITS = 1 << 20  # of a card; fractions of cards stay exact enough as integers


@dataclass(frozen=True, slots=True)
class Piece:
    """A kind of part: how much of its card's compute it takes (of `_UNITS`), and its memory in MiB (0: not known)."""

    resource: str
    compute: int
    memory_mib: int


def piece(resource: str, token: Token, memory_mib: int, card_mib: int) -> Piece:
    """`memory_mib` of the part and `card_mib` of its card by labels or catalogue, 0 if they do not say."""
    part, gib = token.part, int(token.sizes.get("gib", 0))
    memory = memory_mib or gib * 1024
    compute = 0
    if part is not None and part.per_card:
        compute = _UNITS // part.per_card
        memory = memory or card_mib // part.per_card
    elif part is not None and part.whole:
        compute = _UNITS * int(token.sizes.get("size", 0)) // part.whole
        memory = memory or card_mib * compute // _UNITS
    return Piece(resource, min(compute, _UNITS), memory)


def deal(wanted: Sequence[tuple[Piece, int]], card_mib: int, at_least: int) -> list[list[Piece]]:
    """The parts on each card. As few cards as can hold them all, but not fewer than `at_least`.

    A part whose share of a card is not known at all fills one: better a card too many than a part that is not there.
    """
    pieces = [
        kind
        for kind, count in sorted(wanted, key=lambda each: (-each[0].compute, -each[0].memory_mib, each[0].resource))
        for _ in range(count)
    ]
    cards: list[list[Piece]] = [[] for _ in range(at_least)]
    room = [[_UNITS, _memory_room(card_mib)] for _ in cards]
    for kind in pieces:
        takes = _takes(kind, card_mib)
        fitting = [i for i, free in enumerate(room) if free[0] >= takes[0] and free[1] >= takes[1]]
        if fitting:
            best = max(fitting, key=lambda i: (room[i][0], room[i][1], -i))
        else:
            best = len(cards)
            cards.append([])
            room.append([_UNITS, _memory_room(card_mib)])
        cards[best].append(kind)
        room[best][0] -= takes[0]
        room[best][1] -= takes[1]
    return cards


def _takes(kind: Piece, card_mib: int) -> tuple[int, int]:
    memory = kind.memory_mib if card_mib else 0
    if kind.compute or memory:
        return kind.compute, memory
    return _UNITS, 0


def _memory_room(card_mib: int) -> int:
    return card_mib + card_mib // 16  # the names of parts are rounded up: 7 of "12gb" are on a card of 80
