"""Whatever is passed to whom, and in whatever order it comes to be known: each physical card counts once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation.drivers.base import DeviceSeen, NodeSeen
from federation.models import Accelerator, Cluster, Node
from tests import factories
from tests.checker import books
from tests.federation.nested import card, chip, counted, machine, seen, shows

pytestmark = pytest.mark.django_db
HOSTS, CARDS = ("h0", "h1"), 3
KINDS = {"kvm": "kvm", "inner": "kvm", "kube": "kubernetes", "bare": "baremetal"}
Shown = dict[str, list[NodeSeen]]


@dataclass(frozen=True)
class Machine:
    """A virtual machine: where it is, which cards of its host it has, where it shows up, and how its cards are known
    again there."""

    host: str
    cards: frozenset[int]
    place: str  # a cluster that it is a node of, or ""
    how: str


@dataclass
class World:
    """What each cluster shows, and where each physical card has to count."""

    shown: Shown = field(default_factory=lambda: {name: [] for name in KINDS})
    homes: set[tuple[str, int]] = field(default_factory=set)
    seen_in: dict[str, set[tuple[str, int]]] = field(default_factory=dict)  # by cluster: (host, number) of real cards


machines = st.builds(
    Machine,
    st.sampled_from(HOSTS),
    st.frozensets(st.integers(0, CARDS - 1)),
    st.sampled_from(["kube", "bare", "inner", ""]),
    st.sampled_from(["uuid", "serial", "place", "order"]),
)


def device(host: str, number: int, how: str, level: int, index: int) -> DeviceSeen:
    """One physical card, as it is seen at a level of its host."""
    name = f"{host}-{number}"
    if how == "uuid":
        return card(index, chip(name))
    own = chip(f"{name}-{level}") if level == 2 else f"{host}/{level}/{number}"
    serial = f"SERIAL-{host}-{number}" if how == "serial" else ""
    return card(index, own, is_identified=level == 2, serial=serial, pci=f"0000:{level}{number}:00.0")


def passed(made: DeviceSeen, to: str, how: str, level: int, number: int) -> DeviceSeen:
    place = f"0000:{level + 1}{number}:00.0" if how == "place" else ""
    return replace(made, passed_to=machine(to), guest_pci=place, foreign_milli=1000)


def world_of(given_machines: list[Machine]) -> World:
    """A card that two machines want is the first one's. A machine in `inner` hosts one more, in Kubernetes, that gets
    all its cards."""
    world = World()
    owner: dict[tuple[str, int], tuple[str, Machine]] = {}
    for position, vm in enumerate(given_machines):
        for number in vm.cards:
            owner.setdefault((vm.host, number), (f"vm{position}", vm))
    for host in HOSTS:
        cards = []
        for number in range(CARDS):
            name, vm = owner.get((host, number), ("", None))
            made = device(host, number, vm.how if vm else "order", 0, number)
            cards.append(passed(made, name, vm.how, 0, number) if vm else made)
            world.seen_in.setdefault("kvm", set()).add((host, number))
            if not vm or not vm.place:
                world.homes.add((host, number))
        names = tuple(f"vm{i}" for i, vm in enumerate(given_machines) if vm.host == host)
        world.shown["kvm"].append(seen(host, *cards, guests=names))
    for position, vm in enumerate(given_machines):
        name = f"vm{position}"
        if vm.place:
            mine = sorted(number for (_, number), (by, _) in owner.items() if by == name)
            _show(world, name, vm, mine)
    return world


def _show(world: World, name: str, vm: Machine, mine: list[int]) -> None:
    cards = [device(vm.host, number, vm.how, 1, index) for index, number in enumerate(mine)]
    world.seen_in.setdefault(vm.place, set()).update((vm.host, number) for number in mine)
    if vm.place != "inner":
        world.shown[vm.place].append(seen(name, *cards))
        world.homes |= {(name, index) for index in range(len(mine))}
        return
    inner = f"{name}-inner"
    on = [passed(made, inner, vm.how, 1, number) for made, number in zip(cards, mine, strict=True)]
    world.shown["inner"].append(seen(name, *on, guests=(inner,)))
    last = [device(vm.host, number, vm.how, 2, index) for index, number in enumerate(mine)]
    world.shown["kube"].append(seen(inner, *last))
    world.seen_in.setdefault("kube", set()).update((vm.host, number) for number in mine)
    world.homes |= {(inner, index) for index in range(len(mine))}


@contextmanager
def undone() -> Iterator[dict[str, Cluster]]:
    """Four clusters that have shown nothing, and no trace of them after it."""
    with transaction.atomic():
        made = {name: factories.cluster(kind=kind) for name, kind in KINDS.items()}
        for cluster in made.values():
            shows(cluster)
        yield made
        transaction.set_rollback(True)


calm = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
orders = st.permutations(list(KINDS))
worlds = st.lists(machines, max_size=4).map(world_of)


@calm
@given(worlds, st.lists(st.tuples(worlds, st.sampled_from(list(KINDS))), max_size=4), orders)
def test_any_history_and_any_order_ends_in_the_same_count(
    world: World, history: list[tuple[World, str]], order: list[str]
) -> None:
    with undone() as clusters:
        for past, name in history:  # whatever was told before, of worlds that do not fit each other
            shows(clusters[name], *past.shown[name])
        for name in order:
            shows(clusters[name], *world.shown[name])
        assert {*counted()} == world.homes
        assert len(counted()) == len(HOSTS) * CARDS
        assert books.held() == []


@calm
@given(worlds, orders)
def test_at_every_moment_each_card_that_was_seen_counts_once(world: World, order: list[str]) -> None:
    """Of a card whose machine is known without its host, or of an inner one without that between, nobody can say that
    it is one with the host's: those are left out."""
    with undone() as clusters:
        known: set[str] = set()
        for name in order:
            shows(clusters[name], *world.shown[name])
            known.add(name)
            if known >= {"kvm", "inner"} or len(known) == 1:
                real = {one for place in known for one in world.seen_in.get(place, ())}
                assert len(counted()) == len(real), f"after {sorted(known)}"


@calm
@given(worlds, orders)
def test_what_is_known_of_hosts_is_what_is_true(world: World, order: list[str]) -> None:
    with undone() as clusters:
        for name in order:
            shows(clusters[name], *world.shown[name])
        names = {machine(shown.name): shown.name for nodes in world.shown.values() for shown in nodes}
        true = {
            (names[guest], shown.name)
            for nodes in world.shown.values()
            for shown in nodes
            for guest in shown.guests
            if guest in names
        }
        found = Node.objects.exclude(host=None)
        assert {*found.values_list("name", "host__name")} == true
        assert {*Accelerator.objects.exclude(counted_at=None).values_list("counted_at__counted_at", flat=True)} <= {
            None
        }
