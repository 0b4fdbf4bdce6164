"""The node: what the engine says of its host, what the operator declares of its cards, and what others hold of it."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from federation.accelerators import catalogue
from federation.drivers.base import DeviceSeen, NodeSeen
from federation.drivers.docker.names import LABEL_CLUSTER
from federation.drivers.docker.transport import Api, Deadline, Json, path_of
from federation.drivers.docker.vendors import held_by
from federation.drivers.docker.ways import Declared, Ways

_MIB = 1 << 20
_MOST_KNOWN = 4096


@dataclass(frozen=True, slots=True)
class Host:
    """What `/info` says, as far as it matters here."""

    name: str
    cpu_milli: int
    memory_mib: int
    cards: tuple[Declared, ...]
    runtimes: tuple[str, ...] = ()
    cdi_names: tuple[str, ...] = ()
    generic: tuple[str, ...] = ()  # node-generic-resources: told, not handed out
    warnings: tuple[str, ...] = ()

    def card(self, uuid: str) -> Declared | None:
        return next((card for card in self.cards if card.uuid == uuid), None)


def host_of(info: Json, ways: Ways) -> Host:
    cdi = [str(d.get("ID") or "") for d in info.get("DiscoveredDevices") or () if d.get("Source", "cdi") == "cdi"]
    return Host(
        name=ways.name or str(info.get("Name") or "docker"),
        cpu_milli=ways.cpu_milli or int(info.get("NCPU") or 0) * 1000,
        memory_mib=ways.memory_mib or int(info.get("MemTotal") or 0) // _MIB,
        cards=ways.devices,
        runtimes=tuple(info.get("Runtimes") or ()),
        cdi_names=tuple(filter(None, cdi)),
        generic=tuple(_generic(info.get("GenericResources") or ())),
        warnings=tuple(str(word) for word in info.get("Warnings") or () if "limit" in str(word)),
    )


def _generic(found: Iterable[Json]) -> Iterable[str]:
    """`--node-generic-resource` of a swarm: a name for each card, or a count."""
    for one in found:
        named, counted = one.get("NamedResourceSpec") or {}, one.get("DiscreteResourceSpec") or {}
        if named:
            yield f"{named.get('Kind')}={named.get('Value')}"
        elif counted:
            yield f"{counted.get('Value')} of {counted.get('Kind')}"


@dataclass(frozen=True, slots=True)
class Foreign:
    """What one container that is not ours takes."""

    cpu_milli: int
    memory_mib: int
    uuids: frozenset[str]


_known: OrderedDict[tuple[str, str, str], Foreign] = OrderedDict()  # of this process; containers rarely change
_lock = threading.Lock()


def foreign_work(api: Api, deadline: Deadline, cluster: str, cards: Sequence[Declared]) -> list[Foreign]:
    """Every running container without our label. Each is looked into once while it lives."""
    found = []
    for item in api.get(deadline, "/containers/json"):
        if (item.get("Labels") or {}).get(LABEL_CLUSTER) == cluster:
            continue
        key = (api.endpoint.server, str(item["Id"]), repr(cards))
        with _lock:
            known = _known.get(key)
        if known is None:
            whole = api.find(deadline, "/containers" + path_of(str(item["Id"])) + "/json")
            if whole is None:
                continue
            known = _foreign_of(whole, cards)
            with _lock:
                _known[key] = known
                while len(_known) > _MOST_KNOWN:
                    _known.popitem(last=False)
        found.append(known)
    return found


def _foreign_of(whole: Json, cards: Sequence[Declared]) -> Foreign:
    host, config = whole.get("HostConfig") or {}, whole.get("Config") or {}
    cpu = int(host.get("NanoCpus") or 0) // 1_000_000
    if not cpu and int(host.get("CpuQuota") or 0) > 0:
        cpu = int(host["CpuQuota"]) * 1000 // int(host.get("CpuPeriod") or 100_000)
    paths = [str(one.get("PathOnHost")) for one in host.get("Devices") or ()]
    requests = host.get("DeviceRequests") or ()
    uuids = {card.uuid for card in cards if held_by(config.get("Env") or (), requests, paths, card)}
    return Foreign(cpu, int(host.get("Memory") or 0) // _MIB, frozenset(uuids))


def node_seen(host: Host, ways: Ways, foreign: Sequence[Foreign]) -> NodeSeen:
    said = list(host.warnings)
    if host.generic and not host.cards:
        said.append(f"The engine names {', '.join(host.generic[:8])}: declare them as devices to hand them out.")
    taken = {uuid for one in foreign for uuid in one.uuids}
    devices = tuple(_device(card, card.uuid in taken) for card in host.cards)
    node = NodeSeen(
        name=host.name,
        cpu_milli=host.cpu_milli,
        memory_mib=host.memory_mib,
        devices=devices,
        message=" ".join(said)[:1000],
        rack=ways.rack,
        labels=dict(ways.labels),
        foreign_cpu_milli=min(host.cpu_milli, sum(one.cpu_milli for one in foreign)),
        foreign_memory_mib=min(host.memory_mib, sum(one.memory_mib for one in foreign)),
    )
    return node if host.cpu_milli > 0 and host.memory_mib > 0 else replace(node, is_ready=False)


def _device(card: Declared, is_taken: bool) -> DeviceSeen:
    record = catalogue.lookup(card.vendor, card.model or "unknown")
    memory = card.memory_mib or record.memory_mib or 0
    return DeviceSeen(
        index=card.index,
        uuid=card.uuid,
        vendor=card.vendor,
        model=record.name,
        memory_mib=memory,
        numa=card.numa,
        mode=card.mode,
        step_milli=1000 if card.mode == catalogue.EXCLUSIVE else 0,
        foreign_milli=1000 if is_taken else 0,
        foreign_memory_mib=memory if is_taken else 0,
    )
