"""Plans of moves: running work that may be moved, put together so that what is free can be used.

Nothing is moved here. A plan is found in two ways, step by step and by a solver, and measured by placing what waits on
the fleet as it would be; the better one is told. See docs/defragmentation.md.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from federation.placement.mix import Mix
from federation.placement.moving.pieces import Aim, Move, MovePlan, Piece, Shape, Standing
from federation.placement.moving.steps import carried_out
from federation.placement.types import Fleet, NodeFree, Placement, Request

if TYPE_CHECKING:
    from federation.placement.moving.drafts import Draft
    from federation.placement.moving.options import Options
    from federation.placement.moving.rooms import Rooms

Admit = Callable[[Fleet], Sequence[Placement]]  # who of those that wait would be placed on a fleet, and where

__all__ = [
    "Admit", "Aim", "Move", "MovePlan", "Piece", "Question", "Shape", "Standing", "carried_out", "plan",
    "with_placements",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """`pieces` run on the fleet, whose free amounts are without them. `waiting` is the queue in its order, `mix` what
    is likely to be asked. `seconds` bound the solver's effort; 0: only step by step."""

    fleet: Fleet
    pieces: Sequence[Piece]
    most_moves: int
    waiting: Sequence[Request] = ()
    mix: Mix = field(default_factory=Mix)
    aim: Aim = Aim.MIX
    seconds: float = 5.0


def plan(question: Question, admit: Admit | None = None) -> MovePlan:
    """The better of both ways. `admit` places those that wait as the caller's admission does (quota counts there);
    without it they are placed one after the other by the default policy.

    The same question has the same answer, as long as the machine is not so busy that the clock ends the search.
    """
    return _Search(question, admit or _admit(question)).plan()


class _Search:
    def __init__(self, question: Question, admit: Admit) -> None:
        self.question, self.admit = question, admit
        self.obstacles = Counter(piece.obstacle for piece in question.pieces if piece.obstacle)

    def plan(self) -> MovePlan:
        # Here, not above: numba comes with it, which only processes that plan should wait for.
        from federation.placement.moving.rooms import Rooms

        question = self.question
        placements = list(self.admit(question.fleet)) if question.waiting else []
        rooms = Rooms(question.fleet, question.mix)
        before = standing(question.fleet, rooms, frozenset(p.request for p in placements))
        nothing = MovePlan((), before, before, obstacles=dict(self.obstacles))
        if question.most_moves < 1 or all(piece.obstacle for piece in question.pieces):
            return nothing
        if question.aim is Aim.WAITING:
            # What fits now goes where it goes: room for it is not to be taken away, and moves are for the others.
            rooms = Rooms(with_placements(question.fleet, placements, question.waiting), question.mix)
        found = [nothing]
        for by, draft, is_best in self._drafts(rooms, before.placed):
            found.append(self._measured(replace(nothing, by=by, is_best=is_best), draft.in_order()))
        # Of equal plans the earlier: nothing, then step by step.
        best = max(found, key=self.worth)
        is_best = any(each.is_best and self.worth(each) >= self.worth(best) for each in found)
        best = replace(best, is_best=is_best)
        return self._shortened(best) if question.aim is Aim.WAITING else best

    def worth(self, plan: MovePlan) -> float:
        return worth(plan, self.question)

    def _measured(self, plan: MovePlan, moves: tuple[Move, ...]) -> MovePlan:
        """With these moves, and what is then free."""
        from federation.placement.moving.rooms import Rooms

        question = self.question
        after = carried_out(question.fleet, question.pieces, moves)
        placed = frozenset(p.request for p in self.admit(after)) if question.waiting else frozenset()
        return replace(plan, moves=moves, after=standing(after, Rooms(after, question.mix), placed))

    def _shortened(self, plan: MovePlan) -> MovePlan:
        """With as few nodes that give, from the first on, as place as many."""
        sources = list(dict.fromkeys(move.source for move in plan.moves))
        few, many = 0, len(sources)
        while few < many:
            half = (few + many) // 2
            kept = set(sources[:half])
            tried = self._measured(plan, tuple(move for move in plan.moves if move.source in kept))
            if self.worth(tried) > self.worth(plan):
                plan, many = replace(tried, is_best=False), half
            else:
                few = half + 1
        return plan

    def _drafts(self, rooms: "Rooms", placed: frozenset[str]) -> "Iterator[tuple[str, Draft, bool]]":
        from federation.placement.moving.options import Options
        from federation.placement.moving.rooms import Rooms

        question = self.question
        if question.aim is Aim.MIX:
            yield from _by_mix(Options(rooms, question.pieces, question.most_moves), question.seconds)
            return
        still = [request for request in question.waiting if request.id not in placed]
        if still:
            yield from _by_waiting(Options(rooms, question.pieces, question.most_moves), still, question.seconds / 2)
            # As if what waits were the mix: it serves many alike that no single node stands in the way of.
            rooms = Rooms(Fleet(tuple(place.node for place in rooms.places.values())), Mix.of(still, covered=1.0))
            yield from _by_mix(Options(rooms, question.pieces, question.most_moves), question.seconds / 2, False)


def _by_waiting(options: "Options", still: Sequence[Request], seconds: float) -> "Iterator[tuple[str, Draft, bool]]":
    from federation.placement.moving import drafts, solver
    from federation.placement.moving.wanted import clearings, wanted_of

    wanted = wanted_of(still)
    ways = clearings(options, wanted)
    first = drafts.by_waiting(drafts.Draft(options), wanted, ways)
    yield "greedy", first, False
    if seconds and (choice := solver.by_waiting(first, wanted, ways, seconds)) is not None:
        # Of gangs the solver knows nothing.
        yield "solver", solver.drafted(options, choice), choice.is_best and all(r.replicas == 1 for r in still)


def _by_mix(options: "Options", seconds: float, may_prove: bool = True) -> "Iterator[tuple[str, Draft, bool]]":
    from federation.placement.moving import drafts, solver
    from federation.placement.moving.options import most_promising

    ways = most_promising(options)
    first = drafts.by_mix(drafts.Draft(options), ways)
    yield "greedy", first, False
    if seconds and (choice := solver.by_mix(first, ways, seconds)) is not None:
        # What nodes could take beyond what the solver looked at.
        yield "solver", drafts.by_mix(solver.drafted(options, choice), ways), choice.is_best and may_prove


def worth(plan: MovePlan, question: Question) -> float:
    """What plans are compared by, in 1/1000 of devices."""
    from federation.placement.moving.drafts import MOVE_COST
    from federation.placement.moving.solver import REQUEST_WORTH

    if question.aim is Aim.MIX:
        return plan.before.lost_milli - plan.after.lost_milli - MOVE_COST * len(plan.moves)
    milli = {r.id: r.devices * r.milli * r.replicas for r in question.waiting}
    return sum(REQUEST_WORTH + milli[r] for r in plan.after.placed) - 1000.0 * len(plan.moves)


def standing(fleet: Fleet, rooms: "Rooms", placed: frozenset[str]) -> Standing:
    """Of the open nodes."""
    shapes: dict[str, list[int]] = {}
    milli, lost = 0, 0.0
    for node in fleet.nodes:
        if not node.is_open or not node.devices:
            continue
        place = rooms.places[node.id]
        free = place.room.free
        milli += sum(free)
        lost += rooms.waste.of(place, place.room)
        one = shapes.setdefault(shape_of(node), [0, 0, 0])
        one[0] += 1
        one[1] += free.count(1000)
        one[2] += free.count(1000) == len(free)
    found = tuple(Shape(name, *numbers) for name, numbers in sorted(shapes.items()))
    return Standing(found, milli, lost, placed)


def shape_of(node: NodeFree) -> str:
    """Its devices in words: `8 x A100-80G`."""
    counts = Counter(device.model for device in node.devices)
    return " + ".join(f"{count} x {model}" for model, count in sorted(counts.items()))


def _admit(question: Question) -> Admit:
    def admit(fleet: Fleet) -> Sequence[Placement]:
        from federation.placement.plan import Planner

        outcomes = Planner(fleet, mix=question.mix).place_all(question.waiting)
        return [outcome for outcome in outcomes if isinstance(outcome, Placement)]

    return admit


def with_placements(fleet: Fleet, placements: Sequence[Placement], waiting: Sequence[Request]) -> Fleet:
    """The fleet with these on it."""
    by_id = {request.id: request for request in waiting}
    nodes = {node.id: node for node in fleet.nodes}
    for placement in placements:
        request = by_id[placement.request]
        for member in placement.members:
            node, held = nodes[member.node], {share.index: share for share in member.devices}
            nodes[member.node] = replace(
                node,
                cpu_milli=node.cpu_milli - request.cpu_milli,
                memory_mib=node.memory_mib - request.memory_mib,
                devices=tuple(
                    replace(
                        d,
                        free_milli=d.free_milli - held[d.index].milli,
                        free_memory_mib=d.free_memory_mib - held[d.index].memory_mib,
                        held_shares=d.held_shares + 1,
                    )
                    if d.index in held
                    else d
                    for d in node.devices
                ),
            )
    return Fleet(tuple(nodes[node.id] for node in fleet.nodes), fleet.sites)
