"""What scores are made of: parts add up, and are what plain Python says. Pure: no database."""

from math import exp, floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.placement import parts, policies
from federation.placement.mix import Mix
from federation.placement.plan import Planner, plan
from federation.placement.types import Candidate, DeviceFree, Fleet, NodeFree, Outcome, Placement, Request, SiteFacts
from tests.federation.test_placement_scores import Asked, fleets, fragmentation, request, wants

ALL = [
    *policies.POLICIES,
    "utilisation:1+waiting:0.5+money:0.25+energy:2+shedding:10",
    "fairness:1000+shedding:1000",
    "energy:1",
]


def node(name: str, site: str = "a", free: int = 8, **facts: Any) -> NodeFree:
    devices = tuple(DeviceFree(i, "T4", "T4", "", 1000 * (i < free), 9, 9, can_share=True) for i in range(8))
    values: dict[str, Any] = {"cpu_milli": 32_000, "memory_mib": 1000, "total_cpu_milli": 64_000, **facts}
    return NodeFree(name, f"{name}!", "c", site, devices=devices, **values)


def best(outcome: Outcome) -> list[Candidate]:
    assert isinstance(outcome, Placement), outcome
    return list(outcome.best)


WORK = Request("r", 4000, 1, devices=1)
FLEET = Fleet(
    (
        node("n1", "a", 3, price=2.0, carbon=400.0),
        node("n2", "a", 8, price=2.0, carbon=400.0),
        node("n3", "b", 5, price=1.0, carbon=500.0),
        node("n4", "c", 1, price=4.0, carbon=0.0),
    ),
    {"a": SiteFacts(2.0, 0.9), "b": SiteFacts(1.0, 0.1), "c": SiteFacts(1.0, 0.0)},
)
LOADS = {"a": 0.9, "b": 3 / 8, "c": 7 / 8}  # measured, or by what is held where that is more


@pytest.mark.parametrize("policy", ALL)
def test_parts_add_up_whatever_the_policy(policy: str) -> None:
    asked = [Request(str(i), 1000 * (i % 3), 1, devices=i % 4, milli=300 if i % 4 == 1 else 1000) for i in range(24)]
    outcomes = plan(asked, FLEET, policy, seed=3, mix=Mix.of(asked))
    seen = 0
    for outcome in outcomes:
        for one in outcome.best if isinstance(outcome, Placement) else ():
            assert sum(one.parts.values()) == pytest.approx(one.score, rel=1e-9, abs=1e-6)
            assert set(one.parts) <= set(parts.NAMES)
            seen += 1
    assert seen > 20


def test_a_candidate_is_named_with_its_site() -> None:
    (outcome,) = plan([WORK], FLEET)
    assert {(one.node, one.name, one.site) for one in best(outcome)} == {
        ("n1", "n1!", "a"), ("n2", "n2!", "a"), ("n3", "n3!", "b"), ("n4", "n4!", "c"),
    }  # fmt: skip


def test_money_energy_and_sites_are_what_the_weights_say_and_packing_is_what_it_is_alone() -> None:
    policy = "utilisation:1+waiting:0.5+money:0.25+energy:2+shedding:10"
    mix = Mix.of([WORK, Request("s", 1000, 1, devices=4)])
    alone = {one.node: one.parts for one in best(plan([WORK], FLEET, mix=mix)[0])}
    found = best(plan([WORK], FLEET, policy, mix=mix)[0])
    assert len(found) == 4
    for one in found:
        at = next(n for n in FLEET.nodes if n.id == one.node)
        assert one.parts["money"] == pytest.approx(-1000 * 0.25 * at.price / 4.0)
        assert one.parts["energy"] == pytest.approx(-1000 * 2 * at.carbon / 500.0)
        assert one.parts["waiting"] == pytest.approx(-1000 * 0.5 * LOADS[at.site])
        assert one.parts["shedding"] == pytest.approx(-1000 * 10 * max(LOADS[at.site] - 0.8, 0))
        for name in ("packing", "fragmentation", "fullness"):
            assert one.parts[name] == pytest.approx(alone[one.node][name], abs=1e-6)


@settings(database=None, deadline=None, max_examples=100)
@given(fleet=fleets, mixed=st.lists(wants(), min_size=1, max_size=8), asked=wants())
def test_packing_comes_apart_into_what_its_formula_says(fleet: Fleet, mixed: list[Asked], asked: Asked) -> None:
    """But for shares, which leave it to the formula on which device they are."""
    mix = Mix.of(map(request, mixed), covered=1.0)
    (outcome,) = plan([request(asked)], fleet, mix=mix)
    for one in outcome.best if isinstance(outcome, Placement) else ():
        found, at = one.parts, next(n for n in fleet.nodes if n.id == one.node)
        free = [d.free_milli for d in at.devices]
        most_milli = 1000 * max(len(n.devices) for n in fleet.nodes)
        by_cpu = 0.5 if asked.devices else 0.3
        left = by_cpu * (at.cpu_milli - asked.cpu) / 8000
        left += (1 - by_cpu) * (sum(free) - asked.devices * asked.milli) / most_milli
        assert found["fullness"] == pytest.approx(0.5 * (1 - left), abs=1e-6)
        assert found["packing"] % 64 == 0
        if asked.milli == 1000:
            taken = [i for i, r in enumerate(free) if r == 1000][: asked.devices]
            after = [r * (i not in taken) for i, r in enumerate(free)]
            model = at.devices[0].model
            fall = fragmentation(mix, model, at.cpu_milli, free)
            fall -= fragmentation(mix, model, at.cpu_milli - asked.cpu, after)
            level = 50 / (1 + exp(-fall / 1000)) - 25 + (0.5 if not asked.devices else 0)
            if abs(level - round(level)) > 1e-6:  # a difference of nothing may fall on either side of a whole point
                assert found["fragmentation"] == floor(level)


def test_parts_are_of_the_moment_of_the_decision_also_when_read_after_others() -> None:
    fleet = Fleet((node("x", "a"), node("y", "b")))
    planner = Planner(fleet, "least-loaded")
    outcomes = planner.place_all([Request(str(i), 1000, 1, devices=1) for i in range(3)])
    waits = [[one.parts["waiting"] for one in best(outcome)] for outcome in reversed(list(outcomes))][::-1]
    step = -1_000_000 / 8
    assert waits == [[0, 0], [0, pytest.approx(step)], [pytest.approx(step), pytest.approx(step)]]


def test_turns_and_weights_are_told_as_such() -> None:
    assert {"turn"} <= set(best(plan([WORK], FLEET, "round-robin")[0])[0].parts)
    assert {"hash"} <= set(best(plan([WORK], FLEET, "hash")[0])[0].parts)
    by_site = {one.site: one.parts["fairness"] for one in best(plan([WORK], FLEET, "weighted")[0])}
    assert by_site["a"] == 0 and by_site["b"] == by_site["c"] < 0, "twice the weight, and nothing given yet"


def test_a_gang_tells_of_its_first_member() -> None:
    (outcome,) = plan([Request("g", 1000, 1, devices=1, replicas=3)], FLEET, ALL[-3])
    assert isinstance(outcome, Placement)
    assert outcome.best[0].node == outcome.members[0].node
    for one in outcome.best:
        assert sum(one.parts.values()) == pytest.approx(one.score, rel=1e-9, abs=1e-6)
