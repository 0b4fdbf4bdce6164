"""The best choice among ways to give and to take, by Google OR-Tools' CP-SAT: one way for each node at most.

Of each kind of piece as many are taken on as leave. Work is bounded by the solver's own measure of effort, with a
fixed seed on one thread, so the same question has the same answer.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from federation.placement.moving.drafts import GIVES, MOVE_COST, TAKES, Draft
from federation.placement.moving.options import MOST_SOLVED, Arriving, Leaving, Options
from federation.placement.moving.pieces import Move, Piece
from federation.placement.moving.rooms import Kind
from federation.placement.moving.wanted import Clearing, Wanted

_FINE = 10  # steps in 1/1000 of a device
REQUEST_WORTH = 1_000_000  # 1/1000 of devices: one more request placed comes before all else
_EFFORT = (
    0.5  # of the seconds, in the solver's measure: so that effort ends the search, and the clock only where others
)
# keep the machine busy


@dataclass(frozen=True, slots=True)
class Choice:
    """Columns that were chosen; `is_best` when it is proven that none are better."""

    leaving: Sequence[Leaving]
    arriving: Sequence[Arriving]
    is_best: bool


def by_mix(draft: Draft, ways: Sequence[Leaving], seconds: float) -> Choice | None:
    """The most fragmentation gone, less what moves cost. No worse than the draft, from which it starts."""
    started = list(draft.given.values())
    columns = started + [way for way in ways[:MOST_SOLVED] if way not in started]
    model = _Model(draft, columns, [number < len(started) for number in range(len(columns))])
    return model.solve(model.worth(), seconds)


def by_waiting(
    draft: Draft, wanted: Sequence[Wanted], clearings: dict[int, list[Clearing]], seconds: float
) -> Choice | None:
    """The most requests placed, then the most devices, then the fewest moves. No worse than the draft, gangs aside."""
    unique = {id(c): c for found in clearings.values() for c in found}.values()
    columns = [(clearing.leaving, serves) for clearing in unique for serves in clearing.serves]
    started = [(leaving, _counts(draft.served.get(name, ()), wanted)) for name, leaving in draft.given.items()]
    columns = [*started, *(column for column in columns if column not in started)]
    ways = [leaving for leaving, _ in columns]
    model = _Model(draft, ways, [number < len(started) for number in range(len(ways))])
    worth: list[Any] = []
    for number, each in enumerate(wanted):
        if each.replicas > 1:
            continue  # members of gangs that need no move are not in the columns: the greedy way knows them
        placed = model.model.new_int_var(0, each.count, f"w{number}")
        supply = [serves[number] * var for (_, serves), var in zip(columns, model.left, strict=True) if serves[number]]
        model.model.add(placed <= sum(supply))
        worth.append(placed * (REQUEST_WORTH + each.milli))
    return model.solve(sum(worth) - model.moves() * 1000, seconds)


def _counts(numbers: Sequence[int], wanted: Sequence[Wanted]) -> tuple[int, ...]:
    return tuple(numbers.count(number) for number in range(len(wanted)))


class _Model:
    """Columns for ways to give and to take; the solver starts from those of a draft, `is_started` of the ways."""

    def __init__(self, draft: Draft, ways: Sequence[Leaving], is_started: Sequence[bool]) -> None:
        # Here, not above: it comes with a second of imports, which only those who ask for a plan should wait for.
        from ortools.sat.python import cp_model

        options = draft.options
        self.cp, self.model, self.options = cp_model, cp_model.CpModel(), options
        self.ways = list(ways)
        most: dict[str, Counter[Kind]] = defaultdict(Counter)  # of each kind, from one node
        for way in ways:
            most[way.place] |= Counter(options.kinds[piece.id] for piece in way.pieces)
        leaving = sum(most.values(), Counter())
        places = {target.place for kind in leaving for target in options.few_targets(kind)}
        started = list(draft.arriving())
        self.taking = started + [column for column in options.together(dict(leaving), places) if column not in started]
        self.left = [self.model.new_bool_var(f"l{n}") for n in range(len(self.ways))]
        self.come = [self.model.new_bool_var(f"a{n}") for n in range(len(self.taking))]
        for var, is_in in zip(self.left, is_started, strict=True):
            self.model.add_hint(var, is_in)
        for number, var in enumerate(self.come):
            self.model.add_hint(var, number < len(started))
        self._one_way_each()
        self._as_many_come_as_leave()
        self.model.add(self.moves() <= options.most_moves)

    def _one_way_each(self) -> None:
        of: dict[str, list[Any]] = defaultdict(list)
        for way, var in zip(self.ways, self.left, strict=True):
            of[way.place].append(var)
        for arriving, var in zip(self.taking, self.come, strict=True):
            of[arriving.place].append(var)
        for variables in of.values():
            self.model.add_at_most_one(variables)

    def _as_many_come_as_leave(self) -> None:
        balance: dict[Kind, list[Any]] = defaultdict(list)
        for way, var in zip(self.ways, self.left, strict=True):
            for kind, count in Counter(self.options.kinds[piece.id] for piece in way.pieces).items():
                balance[kind].append(count * var)
        for arriving, var in zip(self.taking, self.come, strict=True):
            for kind, count in Counter(arriving.kinds).items():
                balance[kind].append(-count * var)
        for terms in balance.values():
            self.model.add(sum(terms) == 0)

    def moves(self) -> Any:
        return sum(len(way.pieces) * var for way, var in zip(self.ways, self.left, strict=True))

    def worth(self) -> Any:
        gained = [
            round(_FINE * (way.gain - MOVE_COST * len(way.pieces))) * var
            for way, var in zip(self.ways, self.left, strict=True)
        ]
        lost = [round(_FINE * a.loss) * var for a, var in zip(self.taking, self.come, strict=True)]
        return sum(gained) - sum(lost)

    def solve(self, worth: Any, seconds: float) -> Choice | None:
        if not self.ways or not self.taking:
            return None
        self.model.maximize(worth)
        solver = self.cp.CpSolver()
        solver.parameters.random_seed = 1
        solver.parameters.num_workers = 1
        solver.parameters.max_deterministic_time = _EFFORT * seconds
        solver.parameters.max_time_in_seconds = seconds
        status = solver.solve(self.model)
        if status not in (self.cp.OPTIMAL, self.cp.FEASIBLE):
            return None
        return Choice(
            [way for way, var in zip(self.ways, self.left, strict=True) if solver.boolean_value(var)],
            [column for column, var in zip(self.taking, self.come, strict=True) if solver.boolean_value(var)],
            status == self.cp.OPTIMAL,
        )


def drafted(options: Options, choice: Choice) -> Draft:
    """The choice as moves: pieces that leave go, in order, where one of their kind is taken on."""
    draft = Draft(options)
    draft.given = {way.place: way for way in choice.leaving}
    draft.taken = {a.place: tuple(zip(a.kinds, a.shares, strict=True)) for a in choice.arriving}
    free: dict[Kind, list[Piece]] = defaultdict(list)
    for way in choice.leaving:
        draft.rooms[way.place], draft.roles[way.place] = way.room, GIVES
        for piece in way.pieces:
            free[options.kinds[piece.id]].append(piece)
    for arriving in choice.arriving:
        draft.rooms[arriving.place], draft.roles[arriving.place] = arriving.room, TAKES
        for kind, shares in zip(arriving.kinds, arriving.shares, strict=True):
            piece = free[kind].pop(0)
            draft.moves.append(Move(piece.id, piece.node, arriving.place, shares))
    return draft
