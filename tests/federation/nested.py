"""Hosts, the virtual machines on them, and what each side shows of the cards between them."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from federation.drivers.base import DeviceSeen, NodeSeen
from federation.models import Accelerator, Cluster, Node
from federation.reconcile import inventory
from tests import factories


def machine(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


def chip(name: str) -> str:
    return f"GPU-{uuid5(NAMESPACE_URL, name)}"


def card(index: int, uuid: str, **facts: Any) -> DeviceSeen:
    return DeviceSeen(index, uuid, "nvidia", "A100-80G", 81920, **facts)


def seen(name: str, *cards: DeviceSeen, guests: tuple[str, ...] = (), **facts: Any) -> NodeSeen:
    told = {"cpu_milli": 64_000, "memory_mib": 262_144, "system_uuid": machine(name), **facts}
    return NodeSeen(name, devices=cards, guests=tuple(machine(guest) for guest in guests), **told)


def host(name: str = "host", guest: str = "guest", cards: int = 2, **facts: Any) -> NodeSeen:
    """It sees its cards by their places on the bus, and passed all of them to one guest."""
    passed: dict[str, Any] = {"is_identified": False, "passed_to": machine(guest), "foreign_milli": 1000}
    made = (card(i, f"{name}/pci-{i}", pci=f"0000:0{i}:00.0", **passed) for i in range(cards))
    return seen(name, *made, guests=(guest,), foreign_cpu_milli=16_000, foreign_memory_mib=65_536, **facts)


def guest(name: str = "guest", cards: int = 2, **facts: Any) -> NodeSeen:
    made = (card(i, chip(f"{name}-{i}"), pci=f"0000:0{i + 5}:00.0") for i in range(cards))
    return seen(name, *made, **{"cpu_milli": 16_000, "memory_mib": 65_536, **facts})


def at_guest(node: NodeSeen, *places: str) -> NodeSeen:
    """The host knows where its cards are in there."""
    return replace(node, devices=tuple(replace(d, guest_pci=p) for d, p in zip(node.devices, places, strict=True)))


def changed(node: NodeSeen, **facts: Any) -> NodeSeen:
    """All its cards with these facts."""
    return replace(node, devices=tuple(replace(device, **facts) for device in node.devices))


@dataclass
class Two:
    """A cluster of hosts and one inside, neither yet seen to hold anything."""

    outside: Cluster
    inside: Cluster

    @classmethod
    def of(cls, *, kinds: tuple[str, str] = ("kvm", "kubernetes")) -> "Two":
        clusters = [factories.cluster(kind=kind) for kind in kinds]
        for cluster in clusters:
            shows(cluster)
        return cls(*clusters)


def shows(cluster: Cluster, *nodes: NodeSeen) -> bool:
    good, complaints = inventory.believable(nodes)
    assert not complaints
    return inventory.store(Cluster.objects.get(pk=cluster.pk), good)


def node(name: str) -> Node:
    return Node.objects.get(name=name)


def host_of(name: str) -> str | None:
    found = node(name).host
    return None if found is None else found.name


def counted() -> list[tuple[str, int]]:
    """(node, index) of every card that counts."""
    return sorted(Accelerator.objects.physical().values_list("node__name", "index"))


def pairs() -> list[tuple[str, str]]:
    """(card in the guest, the same of its host)."""
    found = Accelerator.objects.exclude(passed_from=None)
    return sorted(found.values_list("uuid", "passed_from__uuid"))
