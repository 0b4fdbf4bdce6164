"""Work goes where it can run: containers to engines, virtual machines to KVM hosts, leases to bare servers."""

import pytest

from federation.forms import CONTAINER, PROCESS, SERVER, VM, form_of, forms_at
from federation.models import Cluster, Node, Pool
from federation.placement.types import Miss
from federation.reconcile.snapshot import fleet_of
from tests import factories
from tests.federation.placing import cards, node, one, refused, want, where


@pytest.mark.parametrize(
    ("kind", "image", "form"),
    [("vm", "debian", VM), ("server", "", SERVER), ("training", "a:1", CONTAINER), ("batch", "", PROCESS)],
)
def test_kind_and_image_say_what_work_comes_as(kind: str, image: str, form: str) -> None:
    assert form_of(kind, image) == form


@pytest.mark.parametrize(
    ("driver", "kind", "runtimes", "forms"),
    [
        ("kubernetes", "kubernetes", "", {CONTAINER}),
        ("kvm", "kvm", "", {VM}),
        ("redfish", "baremetal", "", {SERVER}),
        ("agent", "baremetal", "", {PROCESS}),
        ("agent", "baremetal", "process", {PROCESS}),
        ("agent", "baremetal", "process,docker", {PROCESS, CONTAINER}),
        ("agent", "kvm", "", {VM}),
        ("agent", "kubernetes", "docker", {CONTAINER, PROCESS}),
        ("fake", "kvm", "", set()),
    ],
)
def test_driver_and_kind_say_what_a_node_runs(driver: str, kind: str, runtimes: str, forms: set[str]) -> None:
    assert forms_at(driver, kind, {"aquifer.io/runtimes": runtimes} if runtimes else {}) == forms


def test_where_there_is_an_image_for_it_a_program_runs_in_a_container() -> None:
    assert forms_at("kubernetes", "kubernetes", {}, "r.example/base:1") == {CONTAINER, PROCESS}
    assert forms_at("kvm", "kvm", {}, "r.example/base:1") == {VM}


def test_work_goes_to_a_node_that_runs_it() -> None:
    nodes = [
        node("k8s", *cards(1), forms=frozenset({CONTAINER})),
        node("kvm", *cards(1), forms=frozenset({VM})),
        node("any", *cards(1, busy=1)),
    ]
    for form, name in ((CONTAINER, "k8s"), (VM, "kvm")):
        assert where(one(want(1, form=form), *nodes)) == [name]
    refusal = refused(one(want(1, form=SERVER), *nodes[:2]))
    assert (refusal.reason, refusal.is_final) == ("NeverFits", True)
    assert refusal.message == "No open node runs whole servers."
    assert refusal.nearest == "Those there run containers or virtual machines."
    assert refusal.filters == {"form": 2}
    assert refusal.miss == Miss(nodes[0].id, "form", 1, 0, "form", "container")


def test_a_server_is_leased_with_all_that_it_has() -> None:
    large, small, mixed = (
        node(name, *cards(count), forms=frozenset({SERVER})) for name, count in (("a8", 8), ("b4", 4), ("c0", 0))
    )
    assert where(one(want(4, form=SERVER), large, small, mixed)) == ["b4"]
    assert where(one(want(8, form=SERVER), large, small, mixed)) == ["a8"]
    refusal = refused(one(want(2, form=SERVER), large, small, mixed))
    assert (refusal.reason, refusal.is_final) == ("NeverFits", True)
    assert refusal.message.endswith(
        "2 accelerators wanted; servers are leased whole, and no open one has just so many."
    )
    assert refusal.nearest == "Those there have 0, 4, 8 accelerators."
    assert refusal.filters == {"whole-server": 3}
    assert refusal.miss == Miss(large.id, "whole-server", 2, 8, "devices")


def test_a_sick_card_is_not_leased_and_a_busy_one_is_waited_for() -> None:
    sick = node("sick", *cards(3), *cards(1, is_healthy=False), forms=frozenset({SERVER}))
    assert where(one(want(3, form=SERVER), sick)) == ["sick"]
    busy = node("busy", *cards(4, busy=1), forms=frozenset({SERVER}))
    refusal = refused(one(want(4, form=SERVER), busy))
    assert (refusal.reason, refusal.is_final) == ("NotEnoughFreeAccelerators", False)


@pytest.mark.django_db
def test_the_fleet_says_what_its_nodes_run() -> None:
    clusters = [factories.cluster(factories.node_seen(kind), kind=kind) for kind in ("kubernetes", "kvm", "baremetal")]
    for made, driver in zip(clusters, ("kubernetes", "kvm", "agent"), strict=True):
        Cluster.objects.filter(pk=made.pk).update(driver=driver)
    Node.objects.filter(name="baremetal").update(labels={"aquifer.io/runtimes": "process,podman"})
    pool = Pool.objects.create(slug="all", name="All")
    pool.clusters.set(clusters)
    assert {node.name: set(node.forms) for node in fleet_of(pool).nodes} == {
        "kubernetes": {CONTAINER}, "kvm": {VM}, "baremetal": {PROCESS, CONTAINER},
    }  # fmt: skip
