"""The planner's answers, case by case. Pure: no database."""

from dataclasses import replace

import pytest

from federation.placement.plan import Planner, plan
from federation.placement.types import DeviceShare, Fleet, Miss, Placement
from tests.federation.placing import GIB, cards, device, node, one, refused, want, where


class TestSteps:
    def test_a_share_is_rounded_up_to_the_step_of_its_device_with_its_memory(self) -> None:
        outcome = one(want(1, 300), node("n", device(0, step_milli=250)))
        assert isinstance(outcome, Placement)
        assert outcome.members[0].devices == (DeviceShare(0, 500, 20 * GIB),)
        assert outcome.members[0].milli == 500

    def test_memory_that_is_asked_for_stays_as_asked(self) -> None:
        outcome = one(want(1, 300, device_memory_mib=GIB), node("n", device(0, step_milli=250)))
        assert isinstance(outcome, Placement)
        assert outcome.members[0].devices == (DeviceShare(0, 500, GIB),)

    def test_no_step_goes_beyond_the_whole(self) -> None:
        outcome = one(want(1, 950), node("n", device(0, step_milli=63)))
        assert isinstance(outcome, Placement)
        assert outcome.members[0].devices[0].milli == 1000

    def test_what_is_rounded_up_has_to_be_free(self) -> None:
        coarse, fine = device(0, free=400, step_milli=250), device(0, free=350, step_milli=50)
        assert where(one(want(1, 300), node("coarse", coarse), node("fine", fine))) == ["fine"]
        assert refused(one(want(1, 300), node("coarse", coarse))).reason == "NotEnoughFreeAccelerators"

    def test_the_node_where_least_is_left_counts_what_is_taken(self) -> None:
        coarse, fine = device(0, step_milli=500), device(0, step_milli=10)
        assert where(one(want(1, 300), node("fine", fine), node("coarse", coarse))) == ["coarse"]

    def test_quota_counts_what_is_taken(self) -> None:
        coarse, fine = device(0, step_milli=250), device(0, step_milli=50)
        short, enough = {"nvidia-a100": 400}, {"nvidia-a100": 500}
        assert refused(one(want(1, 300, flavors=short), node("coarse", coarse))).reason == "QuotaExhausted"
        assert where(one(want(1, 300, flavors=enough), node("coarse", coarse))) == ["coarse"]
        assert where(one(want(1, 300, flavors=short), node("coarse", coarse), node("fine", fine))) == ["fine"]
        pair = want(1, 300, flavors={"nvidia-a100": 900}, replicas=2)
        assert refused(one(pair, node("coarse", coarse), node("too", coarse))).reason == "QuotaExhausted"

    def test_a_device_has_so_many_holders_at_most(self) -> None:
        planner = Planner(
            Fleet((node("n", device(0, most_shares=2, held_shares=1, free=900), device(1, most_shares=1)),))
        )
        taken = [planner.place(want(1, 100, name=str(i))) for i in range(3)]
        assert [len(where(outcome)) for outcome in taken[:2]] == [1, 1]
        assert {outcome.members[0].devices[0].index for outcome in taken[:2] if isinstance(outcome, Placement)} == {
            0,
            1,
        }
        last = refused(taken[2])
        assert (last.reason, last.is_final) == ("NotEnoughFreeAccelerators", False), "one of them will leave"
        assert "0/1000" in last.nearest

    def test_a_gang_that_is_refused_gives_its_seats_back(self) -> None:
        planner = Planner(Fleet((node("n", device(0, most_shares=2)),)))
        refused(planner.place(want(1, 100, replicas=3)))
        assert where(planner.place(want(1, 100, replicas=2))) == ["n", "n"]

    def test_a_part_is_asked_for_by_its_name(self) -> None:
        part = device(1, "A100/1g.10gb", flavor="nvidia-a100-1g.10gb", can_share=False)
        both = node("n", device(0), part)
        outcome = one(want(1, models=frozenset({"A100/1g.10gb"})), both)
        assert isinstance(outcome, Placement)
        assert outcome.members[0].flavor == "nvidia-a100-1g.10gb"
        assert outcome.members[0].devices == (DeviceShare(1, 1000, 40 * GIB),)


class TestBestFit:
    def test_takes_the_node_where_the_fewest_accelerators_are_left(self) -> None:
        roomy, tight = node("roomy", *cards(8)), node("tight", *cards(8, busy=6))
        assert where(one(want(2), roomy, tight)) == ["tight"]

    def test_of_equal_nodes_the_one_with_less_cpu_left(self) -> None:
        assert where(one(want(1), node("a", *cards(2), cpu=64), node("b", *cards(2), cpu=8))) == ["b"]

    def test_of_nodes_equal_in_all_the_first_of_the_fleet(self) -> None:
        assert where(one(want(1), node("b", *cards(2)), node("a", *cards(2)))) == ["b"]

    def test_work_without_accelerators_stays_off_accelerator_nodes(self) -> None:
        outcome = one(want(0), node("gpu", *cards(8), cpu=8), node("cpu", cpu=64))
        assert where(outcome) == ["cpu"]
        assert isinstance(outcome, Placement)
        assert outcome.members[0].flavor == "cpu"
        assert outcome.members[0].devices == ()

    def test_a_share_goes_on_the_fullest_device_that_has_room(self) -> None:
        outcome = one(want(1, 300), node("n", device(0), device(1, free=400), device(2, free=250)))
        assert isinstance(outcome, Placement)
        assert outcome.members[0].devices == (DeviceShare(1, 300, 12 * GIB),)

    def test_a_share_takes_the_memory_it_asks_for(self) -> None:
        outcome = one(want(1, 300, device_memory_mib=20 * GIB), node("n", device(0), device(1, free=400)))
        assert isinstance(outcome, Placement)
        assert outcome.members[0].devices == (DeviceShare(0, 300, 20 * GIB),)  # device 1 has 16 GiB left

    def test_whole_devices_come_with_all_of_their_memory(self) -> None:
        outcome = one(want(2), node("n", *cards(4, busy=1)))
        assert isinstance(outcome, Placement)
        assert outcome.members[0].devices == (DeviceShare(1, 1000, 40 * GIB), DeviceShare(2, 1000, 40 * GIB))

    def test_all_devices_of_a_member_are_of_one_flavor(self) -> None:
        mixed = node("n", device(0, "A100"), device(1, "T4"), device(2, "T4"))
        outcome = one(want(2), mixed)
        assert isinstance(outcome, Placement)
        assert outcome.members[0].flavor == "nvidia-t4"
        assert [share.index for share in outcome.members[0].devices] == [1, 2]

    def test_of_flavors_that_would_do_the_one_with_fewest_to_spare(self) -> None:
        mixed = node("n", *(device(i, "A100") for i in range(2)), *(device(i, "T4") for i in range(2, 5)))
        outcome = one(want(2), mixed)
        assert isinstance(outcome, Placement)
        assert outcome.members[0].flavor == "nvidia-a100"

    def test_unwell_devices_are_not_counted_as_left_over(self) -> None:
        unwell = node("unwell", *cards(2), device(2, is_healthy=False), cpu=32)
        assert where(one(want(1), node("well", *cards(2), cpu=64), unwell)) == ["unwell"]

    def test_of_nodes_that_became_equal_still_the_first_of_the_fleet(self) -> None:
        first = node("first", *cards(2), cpu=11, memory=99, site="t")
        planner = Planner(Fleet((first, *(node(f"n{i}", *cards(1), cpu=10) for i in range(8)))))
        assert where(planner.place(want(1, sites=frozenset({"t"})))) == ["first"]  # now as free as the others
        assert where(planner.place(want(1))) == ["first"]

    def test_the_chosen_and_the_five_next_best_are_named(self) -> None:
        nodes = [node(f"n{i}", *cards(8, busy=i)) for i in range(8)]
        outcome = one(want(1), *nodes)
        assert isinstance(outcome, Placement)
        assert [c.node for c in outcome.best] == ["n7", "n6", "n5", "n4", "n3", "n2"]
        scores = [c.score for c in outcome.best]
        assert scores == sorted(scores, reverse=True)


class TestSpread:
    def test_takes_the_emptiest_node_and_device(self) -> None:
        nodes = node("busy", *cards(8, busy=4)), node("idle", device(0, free=500), device(1))
        outcome = one(want(1, 300), *nodes, policy="spread")
        assert where(outcome) == ["idle"]
        assert isinstance(outcome, Placement)
        assert outcome.members[0].devices[0].index == 1

    def test_spreads_a_gang(self) -> None:
        outcome = one(want(2, replicas=3), *(node(f"n{i}", *cards(8)) for i in range(3)), policy="spread")
        assert sorted(where(outcome)) == ["n0", "n1", "n2"]


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(ValueError, match="worst-fit"):
        plan([], Fleet(()), "worst-fit")


def test_capacity_is_consumed_as_the_plan_goes_on() -> None:
    fleet = Fleet((node("n", *cards(2)),))
    first, second, third = plan([want(1, name="1"), want(1, name="2"), want(1, name="3")], fleet)
    assert isinstance(first, Placement)
    assert isinstance(second, Placement)
    assert first.members[0].devices[0].index != second.members[0].devices[0].index
    assert refused(third).request == "3"


def test_a_seed_draws_another_order_of_equal_nodes_and_always_the_same() -> None:
    fleet = Fleet(tuple(node(f"n{i}", *cards(1)) for i in range(50)))
    requests = [want(1, name=str(i)) for i in range(50)]
    orders = {seed: [m for outcome in plan(requests, fleet, seed=seed) for m in where(outcome)] for seed in (0, 1, 2)}
    assert orders[0] == [f"n{i}" for i in range(50)]
    assert orders[1] != orders[2]
    assert orders[1] == [m for outcome in plan(requests, fleet, seed=1) for m in where(outcome)]


class TestGang:
    def test_gets_all_members(self) -> None:
        outcome = one(want(4, replicas=3), node("a", *cards(8)), node("b", *cards(8)))
        assert sorted(where(outcome)) in (["a", "a", "b"], ["a", "b", "b"])

    def test_or_none_and_then_holds_nothing(self) -> None:
        planner = Planner(Fleet((node("a", *cards(8, busy=2)), node("b", *cards(8)))))
        refusal = refused(planner.place(want(4, replicas=4)))
        assert refusal.reason == "NotEnoughFreeAccelerators"
        assert not refusal.is_final
        assert refusal.message == "4 members at one site wanted, each with 4 accelerators."
        assert refusal.nearest == "Best is site s with room for 3."
        assert refusal.miss == Miss("", "topology", 4, 3, "members", "s")
        assert where(planner.place(want(6))) == ["a"]  # all of it is still free
        assert where(planner.place(want(8))) == ["b"]

    def test_counts_quota_for_each_member(self) -> None:
        outcome = one(want(2, replicas=3, flavors={"nvidia-a100": 5000}), node("a", *cards(8)))
        assert refused(outcome).reason == "QuotaExhausted"
        assert where(one(want(2, replicas=2, flavors={"nvidia-a100": 5000}), node("a", *cards(8)))) == ["a", "a"]

    def test_goes_on_in_another_flavor_when_quota_for_one_is_used_up(self) -> None:
        quota = {"nvidia-a100": 2000, "nvidia-t4": 2000}
        outcome = one(want(2, replicas=2, flavors=quota), node("a", *cards(8)), node("t", *cards(8, "T4")))
        assert sorted(where(outcome)) == ["a", "t"]

    def test_larger_than_the_empty_fleet_is_final(self) -> None:
        refusal = refused(one(want(8, replicas=3), node("a", *cards(8, busy=8)), node("b", *cards(8))))
        assert (refusal.reason, refusal.is_final) == ("NeverFits", True)
        assert refusal.message == "Even empty, there is room for only 2 of 3 members at one site."


def test_a_living_plan_takes_what_is_free_now_however_often() -> None:
    nodes = [node(name, device(0, model)) for name, model in (("a", "A100"), ("b", "V100"))]
    planner = Planner(Fleet(tuple(nodes)))
    for free in range(1, 200):
        for one_ in nodes:  # made for the moment, as from rows; no sooner gone than the next is in its place
            assert planner.renew([replace(one_, devices=(replace(one_.devices[0], free_milli=free),))])
    assert refused(planner.place(want(1, 500))).miss == Miss("a", "accelerators", 500, 199, "milli")


def test_one_call_after_the_other_answers_as_a_batch_does() -> None:
    """However many devices each takes, and whatever is asked after it."""
    nodes = (node("small", *cards(4)), node("large", *cards(40)), node("none"))
    sizes = ((20, 1000), (1, 300), (3, 1000), (17, 1000), (0, 1000), (50, 1000), (1, 700), (2, 1000), (1, 1000))
    requests = [want(count, milli, name=f"r{i}") for i, (count, milli) in enumerate(sizes)]
    planner = Planner(Fleet(nodes))
    one_by_one = [planner.place(request) for request in requests]
    assert one_by_one == list(Planner(Fleet(nodes)).place_all(requests))
    assert [isinstance(outcome, Placement) for outcome in one_by_one].count(False) == 1
