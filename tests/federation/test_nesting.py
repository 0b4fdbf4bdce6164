"""Nodes inside of nodes: linked by what both sides show, cards paired by where they are, each counted once."""

from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from federation.actions import sites
from federation.drivers.base import Health, NodeSeen
from federation.models import Accelerator, Cluster, Node
from federation.reconcile import admission, inventory
from portal.audit import SYSTEM
from portal.models import OutboxEvent
from tests import factories
from tests.checker import books
from tests.federation.estate import Estate, refused_by
from tests.federation.nested import (
    Two,
    at_guest,
    card,
    changed,
    chip,
    counted,
    guest,
    host,
    host_of,
    machine,
    node,
    pairs,
    seen,
    shows,
)

pytestmark = pytest.mark.django_db
FLAVOR = "nvidia-a100-80g"


@pytest.fixture
def two() -> Two:
    return Two.of()


# -- links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_host_first", [True, False])
@pytest.mark.parametrize("kind", ["kubernetes", "baremetal", "kvm"])
def test_a_virtual_machine_is_linked_to_its_host_whichever_is_seen_first(kind: str, is_host_first: bool) -> None:
    two = Two.of(kinds=("kvm", kind))
    looks = [(two.outside, host()), (two.inside, guest())]
    for cluster, shown in looks if is_host_first else looks[::-1]:
        shows(cluster, shown)
    assert (host_of("guest"), node("guest").depth, node("host").host, node("host").depth) == ("host", 1, None, 0)
    assert counted() == [("guest", 0), ("guest", 1)]


def test_both_ways_to_write_a_system_uuid_are_one_machine(two: Two) -> None:
    swapped = str(UUID(bytes=UUID(machine("guest")).bytes_le)).upper()
    shows(two.outside, host())
    shows(two.inside, guest(system_uuid=swapped))
    assert host_of("guest") == "host"
    assert counted() == [("guest", 0), ("guest", 1)]


@pytest.mark.parametrize("goes", ["the guest from its host", "the guest's node", "the host", "its system UUID"])
def test_a_link_ends_with_what_it_rests_on_and_comes_back(two: Two, goes: str) -> None:
    whole = [(two.outside, [host()]), (two.inside, [guest()])]
    for cluster, nodes in whole:
        shows(cluster, *nodes)
    cards_at_the_host = [("host", 0), ("host", 1)]
    cards_inside = [("guest", 0), ("guest", 1)]
    if goes == "the guest from its host":
        shows(two.outside, replace(changed(host(), passed_to="", foreign_milli=0), guests=()))
        left = cards_inside + cards_at_the_host
    elif goes == "the guest's node":
        shows(two.inside)
        left = cards_at_the_host
    elif goes == "the host":
        shows(two.outside)
        left = cards_inside
    else:
        shows(two.inside, guest(system_uuid=""))
        left = cards_inside + cards_at_the_host
    assert (host_of("guest"), node("guest").depth, pairs()) == (None, 0, [])
    assert counted() == sorted(left)
    for cluster, nodes in whole:
        shows(cluster, *nodes)
    assert (host_of("guest"), counted()) == ("host", cards_inside)


def test_machines_in_machines_in_machines(two: Two) -> None:
    middle = Two.of().outside
    shows(two.inside, guest("inner"))
    shows(two.outside, host("outer", "middle"))
    assert counted() == [("inner", 0), ("inner", 1), ("outer", 0), ("outer", 1)]
    shows(middle, host("middle", "inner"))
    assert [(n, host_of(n), node(n).depth) for n in ("inner", "middle", "outer")] == [
        ("inner", "middle", 2), ("middle", "outer", 1), ("outer", None, 0),
    ]  # fmt: skip
    assert counted() == [("inner", 0), ("inner", 1)]
    shows(two.outside)
    assert [(n, node(n).depth) for n in ("inner", "middle")] == [("inner", 1), ("middle", 0)], "the depth follows"


def test_nobody_is_inside_of_itself(two: Two) -> None:
    ring = [replace(host(name, inside), foreign_cpu_milli=0) for name, inside in (("a", "b"), ("b", "c"), ("c", "a"))]
    shows(two.outside, *ring, host("mirror", "mirror"))
    shows(two.inside, guest("hanging"))
    assert [(n, host_of(n), node(n).host_problem) for n in ("a", "b", "c", "mirror")] == [
        (name, None, "HostsInRing") for name in ("a", "b", "c", "mirror")
    ]
    both = replace(ring[0], guests=(*ring[0].guests, machine("hanging")))
    shows(two.outside, both, *ring[1:])
    assert (host_of("hanging"), node("hanging").depth, node("hanging").host_problem) == ("a", 1, "")
    shows(two.outside, both, ring[1], replace(ring[2], guests=()))
    assert [(n, host_of(n), node(n).host_problem) for n in ("a", "b", "c")] == [
        ("a", None, ""), ("b", "a", ""), ("c", "b", ""),
    ]  # fmt: skip


# -- what must not link ---------------------------------------------------------------------------------------------

NO_IDENTITY = [
    "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "Not Settable", "Not Specified", "",
    "03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009",
]  # fmt: skip


@pytest.mark.parametrize("told", NO_IDENTITY)
def test_a_placeholder_is_nobodys_system_uuid(two: Two, told: str) -> None:
    shows(two.outside, replace(changed(host(), passed_to=told), guests=(told,)))
    shows(two.inside, guest(system_uuid=told))
    assert host_of("guest") is None
    assert len(counted()) == 4
    assert node("guest").problem_with_host == ("SystemUuidIsPlaceholder" if told else "")


def test_two_nodes_that_claim_to_be_one_machine_are_both_linked_to_nobody(two: Two) -> None:
    shows(two.outside, host())
    shows(two.inside, guest())
    clones = Two.of().inside
    shows(clones, guest("clone", system_uuid=machine("guest")))
    for name in ("guest", "clone"):
        assert (host_of(name), node(name).host_problem) == (None, "SystemUuidTwice")
    assert pairs() == []
    shows(clones, guest("clone"))
    assert (host_of("guest"), node("guest").host_problem, host_of("clone")) == ("host", "", None)


@pytest.mark.parametrize("is_one_host", [True, False])
def test_a_machine_that_is_told_of_twice_is_linked_to_nobody(two: Two, is_one_host: bool) -> None:
    shows(two.inside, guest())
    if is_one_host:
        shows(two.outside, replace(host(), guests=(machine("guest"),) * 2))
    else:
        shows(two.outside, host(), host("other"))
    assert (host_of("guest"), node("guest").host_problem) == (None, "GuestOfTwoHosts")
    assert pairs() == []
    shows(two.outside, host())
    assert (host_of("guest"), node("guest").host_problem) == ("host", "")


def test_hosts_and_guests_of_a_retired_cluster_are_linked_to_nobody(two: Two) -> None:
    shows(two.outside, host())
    shows(two.inside, guest())
    sites.retire(by=SYSTEM, cluster=Cluster.objects.get(pk=two.inside.pk))
    assert (host_of("guest"), pairs()) == (None, [])
    assert list(Accelerator.objects.physical().filter(node__name="host").values_list("index", flat=True)) == [0, 1]


# -- which card is which --------------------------------------------------------------------------------------------


def test_cards_are_paired_by_their_places_in_the_guest(two: Two) -> None:
    shows(two.outside, at_guest(host(), "0000:06:00.0", "05:00.0"))
    shows(two.inside, guest())
    assert pairs() == sorted([(chip("guest-1"), "host/pci-0"), (chip("guest-0"), "host/pci-1")])


def test_without_places_by_their_order_if_there_are_as_many(two: Two) -> None:
    shows(two.outside, host(cards=3))
    shows(two.inside, guest(cards=3))
    assert pairs() == sorted((chip(f"guest-{i}"), f"host/pci-{i}") for i in range(3))


@pytest.mark.parametrize("known", [0, 1])
def test_cards_of_which_nobody_knows_which_is_which_are_told(two: Two, known: int) -> None:
    outside = host(cards=3)
    if known:
        outside = replace(
            outside, devices=(*outside.devices[:2], replace(outside.devices[2], guest_pci="0000:05:00.0"))
        )
    shows(two.outside, outside)
    shows(two.inside, guest())
    assert pairs() == ([(chip("guest-0"), "host/pci-2")] if known else [])
    assert node("guest").host_problem == "PassedCardsUnclear"
    shows(two.inside, guest(cards=3))
    assert (len(pairs()), node("guest").host_problem, len(counted())) == (3, "", 3)


def test_cards_that_say_that_they_are_two_are_not_paired_by_order(two: Two) -> None:
    outside = host(cards=1)
    itself = replace(outside.devices[0], uuid=chip("another"), is_identified=True)
    shows(two.outside, replace(outside, devices=(itself,)))
    shows(two.inside, guest(cards=1))
    assert (pairs(), node("guest").host_problem) == ([], "PassedCardsUnclear")


def test_cards_that_the_host_kept_are_its_own(two: Two) -> None:
    outside = host()
    kept = card(7, "host/pci-7", is_identified=False)
    shows(two.outside, replace(outside, devices=(*outside.devices, kept)))
    shows(two.inside, guest())
    assert counted() == [("guest", 0), ("guest", 1), ("host", 7)]


def test_one_serial_of_one_maker_is_one_card_wherever_it_is_seen(two: Two) -> None:
    shows(two.outside, seen("host", card(0, "pci-0", is_identified=False, serial="1650422007")))
    shows(two.inside, seen("guest", card(0, chip("a"), serial=" 1650422007 ")))
    assert (host_of("guest"), counted()) == (None, [("guest", 0)])
    shows(two.inside, seen("guest", card(0, chip("a"))))
    assert len(counted()) == 2


@pytest.mark.parametrize(
    "told", ["", "N/A", "Not Specified", "0000000000", "To Be Filled By O.E.M.", "[Not Supported]"]
)
def test_a_placeholder_is_nobodys_serial(two: Two, told: str) -> None:
    for cluster, name in ((two.outside, "host"), (two.inside, "guest")):
        shows(cluster, seen(name, card(0, f"{name}-0", is_identified=False, serial=told)))
    assert len(counted()) == 2


def test_a_board_of_two_chips_is_two_cards(two: Two) -> None:
    """On one node, and with each chip given to another guest."""
    chips = [card(i, chip(f"chip-{i}"), serial="BOARD-77") for i in range(2)]
    shows(two.inside, seen("one", chips[0]), seen("two", chips[1]))
    assert counted() == [("one", 0), ("two", 1)]
    shows(two.outside, seen("host", *(card(i, f"pci-{i}", is_identified=False, serial="BOARD-77") for i in range(2))))
    assert len(counted()) == 4, "nothing tells which is which"
    other = Two.of().inside
    shows(other, seen("three", card(0, "who", is_identified=False, serial="BOARD-77")))
    assert len(counted()) == 5


def test_a_board_of_two_chips_that_was_passed_on_is_two_cards_still(two: Two) -> None:
    shows(two.outside, changed(at_guest(host(), "0000:05:00.0", "0000:06:00.0"), serial="BOARD-77"))
    shows(two.inside, changed(guest(), serial="BOARD-77", is_identified=False))
    assert counted() == [("guest", 0), ("guest", 1)]


def test_who_sees_the_card_of_a_host_later_finds_it_where_it_counts(two: Two) -> None:
    """An agent on the host itself: it has nothing to do with the guest, and the card is one all the same."""
    named = host(cards=1)
    shows(two.outside, replace(named, devices=(replace(named.devices[0], uuid="BOARD-1", is_identified=True),)))
    shows(two.inside, guest(cards=1))
    shows(Two.of(kinds=("kvm", "baremetal")).inside, seen("agent", card(0, "BOARD-1")))
    assert counted() == [("guest", 0)]


def test_what_would_make_two_cards_of_a_node_one_is_not_believed(two: Two) -> None:
    """By its serial the guest's first card is the host's first, and that is, by UUID, another of the guest."""
    mixed = card(0, chip("b"), serial="S-1001")
    shows(two.outside, seen("host", mixed))
    shows(two.inside, seen("guest", card(0, "x", serial="S-1001"), card(1, chip("b"))))
    assert counted() == [("guest", 0), ("guest", 1)]


def test_of_two_levels_of_one_kind_the_inner_counts(two: Two) -> None:
    inner = Two.of(kinds=("kubernetes", "kvm"))
    shows(inner.outside, host("kube", "inner"))  # a Kubernetes node with virtual machines
    shows(inner.inside, guest("inner"))
    assert counted() == [("inner", 0), ("inner", 1)]


# -- with work on it ------------------------------------------------------------------------------------------------


def admitted(cluster: Cluster, accelerators: int = 1) -> Any:
    project = factories.project()
    factories.quota(project, FLAVOR)
    pool = factories.pool(cluster)
    work = factories.workload(project, pool, accelerators=accelerators)
    admission.run(str(pool.pk))
    return work.allocations.first()


def test_a_machine_of_ours_that_becomes_a_node_gives_its_cards_to_work_inside(two: Two) -> None:
    """The grant of the machine stays what it was; beside it nobody gets the cards at the host."""
    free = changed(host(), passed_to="", foreign_milli=0)
    shows(two.outside, replace(free, guests=()))
    held = admitted(two.outside, 2)
    assert held is not None
    shows(two.outside, changed(host(), foreign_milli=0))
    shows(two.inside, guest())
    assert counted() == [("guest", 0), ("guest", 1)]
    inside = admitted(two.inside, 2)
    assert inside is not None
    assert {share.accelerator.node.name for share in inside.shares.all()} == {"guest"}
    assert admitted(two.outside) is None
    assert books.held() == []


def test_the_database_gives_a_card_that_was_passed_on_to_nobody_at_the_host(estate: Estate) -> None:
    vm = machine("guest")
    shown = factories.node_seen("one", devices=2, cpu_milli=10_000, memory_mib=10_240, each={"passed_to": vm})
    allocation = estate.reserve()
    shows(estate.cluster, replace(changed(shown, is_identified=False), guests=(vm,)), factories.node_seen("two"))
    shows(Two.of(kinds=("kvm", "baremetal")).inside, guest())
    assert estate.device().counted_at is not None
    assert refused_by(lambda: estate.share(allocation)) == "card_counted_once"


@pytest.mark.parametrize("stays", ["work inside", "work at the host"])
def test_cards_come_back_to_the_host_while_work_is_held(two: Two, stays: str) -> None:
    if stays == "work inside":
        shows(two.outside, host())
        shows(two.inside, guest())
        assert admitted(two.inside, 2) is not None
    else:
        shows(two.outside, replace(changed(host(), passed_to="", foreign_milli=0), guests=()))
        assert admitted(two.outside, 2) is not None
        shows(two.outside, changed(host(), foreign_milli=0))
        shows(two.inside, guest())
    shows(two.inside)
    shows(two.outside, replace(changed(host(), passed_to="", foreign_milli=0), guests=()))
    assert counted() == [("host", 0), ("host", 1)]
    assert books.held() == []
    if stays == "work at the host":
        assert admitted(two.outside) is None, "its own work holds them still"
        assert books.held() == []


# -- what it costs, and who hears of it -----------------------------------------------------------------------------


def asked_of(cluster: Cluster, nodes: list[NodeSeen]) -> Counter[str]:
    """The statements of one look, by how they begin."""
    with CaptureQueriesContext(
        connection,
    ) as told:
        assert shows(cluster, *nodes)
    return Counter(text[:60] for query in told if "SAVEPOINT" not in (text := str(query["sql"])))


def test_statements_do_not_grow_with_the_nodes() -> None:
    def asked(size: int) -> list[Counter[str]]:
        two = Two.of()
        names = [(f"host-{size}-{i}", f"guest-{size}-{i}") for i in range(size)]
        outside, inside = [host(*pair) for pair in names], [guest(name) for _, name in names]
        found = [asked_of(two.outside, outside), asked_of(two.inside, inside)]
        found.append(asked_of(two.outside, [changed(replace(node, guests=()), passed_to="") for node in outside]))
        found.append(asked_of(two.outside, outside))
        assert Node.objects.filter(cluster=two.inside).exclude(host=None).count() == size
        return found

    asked(2)  # makes the rows of the model
    few, many = asked(3), asked(30)
    assert [[*(there - here)] for here, there in zip(few, many, strict=True)] == [[]] * 4
    assert max(sum(each.values()) for each in many) <= 45


def test_a_look_without_news_of_machines_asks_nothing_about_them(two: Two) -> None:
    shows(two.outside, host())
    shows(two.inside, guest())
    with CaptureQueriesContext(
        connection,
    ) as told:
        shows(two.inside, guest(labels={"zone": "b"}))
        shows(two.outside, changed(host(), health=Health.UNHEALTHY))
    assert not [q for q in told if "advisory" in q["sql"]]


def test_both_sides_hear_of_a_new_link(two: Two) -> None:
    shows(two.outside, host())
    OutboxEvent.objects.all().delete()
    shows(two.inside, guest())
    told = {*OutboxEvent.objects.values_list("topic", "object_id", "tenant_id")}
    assert ("node", node("guest").pk, None) in told
    assert ("inventory", two.inside.pk, None) in told
    assert ("inventory", two.outside.pk, None) in told, "its cards count elsewhere now"


def test_more_guests_than_can_be_are_not_believed() -> None:
    crowd = replace(host(), guests=tuple(machine(str(i)) for i in range(5000)))
    assert inventory.believable([crowd]) == ([], ["host"])
