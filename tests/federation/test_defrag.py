"""Plans of moves: each step fits, nothing moves that may not, what is claimed is there, and none is better."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from federation.placement.defrag import Aim, Move, MovePlan, Piece, Question, carried_out, plan, worth
from federation.placement.mix import Mix
from federation.placement.plan import Planner
from federation.placement.types import DeviceShare, Fleet, Placement, Request
from tests.federation.moving import drawn, every_plan, loaded, lost, piece
from tests.federation.placing import cards, device, node, want

calm = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WISHES = [(1, 1000, 2), (1, 500, 1), (1, 300, 4), (1, 700, 2), (2, 1000, 2), (0, 1000, 3), (4, 1000, 8)]
wishes = st.lists(st.sampled_from(WISHES), min_size=1, max_size=14)
MIX = Mix.of([want(1), want(1, 500), want(2), want(4, cpu=4), want(1, 300)])


def requests(drawn_wishes: list[tuple[int, int, int]], name: str = "p") -> list[Request]:
    return [want(devices, milli, cpu, name=f"{name}{i}") for i, (devices, milli, cpu) in enumerate(drawn_wishes)]


def two_halves() -> tuple[Fleet, list[Piece]]:
    """Two cards on two nodes, half of each in use."""
    pieces = [piece("a", "left", 0, milli=500), piece("b", "right", 0, milli=500)]
    return loaded([node("left", *cards(1)), node("right", *cards(1))], pieces), pieces


def asked(fleet: Fleet, pieces: list[Piece], most: int = 4, **more: Any) -> MovePlan:
    return plan(Question(fleet, pieces, most, **{"mix": MIX, "seconds": 1.0, **more}))


def placed_on(fleet: Fleet, waiting: list[Request]) -> set[str]:
    outcomes = Planner(fleet, mix=MIX).place_all(waiting)
    return {outcome.request for outcome in outcomes if isinstance(outcome, Placement)}


# -- by hand ------------------------------------------------------------------------------------------


def test_two_halves_become_a_whole() -> None:
    fleet, pieces = two_halves()
    found = asked(fleet, pieces)
    assert found.moves == (Move("a", "left", "right", (DeviceShare(0, 500, 20 * 1024),)),)
    assert (found.before.free_devices, found.after.free_devices) == (0, 1)
    (shape,) = found.after.shapes
    assert (shape.name, shape.nodes, shape.free_devices, shape.free_nodes) == ("1 x A100", 2, 1, 1)
    # Of five classes three had no use for two halves, two have none for a whole.
    assert (found.before.lost_milli, found.after.lost_milli) == (600.0, 400.0)


def test_what_waits_gets_a_place() -> None:
    fleet, pieces = two_halves()
    found = asked(fleet, pieces, aim=Aim.WAITING, waiting=[want(1, name="w")], mix=Mix())
    assert len(found.moves) == 1 and found.before.placed == frozenset() and found.after.placed == {"w"}


def test_members_of_a_gang_that_waits_get_places_together() -> None:
    names = ["a", "b", "c", "d"]
    pieces = [piece(name, name, 0, milli=500) for name in names]
    fleet = loaded([node(name, *cards(1)) for name in names], pieces)
    found = asked(fleet, pieces, aim=Aim.WAITING, waiting=[want(1, name="w", replicas=2)])
    assert found.after.placed == {"w"} and len(found.moves) == 2
    assert not asked(fleet, pieces, most=1, aim=Aim.WAITING, waiting=[want(1, name="w", replicas=2)]).moves


def test_nothing_is_moved_for_nothing() -> None:
    fleet, pieces = two_halves()
    assert asked(fleet, pieces, aim=Aim.WAITING, waiting=[want(1, 400, name="w")]).moves == ()  # it fits as things are
    assert asked(fleet, pieces, aim=Aim.WAITING, waiting=[want(2, name="w")]).moves == ()  # it never fits
    assert asked(fleet, pieces, aim=Aim.WAITING, waiting=[want(1, name="w", flavors={})]).moves == ()  # no quota
    assert asked(fleet, pieces, most=0).moves == ()
    assert asked(fleet, []).moves == ()


def test_what_must_stay_stays_and_is_counted() -> None:
    fleet, (one, other) = two_halves()
    gang = replace(other, request=replace(other.request, replicas=2))
    found = asked(fleet, [replace(one, is_movable=False), gang])
    assert found.moves == () and found.obstacles == {"not-movable": 1, "gang": 1}
    assert [m.piece for m in asked(fleet, [replace(one, is_movable=False), other]).moves] == ["b"]


@pytest.mark.parametrize(
    "right",
    [
        node("right", device(0, "H100"), site="s"),
        node("right", device(0), site="elsewhere"),
        node("right", device(0), is_open=False),
        node("right", device(0, is_healthy=False)),
        node("right", device(0, step_milli=600)),
        node("right", device(0, can_share=False)),
        node("right", device(0), cluster="other"),
        node("right", device(0), cpu=0),
        node("right", device(0), memory=0),
        node("right", device(0, most_shares=1, held_shares=1)),
        node("right", device(0, free_memory_mib=1024)),
    ],
    ids=lambda one: "",
)
def test_it_goes_only_where_it_may(right: Any) -> None:
    mine = replace(piece("a", "left", 0, milli=500), is_bound=True)
    mine = replace(mine, request=replace(mine.request, sites=frozenset({"s"})))
    right = replace(right, devices=(replace(right.devices[0], free_milli=500),))
    fleet = Fleet((*loaded([node("left", *cards(1))], [mine]).nodes, right))
    assert asked(fleet, [mine]).moves == ()
    with pytest.raises(ValueError, match="a "):
        carried_out(fleet, [mine], [Move("a", "left", "right", (DeviceShare(0, 500, 20 * 1024),))])


@pytest.mark.parametrize(
    ("terms", "good", "bad"),
    [
        ({"regions": frozenset({"CN"})}, {"region": "CN-SH"}, {"region": "DE"}),
        ({"labels": {"disk": "fast"}}, {"labels": {"disk": "fast", "more": "1"}}, {"labels": {"disk": "slow"}}),
        ({"network_class": "ib"}, {"labels": {"aquifer.io/network-class": "ib"}}, {}),
        ({"modes": frozenset({"exclusive"})}, {}, {"mode": "shared"}),
    ],
    ids=["region", "label", "network", "mode"],
)
def test_it_goes_only_where_its_terms_are_met(terms: Any, good: Any, bad: Any) -> None:
    mine = piece("a", "left", 0, milli=500)
    mine = replace(mine, request=replace(mine.request, **terms))
    left = loaded([node("left", *cards(1), **good)], [mine]).nodes[0]
    for facts, count in ((good, 1), (bad, 0)):
        more = {name: value for name, value in facts.items() if name != "mode"}
        right = node("right", device(0, free=500, mode=facts.get("mode", "exclusive")), **more)
        fleet = Fleet((left, right))
        assert len(asked(fleet, [mine]).moves) == count
    with pytest.raises(ValueError, match="a may not go"):
        carried_out(fleet, [mine], [Move("a", "left", "right", (DeviceShare(0, 500, 20 * 1024),))])


def test_it_does_not_go_where_it_would_hold_more() -> None:
    """Three tenths of a card whose parts are of four tenths: quota and bill would count four."""
    mine = piece("a", "left", 0, milli=300)
    coarse = node("right", device(0, free=500, step_milli=400))
    fleet = Fleet((*loaded([node("left", *cards(1))], [mine]).nodes, coarse))
    assert asked(fleet, [mine]).moves == ()
    fine = replace(coarse, devices=(replace(coarse.devices[0], step_milli=100),))
    assert len(asked(replace(fleet, nodes=(fleet.nodes[0], fine)), [mine]).moves) == 1


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_no_node_both_gives_and_takes(seconds: float) -> None:
    pieces = [
        piece("a", "left", 0, milli=300), piece("stays", "left", 1, milli=500, movable=False),
        piece("full", "middle", 0, milli=700, movable=False), piece("c", "right", 0, milli=500),
    ]  # fmt: skip
    fleet = loaded([node("left", *cards(2)), node("middle", *cards(1)), node("right", *cards(1))], pieces)
    found = asked(fleet, pieces, seconds=seconds)
    # Either makes room for a whole card; for both, left would have to give and to take.
    assert [(m.piece, m.target) for m in found.moves] in ([("a", "middle")], [("c", "left")])


def test_cores_count_on_both_sides() -> None:
    """A node whose cores are gone has cards that nobody can use, until what takes the cores goes."""
    pieces = [piece("hog", "left", cpu=63)]
    fleet = loaded([node("left", *cards(4)), node("right", cpu=64)], pieces)
    found = asked(fleet, pieces, aim=Aim.WAITING, waiting=[want(4, cpu=8, name="w")])
    assert [(m.piece, m.target, m.devices) for m in found.moves] == [("hog", "right", ())]
    assert found.after.placed == {"w"}


# -- whatever the fleet --------------------------------------------------------------------------------


@calm
@given(
    st.integers(0, 999), st.lists(st.integers(1, 4), min_size=2, max_size=5), wishes, wishes, st.integers(1, 6),
    st.sampled_from(Aim), st.sampled_from([0.3, 1.0]),
)  # fmt: skip
def test_each_step_fits_and_what_is_claimed_is_there(
    seed: int, sizes: list[int], run: list[Any], wait: list[Any], most: int, aim: Aim, movable: float
) -> None:
    fleet, pieces = drawn(seed, sizes, requests(run), movable)
    waiting = requests(wait, "w")
    question = Question(fleet, pieces, most, waiting, MIX, aim, seconds=0.5)
    found = plan(question)
    assert len(found.moves) <= most and len({m.piece for m in found.moves}) == len(found.moves)
    may = {p.id for p in pieces if p.is_movable}
    assert {m.piece for m in found.moves} <= may
    assert {m.source for m in found.moves}.isdisjoint({m.target for m in found.moves})
    now = fleet  # one after the other, and in any other order
    for move in found.moves:
        now = carried_out(now, pieces, [move])
    assert now == carried_out(fleet, pieces, found.moves[::-1])
    assert found.after.free_devices == sum(d.free_milli == 1000 for n in now.nodes for d in n.devices)
    assert found.after.free_milli == found.before.free_milli, "what runs holds as much as before"
    assert found.before.placed == placed_on(fleet, waiting) and found.after.placed == placed_on(now, waiting)
    assert found.before.lost_milli == pytest.approx(lost(fleet, MIX))
    assert found.after.lost_milli == pytest.approx(lost(now, MIX))
    assert plan(question) == found, "the same question has the same answer"
    greedy = plan(replace(question, seconds=0.0))
    assert worth(found, question) >= worth(greedy, question) >= worth(replace(found, moves=(), after=found.before),
                                                                      question)  # fmt: skip


@calm
@given(st.integers(0, 999), st.lists(st.integers(1, 2), min_size=2, max_size=3), wishes.map(lambda w: w[:5]),
       st.integers(1, 3))  # fmt: skip
def test_no_other_plan_leaves_less_fragmentation(seed: int, sizes: list[int], run: list[Any], most: int) -> None:
    fleet, pieces = drawn(seed, sizes, requests(run))
    question = Question(fleet, pieces, most, mix=MIX, seconds=2.0)
    before = lost(fleet, MIX)
    best = max(before - lost(after, MIX) - 50 * len(moves) for moves, after in every_plan(fleet, pieces, most))
    assert worth(plan(question), question) == pytest.approx(best, abs=1.0)


@calm
@given(st.integers(0, 999), st.lists(st.integers(1, 2), min_size=2, max_size=3), wishes.map(lambda w: w[:5]),
       st.integers(1, 3), st.sampled_from([(1, 1000, 2), (2, 1000, 2), (1, 500, 1)]))  # fmt: skip
def test_no_other_plan_places_more_of_what_waits(
    seed: int, sizes: list[int], run: list[Any], most: int, wish: tuple[int, int, int]
) -> None:
    fleet, pieces = drawn(seed, sizes, requests(run))
    waiting = requests([wish] * 3, "w")
    assume(pieces and not placed_on(fleet, waiting))
    found = plan(Question(fleet, pieces, most, waiting, MIX, Aim.WAITING, seconds=2.0))
    best = max(
        (len(placed_on(after, waiting)), -len(moves)) for moves, after in every_plan(fleet, pieces, most)
    )  # fmt: skip
    assert (len(found.after.placed), -len(found.moves)) == best


def test_the_solver_finds_what_the_greedy_way_does_not() -> None:
    """Over many small fleets, and never the other way round."""
    better = 0
    for seed in range(40):
        run = [WISHES[(seed * 7 + i * i) % 5] for i in range(10)]
        fleet, pieces = drawn(seed, [2, 2, 3, 2], requests(run))
        question = Question(fleet, pieces, 3, mix=MIX, seconds=1.0)
        solved, greedy = plan(question), plan(replace(question, seconds=0.0))
        assert worth(solved, question) >= worth(greedy, question)
        better += solved.by == "solver"
        assert (solved.is_best or not solved.moves) and not greedy.is_best, "so small a question is settled"
    assert better >= 3
