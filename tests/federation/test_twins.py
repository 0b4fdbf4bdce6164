"""One physical card, wherever and however often it is seen, is counted and handed out at one place."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from federation.actions import sites
from federation.drivers.base import DeviceSeen, NodeSeen
from federation.models import Accelerator, AcceleratorModel, Cluster, Node
from federation.reconcile import admission, inventory
from portal.audit import SYSTEM
from tests import factories
from tests.checker import books

pytestmark = pytest.mark.django_db
FLAVOR = "nvidia-a100-80g"


def shows(kind: str, node: NodeSeen) -> Cluster:
    return factories.cluster(node, kind=kind)


def again(cluster: Cluster, *nodes: NodeSeen) -> bool:
    return inventory.store(Cluster.objects.get(pk=cluster.pk), list(nodes))


def card(cluster: Cluster) -> Accelerator:
    return Accelerator.objects.get(node__cluster=cluster, parent=None)


def one(**facts: Any) -> NodeSeen:
    """A node with the one card that all of these tests are about."""
    return factories.node_seen("card", devices=1, **facts)


def cut(whole: NodeSeen, parts: int) -> NodeSeen:
    made = tuple(
        DeviceSeen(
            i + 1, f"MIG-{i}", "nvidia", "A100-80G/1g.10gb", 9728, mode="partitioned", parent_uuid=whole.devices[0].uuid
        )
        for i in range(parts)
    )
    return replace(whole, devices=(*whole.devices, *made))


@pytest.mark.parametrize("kinds", [("kvm", "kubernetes"), ("kubernetes", "kvm")])
def test_a_card_passed_to_a_virtual_machine_counts_inside(kinds: tuple[str, str]) -> None:
    clusters = {kind: shows(kind, one()) for kind in kinds}
    inside, outside = card(clusters["kubernetes"]), card(clusters["kvm"])
    assert (inside.counted_at, outside.counted_at) == (None, inside)
    assert list(Accelerator.objects.physical()) == list(Accelerator.objects.offered()) == [inside]


def test_the_host_counts_again_once_the_machine_is_gone() -> None:
    host, guest = shows("kvm", one()), shows("kubernetes", one())
    again(guest, replace(one(), devices=()))
    assert list(Accelerator.objects.physical()) == [card(host)]
    again(guest, one())
    assert list(Accelerator.objects.physical()) == [card(guest)]
    again(guest)
    assert list(Accelerator.objects.physical()) == [card(host)], "its node is gone"


def test_every_kind_has_its_place_from_inside_out() -> None:
    kinds = ["kvm", "baremetal", "vmware", "openstack", "docker", "slurm", "kubernetes"]
    for kind in kinds:
        inside = shows(kind, one())
        assert list(Accelerator.objects.physical()) == [card(inside)]
    assert set(Accelerator.objects.exclude(counted_at=None).values_list("counted_at", flat=True)) == {card(inside).pk}


def test_of_equal_places_the_one_where_it_is_held_and_then_the_oldest() -> None:
    older, newer = shows("docker", one(each={"is_identified": False})), shows("docker", one())
    project = factories.project()
    factories.quota(project, FLAVOR)
    pool = factories.pool(newer)
    factories.workload(project, pool)
    admission.run(str(pool.pk))
    again(older, one())
    assert card(older).counted_at == card(newer), "work holds it there"
    third = shows("docker", one())
    assert card(third).counted_at == card(newer)
    again(newer)
    assert list(Accelerator.objects.physical()) == [card(older)]
    assert books.held() == []


def test_cards_that_a_site_only_counts_are_never_twins() -> None:
    for kind in ("kvm", "kubernetes"):
        shows(kind, one(each={"is_identified": False}))
    assert Accelerator.objects.physical().count() == 2


def test_a_card_in_parts_is_one_card_and_its_parts_are_what_is_offered() -> None:
    guest = shows("kubernetes", cut(one(), 3))
    host = shows("kvm", one())
    assert [row.pk for row in Accelerator.objects.physical()] == [card(guest).pk]
    assert sorted(Accelerator.objects.offered().values_list("uuid", flat=True)) == ["MIG-0", "MIG-1", "MIG-2"]
    model = AcceleratorModel.objects.get(name="A100-80G/1g.10gb")
    assert (model.flavor.name, model.flavor.unit, model.memory_mib, model.smallest_share_milli) == (
        "nvidia-a100-80g-1g.10gb", "device", 9728, 1000,
    )  # fmt: skip
    again(guest, one())
    assert list(Accelerator.objects.offered()) == [card(guest)], "no parts any more"
    assert card(host).counted_at == card(guest)


def test_parts_that_are_shown_where_their_card_does_not_count_are_not_offered() -> None:
    outside, inside = shows("baremetal", cut(one(), 2)), shows("docker", one())
    assert list(Accelerator.objects.offered()) == [card(inside)]
    again(outside, cut(one(), 3))  # one that comes later too
    assert list(Accelerator.objects.offered()) == [card(inside)]
    again(inside)
    assert Accelerator.objects.offered().count() == 3
    assert books.held() == []


def test_a_retired_cluster_counts_nothing_that_is_seen_elsewhere() -> None:
    host, guest = shows("kvm", one()), shows("kubernetes", one())
    sites.retire(by=SYSTEM, cluster=Cluster.objects.get(pk=guest.pk))
    assert list(Accelerator.objects.physical().filter(node__cluster=host)) == [card(host)]


def test_an_inventory_without_news_asks_nothing_about_twins() -> None:
    cluster = shows("kvm", one())
    with CaptureQueriesContext(
        connection,
    ) as caught:
        assert not again(cluster, one())
        assert again(cluster, one(each={"foreign_milli": 500}))
    assert not [query for query in caught if "advisory" in query["sql"]]


def test_what_others_hold_and_how_it_is_handed_out_are_kept() -> None:
    told = {
        "mode": "sliced", "step_milli": 100, "most_shares": 4, "resource": "nvidia.com/gpu", "foreign_milli": 1500,
        "foreign_memory_mib": 10,
    }  # fmt: skip
    cluster = shows("kubernetes", one(each=told, foreign_cpu_milli=500, foreign_memory_mib=20))
    row, node = card(cluster), Node.objects.get(cluster=cluster)
    kept = {name: getattr(row, name) for name in told}
    assert kept == {**told, "foreign_milli": 1000}, "more than all of it is all of it"
    assert (node.foreign_cpu_milli, node.foreign_memory_mib) == (500, 20)
    again(cluster, one())
    assert card(cluster).step_milli == 10, "as the catalogue says of the model"


IMPOSSIBLE = {
    "an unknown way of handing out": {"mode": "lent"},
    "a step beyond the whole": {"step_milli": 1001},
    "a step below nothing": {"step_milli": -1},
    "fewer than no holders": {"most_shares": -1},
    "less than nothing of others": {"foreign_milli": -1},
    "less than no memory of others": {"foreign_memory_mib": -1},
    "a part of a card that is not there": {"parent_uuid": "GPU-nobody"},
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_a_node_with_an_impossible_device_is_left_out(case: str) -> None:
    good = factories.node_seen("good")
    assert inventory.believable([one(each=IMPOSSIBLE[case]), good]) == ([good], ["card"])


def test_a_node_of_which_others_hold_less_than_nothing_is_left_out() -> None:
    assert inventory.believable([one(foreign_cpu_milli=-1)]) == ([], ["card"])
    assert inventory.believable([one(foreign_memory_mib=-1)]) == ([], ["card"])
