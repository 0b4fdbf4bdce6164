"""What became of a card in a stretch of time: work + reserved + idle = capacity, in milli-seconds. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

WHOLE = 1000
Span = tuple[int, int, int]  # from second, until second, thousandths of the card


@dataclass(frozen=True, slots=True)
class Occupancy:
    """`contested` is what proofs claim beyond the whole of a card: not in `work`, which counts each card once."""

    capacity: int = 0
    work: int = 0
    reserved: int = 0
    idle: int = 0
    contested: int = 0

    def __add__(self, other: "Occupancy") -> "Occupancy":
        return Occupancy(
            self.capacity + other.capacity,
            self.work + other.work,
            self.reserved + other.reserved,
            self.idle + other.idle,
            self.contested + other.contested,
        )


def occupancy(start: int, end: int, offered: Sequence[Span], held: Sequence[Span], worked: Sequence[Span]) -> Occupancy:
    """Of one card between two seconds. Who was proven to work held it; where work is proven, there was a card."""
    spans = [*offered, *held, *worked]
    edges = sorted({start, end, *(at for span in spans for at in span[:2] if start < at < end)})
    total = Occupancy()
    for begin, stop in pairwise(edges):
        work = _at(begin, worked)
        there = WHOLE if work else min(WHOLE, _at(begin, offered))
        done = min(work, there)
        taken = min(max(_at(begin, held), work), there)
        seconds = stop - begin
        total += Occupancy(
            there * seconds,
            done * seconds,
            (taken - done) * seconds,
            (there - taken) * seconds,
            (work - done) * seconds,
        )
    return total


def _at(second: int, spans: Iterable[Span]) -> int:
    return sum(milli for begin, end, milli in spans if begin <= second < end)
