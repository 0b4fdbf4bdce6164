"""Nodes that are virtual machines on other nodes: found out from what both sides show, whichever is seen first.

A host names the system UUIDs of its guests, a guest tells its own. What firmware says is not always true, so two that
claim the same are linked to nobody, and `host_problem` says why. Of linked nodes the host tells which cards it passed
on; by that a card of the guest is known to be one of the host's (`passed_from`) where neither UUID nor serial tell.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from federation.drivers.identities import forms_of, is_of_the_chip, machine_of
from federation.models import Accelerator, AcceleratorModel, Cluster, Node
from federation.reconcile import twins
from federation.states import ClusterState, NodeState
from portal import bulk, events

SHARED_UUID = "SystemUuidTwice"  # two nodes say that they are this machine
TWO_HOSTS = "GuestOfTwoHosts"  # two hosts say that this machine is on them, or one says it twice
RING = "HostsInRing"  # it would be inside of itself
CARDS_UNCLEAR = "PassedCardsUnclear"  # linked, and which card is which cannot be told


@dataclass(slots=True)
class _Place:
    """A node as the rows say, and what follows from it."""

    pk: UUID
    cluster: UUID
    machine: str
    guests: list[str]
    is_there: bool
    was: tuple[UUID | None, int, str]  # host, depth, problem
    host: UUID | None = None
    depth: int = 0
    problem: str = ""


@dataclass(slots=True)
class Claims:
    """What nodes say, and said, that they are and have. As machine_of() writes it."""

    machines: set[str] = field(default_factory=set)
    guests: set[str] = field(default_factory=set)
    nodes: set[UUID] = field(default_factory=set)  # who said so; a node may say nothing any more

    def add(self, system_uuid: str, guests: Iterable[Any], node: UUID | None = None) -> None:
        if node is not None:
            self.nodes.add(node)
        self.machines |= {machine_of(system_uuid)} - {""}
        self.guests |= {*_machines(guests)}

    def __bool__(self) -> bool:
        return bool(self.machines or self.guests or self.nodes)


@dataclass(slots=True)
class Reach:
    """What a look that changes these claims and cards may have to write beside its own rows."""

    claims: Claims
    cards: twins.Named
    nodes: set[UUID] = field(default_factory=set)
    devices: set[UUID] = field(default_factory=set)


def reach(claims: Claims, cards: twins.Named) -> Reach:
    """Before anything is written or locked. Nobody else decides about hosts and cards until the transaction ends."""
    found = Reach(claims, cards)
    if claims or cards:
        twins.lock()
        places = _family(claims)
        found.nodes = {*places}
        passed = {card.pk for card in _cards_of(places, claims)}
        found.devices = {*twins.rows(twins.Named(cards.uuids, cards.serials, cards.ids | passed))}
    return found


def settle(reached: Reach) -> None:
    """After the rows are written: who is inside of whom, which cards are passed on, and where each card counts."""
    if not (reached.claims or reached.cards):
        return
    places = _family(reached.claims)
    _link(places.values())
    cards = _cards_of(places, reached.claims)
    passed = _pass_on(places, cards)
    changed = [place for place in places.values() if (place.host, place.depth, place.problem) != place.was]
    bulk.update(
        Node, ("host_id", "depth", "host_problem"), ((p.pk, p.host, p.depth, p.problem) for p in changed)
    )  # fmt: skip
    bulk.update(Accelerator, ("passed_from_id",), [(c.pk, passed.get(c.pk)) for c in cards if c.is_passed_anew(passed)])
    named = reached.cards
    clusters = twins.settle(twins.Named(named.uuids, named.serials, named.ids | {card.pk for card in cards}))
    clusters.update(place.cluster for place in changed)
    events.publish_many("node", [(place.pk, None) for place in changed])
    events.publish_many("inventory", [(cluster, None) for cluster in sorted(clusters)])


def forget(cluster: Cluster) -> None:
    """Of a cluster that is retired: its nodes host nobody, and its cards count wherever else they are seen."""
    nodes = Node.objects.filter(cluster=cluster).values_list("system_uuid", "guests", "pk")
    cards = twins.Named()
    for uuid, serial in Accelerator.objects.filter(node__cluster=cluster).values_list("uuid", "serial"):
        cards.uuids.add(uuid)
        cards.serials |= {serial} - {""}
    claims = Claims()
    for node in nodes:
        claims.add(*node)
    reached = reach(claims, cards)
    lock(Node, reached.nodes)
    lock(Accelerator, reached.devices)
    settle(reached)


def lock(model: type[Node] | type[Accelerator], ids: Collection[UUID]) -> None:
    """As a grant locks: in id order, so that it and we never wait for each other in a ring."""
    if ids:
        list(
            model.objects.filter(bulk.among("pk", ids)).order_by("pk").select_for_update(no_key=True).values_list("pk")
        )


# -- who is inside of whom ------------------------------------------------------------------------------------------

_COLUMNS = ("pk", "cluster_id", "system_uuid", "guests", "state", "cluster__state", "host_id", "depth", "host_problem")


def _family(claims: Claims) -> dict[UUID, _Place]:
    """Every node that these machines lead to, as itself or as a guest, and on: two statements for each step."""
    found: dict[UUID, _Place] = {}
    read: list[Any] = []
    if claims.nodes:
        read += Node.objects.filter(bulk.among("pk", claims.nodes)).values_list(*_COLUMNS)
    wanted, asked = claims.machines | claims.guests, set[str]()
    while wanted or read:
        asked |= wanted
        forms = [form for machine in wanted for form in forms_of(machine)]
        if forms:
            themselves = Node.objects.exclude(system_uuid="").filter(bulk.among("system_uuid", forms, "text"))
            hosts = Node.objects.exclude(guests=[]).filter(guests__has_any_keys=forms)
            read += [*themselves.values_list(*_COLUMNS), *hosts.values_list(*_COLUMNS)]
        wanted = set()
        for pk, cluster, system_uuid, guests, state, cluster_state, *was in read:
            if pk not in found:
                told = _machines(guests)
                is_there = state != NodeState.GONE and cluster_state != ClusterState.RETIRED
                found[pk] = _Place(pk, cluster, machine_of(system_uuid), told, is_there, (was[0], was[1], was[2]))
                wanted |= {found[pk].machine, *told} - asked - {""}
        read = []
    return found


def _machines(guests: Iterable[Any]) -> list[str]:
    return [machine for guest in guests if (machine := machine_of(str(guest)))]


def _link(places: Iterable[_Place]) -> None:
    """Of a whole family, whatever was linked before: the same for the same facts, in whatever order they came."""
    there = [place for place in places if place.is_there]
    hosts: dict[str, list[_Place]] = defaultdict(list)
    machines: dict[str, list[_Place]] = defaultdict(list)
    for place in there:
        for guest in place.guests:
            hosts[guest].append(place)
        if place.machine:
            machines[place.machine].append(place)
    host_of: dict[UUID, _Place] = {}
    for machine, claimed in machines.items():
        if machine not in hosts:
            continue
        for place in claimed:
            if len(hosts[machine]) > 1:
                place.problem = TWO_HOSTS
            elif len(claimed) > 1:
                place.problem = SHARED_UUID
            else:
                host_of[place.pk] = hosts[machine][0]
    for place in there:
        if any(above is place for above in _above(place, host_of)):
            place.problem = RING
    for place in there:
        if place.problem == RING:
            del host_of[place.pk]
    for place in there:
        above = _above(place, host_of)
        if above:
            place.host, place.depth = above[0].pk, len(above)


def _above(place: _Place, host_of: Mapping[UUID, _Place]) -> list[_Place]:
    """Its hosts, the nearest first; in a ring, each once."""
    above: dict[UUID, _Place] = {}
    at = host_of.get(place.pk)
    while at is not None and at.pk not in above:
        above[at.pk] = at
        at = host_of.get(at.pk)
    return [*above.values()]


# -- which cards are passed on --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Card:
    vendor: str
    pk: UUID
    node: UUID
    index: int
    uuid: str
    serial: str
    pci: str
    passed_to: str
    guest_pci: str
    passed_from: UUID | None
    is_identified: bool
    is_there: bool

    def is_passed_anew(self, passed: Mapping[UUID, UUID]) -> bool:
        return passed.get(self.pk) != self.passed_from


def _cards_of(places: Mapping[UUID, _Place], claims: Claims) -> list[_Card]:
    """Of nodes that have to do with another: one that has a host, had one, or tells of a guest that is here."""
    known = claims.machines.union(place.machine for place in places.values())
    known &= claims.guests.union(*(place.guests for place in places.values()))
    asked = {pk for pk, place in places.items() if place.machine in known or not known.isdisjoint(place.guests)}
    asked |= {pk for place in places.values() if place.was[0] is not None for pk in (place.pk, place.was[0])}
    if not asked:
        return []
    rows = Accelerator.objects.filter(bulk.among("node_id", asked), parent=None)
    columns = (
        "model_id", "pk", "node_id", "index", "uuid", "serial", "pci", "passed_to", "guest_pci", "passed_from_id",
        "is_identified", "is_present",
    )  # fmt: skip
    # Beside each other and not joined: of new rows Postgres believes that there are few.
    vendors = dict(AcceleratorModel.objects.values_list("pk", "vendor"))
    return [_Card(vendors.get(model, ""), *facts) for model, *facts in rows.values_list(*columns)]


def _pass_on(places: Mapping[UUID, _Place], cards: Iterable[_Card]) -> dict[UUID, UUID]:
    """Card of a guest -> the same card of its host."""
    by_node: dict[UUID, list[_Card]] = defaultdict(list)
    for card in cards:
        if card.is_there:
            by_node[card.node].append(card)
    passed: dict[UUID, UUID] = {}
    for place in places.values():
        if place.host is None:
            continue
        outside, inside = defaultdict(list), defaultdict(list)
        for card in by_node[place.host]:
            if machine_of(card.passed_to) == place.machine:
                outside[card.vendor].append(card)
        for card in by_node[place.pk]:
            inside[card.vendor].append(card)
        for vendor, given in outside.items():
            pairs, is_clear = _pairs(given, inside[vendor])
            passed |= pairs
            if not is_clear:
                place.problem = CARDS_UNCLEAR
    return passed


def _pairs(outside: list[_Card], inside: list[_Card]) -> tuple[dict[UUID, UUID], bool]:
    """What tells most goes first. By their order only if there are as many on both sides, and nothing speaks against
    it; False when cards are left over on both."""
    pairs: dict[UUID, UUID] = {}
    for name_out, name_in in ((_uuid, _uuid), (_serial, _serial), (_guest_pci, _pci)):
        names_out, names_in = _once(outside, name_out), _once(inside, name_in)
        for name in names_out.keys() & names_in.keys():
            out, within = names_out[name], names_in[name]
            pairs[within.pk] = out.pk
            outside, inside = _without(outside, out), _without(inside, within)
    if not outside or not inside:
        return pairs, True
    out_first = sorted(outside, key=lambda card: (card.guest_pci, card.index, card.uuid))
    in_first = sorted(inside, key=lambda card: (card.pci, card.index, card.uuid))
    if len(outside) != len(inside) or any(_differ(*pair) for pair in zip(out_first, in_first, strict=True)):
        return pairs, False
    return pairs | {i.pk: o.pk for o, i in zip(out_first, in_first, strict=True)}, True


def _once(cards: Iterable[_Card], name: Any) -> dict[str, _Card]:
    """By a name that one of them alone has."""
    found: dict[str, list[_Card]] = defaultdict(list)
    for card in cards:
        found[name(card)].append(card)
    return {told: some[0] for told, some in found.items() if told and len(some) == 1}


def _without(cards: list[_Card], one: _Card) -> list[_Card]:
    return [card for card in cards if card.pk != one.pk]


def _uuid(card: _Card) -> str:
    return card.uuid if card.is_identified else ""


def _serial(card: _Card) -> str:
    return card.serial


def _pci(card: _Card) -> str:
    return card.pci


def _guest_pci(card: _Card) -> str:
    return card.guest_pci


def _differ(outside: _Card, inside: _Card) -> bool:
    """They say of themselves that they are two."""
    chips = outside.is_identified and inside.is_identified and outside.uuid != inside.uuid
    has_two_chips = chips and is_of_the_chip(outside.uuid) and is_of_the_chip(inside.uuid)
    return has_two_chips or bool(outside.guest_pci and inside.pci and outside.guest_pci != inside.pci)
