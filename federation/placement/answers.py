"""What the loops answered, in words and names: written out when it is looked at, since most of a batch never is."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

from federation.placement.columns import I32, Columns
from federation.placement.filters import Filter, Wish
from federation.placement.modes import STEP
from federation.placement.refusals import Missed
from federation.placement.terms import PREFERENCES
from federation.placement.types import CPU_FLAVOR, Candidate, DeviceShare, MemberPlacement, Outcome, Request

if TYPE_CHECKING:
    from federation.placement.kernel import Answers
    from federation.placement.plan import Planner

_FILTERS = tuple(Filter)


class Decision:
    """One decision among answers."""

    def __init__(self, columns: Columns, wish: Wish, answers: "Answers", m: int) -> None:
        self._columns, self._answers, self._m, self._wish = columns, answers, m, wish
        self.missed = None if answers.node[m] >= 0 else self._missed(wish)

    def _missed(self, wish: Wish) -> Missed:
        a, m = self._answers, self._m
        counts = {_FILTERS[f - 1].value: int(a.counts[m, f]) for f in range(1, len(_FILTERS) + 1) if a.counts[m, f]}
        last = _FILTERS[a.filter[m] - 1]
        return Missed(wish, counts, last, self._columns.node(a.near[m]), int(a.amount[m]))

    def member(self) -> MemberPlacement:
        a, m = self._answers, self._m
        node = self._columns.node(a.node[m])
        first, last = int(a.first_part[m]), int(a.first_part[m + 1])
        devices = tuple(
            DeviceShare(node.devices[slot].index, milli, memory)
            for slot, milli, memory in zip(
                a.device[first:last].tolist(), a.milli[first:last].tolist(), a.memory[first:last].tolist(), strict=True
            )
        )
        flavor = node.devices[a.device[first]].flavor if last > first else CPU_FLAVOR
        return MemberPlacement(node.id, flavor, devices)

    def candidates(self) -> Sequence[Candidate]:
        return Ranking(self._columns, self._answers, self._m, self._wish.terms.prefer)


class Ranking(Sequence[Candidate]):
    """The nodes that are named for a placement, best first."""

    def __init__(self, columns: Columns, answers: "Answers", m: int, prefer: str) -> None:
        self._columns, self._answers, self._m = columns, answers, m
        self._first = PREFERENCES.index(prefer)

    def __len__(self) -> int:
        return int(self._answers.candidates[self._m])

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | Sequence[Candidate]:
        places = range(len(self))[index]
        return self._candidate(places) if isinstance(places, int) else tuple(map(self._candidate, places))

    def _candidate(self, at: int) -> Candidate:
        a, m, scale = self._answers, self._m, self._columns.scale
        assert scale is not None
        position = a.candidate[m, at]
        node = self._columns.node(position)
        score, site, shedding = (float(v) / STEP for v in (a.value[m, at], a.added[m, at, 0], a.added[m, at, 1]))
        preference = float(self._columns.nodes.preferred[self._first - 1, position]) / STEP if self._first else 0.0
        parts = scale.parts(score - preference, site, shedding, node.price, node.carbon)
        if self._first:
            parts["preference"] = preference
        return Candidate(node.id, score, node.name, node.site, parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as other sequences that are equal by what is in them


class Batch(Sequence[Outcome]):
    """The outcomes of many requests."""

    def __init__(self, planner: "Planner", requests: Sequence[Request], which: I32, answers: "Answers") -> None:
        self._planner, self._requests, self._which, self.answers = planner, requests, which, answers

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Outcome]:
        return (self[m] for m in range(len(self)))  # an IndexError of ours is not the end

    @overload
    def __getitem__(self, index: int) -> Outcome: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Outcome]: ...
    def __getitem__(self, index: int | slice) -> Outcome | Sequence[Outcome]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        m = range(len(self))[index]
        wish = self._planner.state.wishes[self._which[m]]
        return self._planner.outcome(self._requests[m], Decision(self._planner.columns, wish, self.answers, m))
