"""What a request says about where it goes, case by case. Pure: no database."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.placement.plan import Planner
from federation.placement.shares import Supplier, share_out
from federation.placement.types import Fleet, Miss, NodeFree, Placement, Request
from tests.federation.placing import cards, device, node, one, refused, want, where


def racks(*rooms: int, **facts: Any) -> list[NodeFree]:
    """One node a rack, with room for so many members of one device; all in one cluster."""
    return [node(f"n{i}", *cards(8, busy=8 - free), rack=f"r{i}", **facts) for i, free in enumerate(rooms)]


class TestTogether:
    def test_a_gang_is_at_one_site_unless_it_says_otherwise(self) -> None:
        halves = node("a", *cards(1), site="east"), node("b", *cards(1), site="west")
        refusal = refused(one(want(1, replicas=2), *halves))
        assert (refusal.reason, refusal.is_final) == ("NeverFits", True)
        assert sorted(where(one(want(1, replicas=2, topology="any"), *halves))) == ["a", "b"]

    def test_the_nearest_miss_is_told_in_words_and_for_programs(self) -> None:
        nodes = [node("r7a", *cards(8, busy=3), rack="r7", cluster="x"), node("r8a", *cards(8, busy=4), rack="r8")]
        refusal = refused(one(want(1, replicas=8, topology="rack"), *nodes))
        assert (refusal.reason, refusal.is_final) == ("NotEnoughTogether", False)
        assert refusal.message == "8 members on one rack wanted, each with 1 accelerator."
        assert refusal.nearest == "Best is rack r7 of cluster x with room for 5."
        assert refusal.miss == Miss("", "topology", 8, 5, "members", "s/x/r7")
        assert refusal.filters == {"topology": 2}

    def test_where_there_is_no_room_at_all_the_reason_is_what_lacks(self) -> None:
        refusal = refused(one(want(1, replicas=8, topology="rack"), *racks(3, 2)))
        assert refusal.reason == "NotEnoughFreeAccelerators"
        assert refusal.nearest == "Best is rack r0 of cluster c with room for 3."

    def test_what_no_empty_rack_holds_is_never(self) -> None:
        refusal = refused(one(want(1, replicas=9, topology="rack"), *racks(8, 8)))
        assert refusal.is_final
        assert refusal.message == "Even empty, there is room for only 8 of 9 members on one rack."

    def test_nodes_without_a_rack_or_a_network_are_on_none(self) -> None:
        bare = node("a", *cards(8))
        for topology in ("rack", "network"):
            refusal = refused(one(want(1, replicas=2, topology=topology), bare))
            assert refusal.nearest == f"No node that would do has a {topology}."
            assert refusal.miss == Miss("", "topology", 2, 0, "members")

    def test_racks_of_the_same_name_in_two_clusters_are_two(self) -> None:
        nodes = [node(name, *cards(1), rack="r1", cluster=name) for name in ("x", "y")]
        assert refused(one(want(1, replicas=2, topology="rack"), *nodes)).reason == "NeverFits"

    def test_a_network_reaches_over_clusters_but_not_over_sites(self) -> None:
        nodes = [node(n, *cards(1), network="ib", cluster=n, site=s) for n, s in (("x", "s"), ("y", "s"), ("z", "t"))]
        assert sorted(where(one(want(1, replicas=2, topology="network"), *nodes))) == ["x", "y"]
        refused(one(want(1, replicas=3, topology="network"), *nodes))

    def test_of_places_that_hold_all_the_one_with_the_best_node(self) -> None:
        # best-fit: the fullest node is best; r0 has the very best and too little room.
        assert where(one(want(1, replicas=3, topology="rack"), *racks(2, 7, 4, 5))) == ["n2"] * 3

    def test_one_place_may_be_several_nodes(self) -> None:
        nodes = [node(f"n{i}", *cards(2), rack=f"r{i // 2}") for i in range(6)]
        outcome = one(want(1, replicas=4, topology="rack"), *nodes)
        assert sorted(where(outcome)) == ["n0", "n0", "n1", "n1"]

    def test_what_is_refused_holds_nothing_and_later_work_sees_what_is_placed(self) -> None:
        planner = Planner(Fleet(tuple(racks(3, 5))))
        refused(planner.place(want(1, replicas=6, topology="rack")))
        assert where(planner.place(want(1, replicas=5, topology="node"))) == ["n1"] * 5
        assert where(planner.place(want(3))) == ["n0"]

    def test_single_work_has_nobody_to_be_together_with(self) -> None:
        assert where(one(want(1, topology="rack", spread="node"), node("a", *cards(1)))) == ["a"]


@pytest.mark.parametrize("policy", ["best-fit", "packing", "spread", "least-loaded"])
def test_members_of_a_large_gang_go_where_single_work_would_one_after_the_other(policy: str) -> None:
    nodes = tuple(node(f"n{i}", *cards(8, busy=i * 7 % 9), cpu=40 + i % 11, site=f"s{i % 3}") for i in range(400))
    singles = Planner(Fleet(nodes), policy)
    one_by_one = [where(singles.place(want(1, cpu=3)))[0] for _ in range(300)]
    assert where(Planner(Fleet(nodes), policy).place(want(1, cpu=3, replicas=300, topology="any"))) == one_by_one


class TestApart:
    def test_each_on_its_own_node(self) -> None:
        nodes = [node(f"n{i}", *cards(8)) for i in range(3)]
        assert sorted(where(one(want(1, replicas=3, spread="node"), *nodes))) == ["n0", "n1", "n2"]
        refusal = refused(one(want(1, replicas=4, spread="node"), *nodes, node("busy", *cards(8, busy=8))))
        assert (refusal.reason, refusal.is_final) == ("NotEnoughApart", False)
        assert refusal.message == "4 members at one site, no two on one node wanted, each with 1 accelerator."
        assert refusal.miss == Miss("", "spread", 4, 3, "members", "s")

    def test_each_on_its_own_rack_of_one_site(self) -> None:
        nodes = [node(f"n{i}", *cards(8), rack=f"r{i % 2}") for i in range(4)]
        assert len({name[1:] in "02" for name in where(one(want(1, replicas=2, spread="rack"), *nodes))}) == 2
        refused(one(want(1, replicas=3, spread="rack"), *nodes))

    def test_each_at_its_own_site(self) -> None:
        nodes = [node(name, *cards(8), site=name) for name in "abc"]
        assert sorted(where(one(want(1, replicas=3, topology="any", spread="site"), *nodes))) == ["a", "b", "c"]


class TestFewer:
    def test_as_many_as_fit_and_no_fewer_than_the_least(self) -> None:
        assert len(where(one(want(1, replicas=8, min_replicas=2, topology="rack"), *racks(3, 5)))) == 5
        refusal = refused(one(want(1, replicas=8, min_replicas=6, topology="rack"), *racks(3, 5)))
        assert refusal.message.startswith("At least 6 of 8 members on one rack wanted")
        assert refusal.miss == Miss("", "topology", 6, 5, "members", "s/c/r1")

    def test_quota_counts_as_room(self) -> None:
        asked = want(1, replicas=8, min_replicas=2, flavors={"nvidia-a100": 3500})
        assert where(one(asked, *racks(8, 8))) == ["n0"] * 3

    def test_all_when_all_fit_even_where_the_best_node_is_elsewhere(self) -> None:
        assert where(one(want(1, replicas=4, min_replicas=1, topology="rack"), *racks(2, 8))) == ["n1"] * 4


class TestQuotaOfSeveralFlavors:
    def test_a_member_leaves_a_flavor_to_the_one_that_has_no_other(self) -> None:
        both = node("both", device(0, "A100"), device(1, "T4"), device(2, "T4"), cpu=1)
        only = node("only", *cards(8, "A100"), cpu=9)
        quota = {"nvidia-a100": 1000, "nvidia-t4": 1000}
        assert sorted(where(one(want(1, replicas=2, flavors=quota), both, only))) == ["both", "only"]

    @settings(database=None, deadline=None, max_examples=300)
    @given(data=st.data())
    def test_the_flow_finds_the_most(self, data: st.DataObject) -> None:
        spots, kinds = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
        cells = st.lists(st.integers(0, 2), min_size=spots * kinds, max_size=spots * kinds)
        caps = np.array(data.draw(cells), np.int64).reshape(spots, kinds)
        totals = np.array(data.draw(st.lists(st.integers(0, 3), min_size=spots, max_size=spots)), np.int64)
        suppliers = [Supplier(str(k), data.draw(st.sampled_from([1, 2]))) for k in range(kinds)]
        room = {str(k): data.draw(st.integers(0, 5)) for k in range(kinds)}
        given_ = share_out(caps, totals, suppliers, room, 4)
        assert (given_ <= caps).all() and (given_ >= 0).all() and (given_.sum(1) <= totals).all()
        assert all(given_[:, k].sum() * s.cost <= room[s.flavor] for k, s in enumerate(suppliers))
        best = 0
        for flat in product(*(range(int(cap) + 1) for cap in caps.ravel())):
            x = np.array(flat).reshape(spots, kinds)
            if (x.sum(1) <= totals).all() and all(x[:, k].sum() * s.cost <= room[s.flavor]
                                                  for k, s in enumerate(suppliers)):  # fmt: skip
                best = max(best, int(x.sum()))
        assert given_.sum() == min(best, 4)


class TestNodes:
    def test_all_labels_have_to_match_and_the_nearest_miss_says_which_does_not(self) -> None:
        nodes = [node("a", labels={"zone": "z1"}), node("b", labels={"zone": "z2", "disk": "ssd"}), node("c")]
        assert where(one(want(0, labels={"zone": "z2"}), *nodes)) == ["b"]
        refusal = refused(one(want(0, labels={"zone": "z1", "disk": "ssd", "os": "x"}), *nodes))
        assert refusal.message == "No open node has disk = ssd and os = x and zone = z1."
        assert refusal.nearest == "Best is a with 1 of 3: its disk is not set."
        assert refusal.miss == Miss("a", "label", 3, 1, "labels")
        assert (refusal.filters, refusal.is_final) == ({"label": 3}, True)

    def test_labels_tell_nodes_apart_that_are_equal_in_all_else(self) -> None:
        nodes = [node(f"n{i}", *cards(2), labels={"host": f"n{i}"}) for i in range(40)]
        planner = Planner(Fleet(tuple(nodes)))
        for i in (7, 3, 7):
            assert where(planner.place(want(1, labels={"host": f"n{i}"}))) == [f"n{i}"]
        refused(planner.place(want(1, labels={"host": "n7"})))

    def test_a_network_class_is_a_label_with_a_filter_of_its_own(self) -> None:
        nodes = [node("a", labels={"aquifer.io/network-class": "roce"}), node("b")]
        assert where(one(want(0, network_class="roce"), *nodes)) == ["a"]
        refusal = refused(one(want(0, network_class="ib"), *nodes))
        assert refusal.nearest == "a has roce."
        assert refusal.miss == Miss("a", "network-class", 1, 0, "network-class", "roce")

    def test_a_region_takes_its_parts_but_not_what_only_begins_like_it(self) -> None:
        nodes = [node("sh", site="a", region="CN-SH"), node("cnx", site="b", region="CNX"), node("none", site="c")]
        assert where(one(want(0, regions=frozenset({"CN"})), *nodes)) == ["sh"]
        assert where(one(want(0, regions=frozenset({"cn-sh"})), *nodes)) == ["sh"]
        refusal = refused(one(want(0, regions=frozenset({"US", "DE"})), *nodes))
        assert (refusal.message, refusal.nearest) == ("No open node in DE or US.", "There are nodes in CN-SH or CNX.")
        assert refusal.miss is not None and refusal.miss.filter == "region"
        closed = node("us", site="u", region="US", is_open=False)
        assert not refused(one(want(0, regions=frozenset({"US"})), *nodes, closed)).is_final

    def test_a_way_of_slicing_is_of_devices(self) -> None:
        mixed = node("a", device(0, mode="exclusive"), device(1, mode="shared"))
        outcome = one(want(1, modes=frozenset({"shared"})), mixed)
        assert isinstance(outcome, Placement) and outcome.members[0].devices[0].index == 1
        refusal = refused(one(want(2, modes=frozenset({"sliced"})), mixed))
        assert (refusal.reason, refusal.filters) == ("NoMatchingModel", {"mode": 1})
        assert refusal.message == "2 accelerators wanted, handed out sliced; no open node does so."
        assert refusal.nearest == "Those there are handed out exclusive or shared."
        assert refusal.miss == Miss("a", "mode", 1, 0, "mode", "exclusive, shared")
        assert refused(one(want(2, modes=frozenset({"shared"})), mixed)).filters == {"accelerators": 1}

    @pytest.mark.parametrize("policy", ["packing", "least-loaded", "greenest", "utilisation:1+energy:500"])
    def test_a_preference_comes_before_the_policy_and_the_policy_before_the_rest(self, policy: str) -> None:
        nodes = [
            node("cheap", *cards(8), site="a", price=1.0, carbon=9.0),
            node("cheap-too", *cards(8, busy=2), site="a", price=1.0, carbon=9.0),
            node("clean", *cards(8, busy=7), site="b", price=2.0, carbon=1.0),
        ]
        assert where(one(want(1, prefer="money"), *nodes, policy=policy)) == ["cheap-too"]
        assert where(one(want(1, prefer="energy"), *nodes, policy=policy)) == ["clean"]


@pytest.mark.parametrize(
    "senseless",
    [
        want(1, replicas=3, min_replicas=4),
        want(1, replicas=3, min_replicas=-1),
        want(1, topology="planet"),
        want(1, spread="planet"),
        want(1, spread="site"),
        want(1, topology="rack", spread="rack"),
        want(1, topology="node", spread="node"),
        want(1, modes=frozenset({"diced"})),
        want(1, prefer="fame"),
        want(1, regions=frozenset({""})),
        want(1, labels={f"l{i}": "x" for i in range(101)}),
        want(1, deadline=float("nan")),
        want(1, deadline=float("inf")),
        want(1_000_000),
        want(1, replicas=1_000_000),
        Request("r", float("nan"), 1),  # type: ignore[arg-type]
        Request("r", 1, float("inf")),  # type: ignore[arg-type]
    ],
)
def test_terms_that_make_no_sense_are_the_callers_mistake(senseless: Request) -> None:
    with pytest.raises(ValueError, match="r asks"):
        one(senseless, node("a", *cards(8)))


def test_a_deadline_changes_nothing_about_where() -> None:
    nodes = racks(3, 5)
    assert one(want(1, deadline=1.0), *nodes) == one(want(1), *nodes)
