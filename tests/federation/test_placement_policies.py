"""Policies that look at sites, prices and several objectives. Pure: no database."""

from collections import Counter
from dataclasses import replace

import pytest

from federation.placement import policies, state
from federation.placement.plan import Planner, plan
from federation.placement.types import DeviceFree, Fleet, NodeFree, Placement, Request, SiteFacts


def node(name: str, site: str, cards: int = 8, busy: int = 0, price: float = 0.0, carbon: float = 0.0) -> NodeFree:
    devices = tuple(DeviceFree(i, "f", "T4", "", 0 if i < busy else 1000, 9, 9, can_share=True) for i in range(cards))
    return NodeFree(name, name, site, site, 64_000, 1000, devices, price=price, carbon=carbon)


def want(name: str = "r", devices: int = 1) -> Request:
    return Request(name, 1000, 1, devices=devices)


def sites(fleet: Fleet, policy: str, count: int) -> list[str]:
    """Where so many equal requests go."""
    of = {n.id: n.site for n in fleet.nodes}
    found = []
    for outcome in plan([want(str(i)) for i in range(count)], fleet, policy):
        assert isinstance(outcome, Placement)
        found.append(of[outcome.members[0].node])
    return found


THREE = Fleet(tuple(node(f"{site}{i}", site) for site in ("east", "north", "west") for i in range(2)))


def test_round_robin_takes_turns() -> None:
    assert sites(THREE, "round-robin", 6) == ["east", "north", "west"] * 2


def test_least_loaded_takes_the_site_with_the_lowest_load_also_when_only_its_measure_says_so() -> None:
    assert set(sites(THREE, "least-loaded", 6)) == {"east", "north", "west"}
    hot = replace(THREE, sites={"east": SiteFacts(load=0.9), "north": SiteFacts(load=0.8)})
    assert set(sites(hot, "least-loaded", 6)) == {"west"}


def test_weighted_follows_the_weights_and_nothing_goes_where_the_weight_is_nothing() -> None:
    fleet = replace(THREE, sites={"east": SiteFacts(3.0), "north": SiteFacts(1.0), "west": SiteFacts(0.0)})
    assert Counter(sites(fleet, "weighted", 8)) == {"east": 6, "north": 2}


def test_hash_sends_the_same_request_to_the_same_site_and_others_elsewhere() -> None:
    assert sites(THREE, "hash", 12) == sites(THREE, "hash", 12)
    assert len(set(sites(THREE, "hash", 12))) == 3


def test_cheapest_and_greenest_take_the_lowest_and_the_rest_when_it_is_full() -> None:
    fleet = Fleet((node("dear", "a", price=3.0, carbon=10.0), node("cheap", "b", cards=2, price=1.0, carbon=400.0)))
    assert sites(fleet, "cheapest", 3) == ["b", "b", "a"]
    assert sites(fleet, "greenest", 3) == ["a", "a", "a"]


def test_objectives_are_weighed() -> None:
    fleet = Fleet((node("tight", "a", busy=7, price=2.0), node("empty", "b", price=1.0)))
    assert sites(fleet, "utilisation:1+money:0.00001", 1) == ["a"]
    assert sites(fleet, "utilisation:0.001+money:1", 1) == ["b"]


@pytest.mark.parametrize(
    "policy", ["utilisation:0.001+waiting:1000+money:1000+energy:1000+shedding:1000", "money:1000"]
)
def test_no_weight_is_so_large_that_a_node_seems_not_to_fit(policy: str) -> None:
    full = {"a": SiteFacts(load=1.0), "b": SiteFacts(load=1.0)}
    fleet = Fleet((node("dear", "a", price=3.0, carbon=9.0), node("dirty", "b", price=2.0, carbon=90.0)), full)
    assert set(sites(fleet, policy, 16)) == {"a", "b"}


def test_a_hot_site_sheds_work_as_a_term_of_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet((node("tight", "a", busy=7), node("empty", "b")), {"a": SiteFacts(load=0.95)})
    assert sites(fleet, "packing", 1) == ["a"]
    shedding = replace(policies.POLICIES["packing"], name="shedding", shed=10.0)
    monkeypatch.setattr(policies, "POLICIES", {**policies.POLICIES, "shedding": shedding})
    assert sites(fleet, "shedding", 1) == ["b"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("worst", "No placement policy is called 'worst'"),
        ("luck:1", "No objective is called 'luck'"),
        ("money:much", "'much' is not the weight"),
        ("money:-1", "Weights are from 0"),
        ("money:0", "not all 0"),
        ("money:nan", "Weights are from 0"),
        ("waiting:1+fairness:1", "one"),
        ("money:1+money:2", "'money' is there twice"),
        ("utilisation:1+", "'' is not the weight"),
    ],
)
def test_a_policy_that_makes_no_sense_is_told(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Planner(Fleet(()), name)


def test_random_is_anywhere_and_the_same_by_seed() -> None:
    fleet = Fleet(tuple(node(f"n{i}", "s") for i in range(20)))
    one, other = ([o.members[0].node for o in plan([want(str(i)) for i in range(40)], fleet, "random", seed)
                   if isinstance(o, Placement)] for seed in (1, 1))  # fmt: skip
    assert one == other
    assert len(set(one)) > 10


def test_gpu_clustering_keeps_requests_of_one_size_together() -> None:
    fleet = Fleet((node("a", "s"), node("b", "s")))
    planner = Planner(fleet, "gpu-clustering")
    asked = [want("1", 1), want("2", 2), want("3", 1), want("4", 2)]
    placed = [outcome.members[0].node for outcome in map(planner.place, asked) if isinstance(outcome, Placement)]
    assert placed == ["a", "b", "a", "b"]


def test_many_different_wishes_take_turns_in_a_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(tuple(node(f"n{i}", "s") for i in range(9)))
    asked = [Request(str(i), 100 * (i % 23), 1, devices=1, milli=100 + 10 * (i % 7)) for i in range(300)]
    expected = [o.members[0].node for o in plan(asked, fleet, "fgd") if isinstance(o, Placement)]
    monkeypatch.setattr(state, "ROW_BYTES", 1)
    assert [o.members[0].node for o in plan(asked, fleet, "fgd") if isinstance(o, Placement)] == expected
