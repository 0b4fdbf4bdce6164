"""Dynamic Resource Allocation (resource.k8s.io v1, and v1beta1 of older servers): the cards that ResourceSlices show.

A device of a slice is one of these:
- a card; with `allowMultipleAllocations` several claims share it, each with a part of its capacity;
- a hardware part that exists: a device of its own, whose card is not handed out;
- a *possible* part, or another use of the same card: devices of one set of shared counters exclude each other, so the
  set is one card, and whatever is claimed of the set is claimed of that card (see `Claimable.is_partial`).

Devices that many nodes reach (`allNodes`, or a selector of more than a node's name) are on no node and are not counted.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from federation.accelerators.catalogue import EXCLUSIVE, PARTITIONED, PASSTHROUGH, SHARED, SLICED
from federation.drivers.base import Health
from federation.drivers.kubernetes import quantities
from federation.drivers.kubernetes.shapes import number, rows, table, word
from federation.drivers.kubernetes.sights import Sight, recognised
from federation.drivers.kubernetes.vendors import ACCELERATOR_WORDS, BY_DOMAIN, BY_DRIVER, NO_ACCELERATOR_DRIVERS, Dra

_PCI = ("resource.kubernetes.io/pciBusID", "pcieBusID", "pciBusID", "pciAddr")
_NUMA = ("numaNode", "numa", "resource.kubernetes.io/numaNode")
_PRODUCT = ("productName", "model", "product")
_INDEX = ("index", "minor", "gpuIndex", "cardIndex")
_MEMORY = ("memory", "addressableMemory")
_TURNS = ("shares", "slices")  # capacities that say how many claims share a device


@dataclass(frozen=True, slots=True)
class Claimable:
    """What a claim on one device takes: of `sight`, all of it when the device is only one use of that card."""

    sight: Sight
    is_partial: bool = False


@dataclass(slots=True)
class Published:
    sights: dict[str, list[Sight]] = field(default_factory=dict)  # by vendor
    devices: dict[tuple[str, str, str], Claimable] = field(default_factory=dict)  # by driver, pool, device


@dataclass(slots=True)
class _Device:
    driver: str
    pool: str
    name: str
    attributes: Mapping[str, Any]
    capacity: Mapping[str, Any]
    given: Mapping[str, Any]
    row: Dra
    vendor: str

    def say(self, *names: str) -> str:
        """An attribute as text; own attributes may be written with or without the driver's domain."""
        for name in names:
            said = table(self.attributes.get(name) or self.attributes.get(f"{self.driver}/{name}"))
            if text := word(said.get("string"), 128) or word(said.get("version"), 128):
                return text
            value = said.get("int")
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31:
                return str(value)
        return ""

    def has(self, *names: str) -> Mapping[str, Any]:
        for name in names:
            if given := table(self.capacity.get(name) or self.capacity.get(f"{self.driver}/{name}")):
                return given
        return {}

    def memory_mib(self) -> int:
        try:
            return quantities.mib(self.has(*_MEMORY).get("value"))
        except ValueError:
            return 0


def published(
    node_uid: str, node_name: str, node_labels: Mapping[str, Any], slices: Sequence[Mapping[str, Any]],
    problems: list[str],
) -> Published:  # fmt: skip
    """The devices of one node. `slices` may be those of the node, or more."""
    found: list[_Device] = []
    elsewhere: dict[str, int] = {}
    for spec in _newest(slices, problems):
        driver = word(spec.get("driver"))
        for given in map(table, rows(spec.get("devices"))):
            device = _device(driver, spec, given)
            if device is None:
                continue
            where = _place(spec, given, node_name, node_labels)
            if where is None:
                elsewhere[driver] = elsewhere.get(driver, 0) + 1
            elif where:
                found.append(device)
    for driver, count in elsewhere.items():
        problems.append(f"{count} devices of {driver} are reached by many nodes, and not counted")
    return _cards(node_uid, found)


def _newest(slices: Iterable[Mapping[str, Any]], problems: list[str]) -> list[Mapping[str, Any]]:
    """Of each pool the slices of its newest generation. One that is not all there is used as far as it is."""
    pools: dict[tuple[str, str], list[tuple[int, int, Mapping[str, Any]]]] = {}
    for given in slices:
        spec = table(table(given).get("spec"))
        pool = table(spec.get("pool"))
        key = (word(spec.get("driver")), word(pool.get("name")))
        if key[0]:
            pools.setdefault(key, []).append(
                (number(pool.get("generation"), 1 << 62), number(pool.get("resourceSliceCount")) or 1, spec)
            )
    newest = []
    for (driver, name), seen in pools.items():
        generation = max(each[0] for each in seen)
        current = [each for each in seen if each[0] == generation]
        expected = max(each[1] for each in current)
        if len(current) < expected:
            problems.append(f"{len(current)} of {expected} slices of pool {name} of {driver} are there")
        newest += [each[2] for each in current]
    return newest


def _device(driver: str, spec: Mapping[str, Any], given: Mapping[str, Any]) -> _Device | None:
    """None for what is no accelerator."""
    body = table(given["basic"]) if "basic" in given else given  # v1beta1
    vendor, row = BY_DRIVER.get(driver, (None, None))
    device = _Device(
        driver, word(table(spec.get("pool")).get("name")), word(given.get("name")), table(body.get("attributes")),
        table(body.get("capacity")), body, row or Dra(driver), "",
    )  # fmt: skip
    if not device.name:
        return None
    if vendor is not None:
        device.vendor = vendor.name
    elif _is_accelerator(device):
        domain = driver.partition(".")[2] or driver
        known = BY_DOMAIN.get(domain)
        device.vendor = known.name if known else domain.lower()
    else:
        return None
    return device


def _is_accelerator(device: _Device) -> bool:
    """DRA also hands out networks, CPUs and memory. A driver's first word says what it is for; else its devices do."""
    if NO_ACCELERATOR_DRIVERS.fullmatch(device.driver):
        return False
    words = set(re.split(r"[-_]", device.driver.partition(".")[0].lower()))
    return bool(words & ACCELERATOR_WORDS) or bool(device.has("memory") and device.say(*_PRODUCT))


def _place(spec: Mapping[str, Any], given: Mapping[str, Any], node: str, labels: Mapping[str, Any]) -> bool | None:
    """Whether a device is on this node; None when it is on no node in particular."""
    source = table(given.get("basic", given)) if spec.get("perDeviceNodeSelection") else spec
    if name := word(source.get("nodeName")):
        return name == node
    if source.get("allNodes"):
        return None
    terms = rows(table(source.get("nodeSelector")).get("nodeSelectorTerms"))
    if not terms:
        return False
    named = [_named(table(term), labels.get("kubernetes.io/hostname"), node) for term in terms]
    return None if None in named else any(named)


def _named(term: Mapping[str, Any], hostname: object, node: str) -> bool | None:
    """Whether a term that is about one node by name is about this one; None if it is about more than that."""
    fields, expressions = rows(term.get("matchFields")), rows(term.get("matchExpressions"))
    for given in map(table, fields + expressions):
        is_name = given.get("key") == "metadata.name" and given in fields
        if (is_name or given.get("key") == "kubernetes.io/hostname") and given.get("operator") == "In":
            values = rows(given.get("values"))
            if len(values) == 1:
                return bool(values[0] == (node if is_name else hostname))
    return None


# -- from devices to cards ---------------------------------------------------------------------------------------


def _cards(node_uid: str, found: list[_Device]) -> Published:
    result = Published()
    sets: dict[tuple[str, str, str], list[_Device]] = {}
    alone: list[_Device] = []
    for device in found:
        counters = [word(table(each).get("counterSet")) for each in rows(device.given.get("consumesCounters"))]
        if counters and counters[0]:
            sets.setdefault((device.driver, device.pool, counters[0]), []).append(device)
        else:
            alone.append(device)
    parts = [device for device in alone if device.say("type") in device.row.part_types]
    others = [device for device in alone if device.say("type") in device.row.passthrough_types]
    by_card: dict[tuple[str, str], Sight] = {}
    for device in alone:
        if device not in parts and device not in others:
            sight = _sight(node_uid, device)
            _keep(result, device, sight, by_card)
            result.devices[device.driver, device.pool, device.name] = Claimable(sight)
    for (driver, pool, name), devices in sets.items():
        first = max(devices, key=_wholeness)
        sight = _sight(node_uid, first)
        if not first.say("uuid") or not first.row.is_serial:
            sight.uuid = f"{node_uid}/{driver}/{first.say(*_PCI) or name}"
        # The set as a whole is one card; which parts of it could be made beside each other, only the scheduler can say.
        sight.mode, sight.step_milli, sight.most_shares, sight.capacity = EXCLUSIVE, 1000, 0, {}
        _keep(result, first, sight, by_card)
        for device in devices:
            result.devices[driver, pool, device.name] = Claimable(sight, is_partial=device is not first)
    for device in others:
        same = _card_of(device, by_card)
        sight = same or _sight(node_uid, device, mode=PASSTHROUGH)
        if same is None:
            _keep(result, device, sight, by_card)
        result.devices[device.driver, device.pool, device.name] = Claimable(sight, is_partial=same is not None)
    for device in parts:
        card = _card_of(device, by_card)
        if card is None:
            card = _parent(node_uid, device)
            _keep(result, device, card, by_card)
        card.is_divided = True
        part = _sight(node_uid, device, mode=PARTITIONED)
        part.parent, part.index = card.uuid, None
        result.sights.setdefault(device.vendor, []).append(part)
        result.devices[device.driver, device.pool, device.name] = Claimable(part)
    return result


def _wholeness(device: _Device) -> tuple[bool, int, str]:
    """Of devices that exclude each other, the one that is the card: its type says so, or it is the largest."""
    is_named = device.say("type") in device.row.whole_types
    return is_named, device.memory_mib(), "".join(chr(0x10FFFF - ord(letter)) for letter in device.name)


def _card_of(device: _Device, by_card: Mapping[tuple[str, str], Sight]) -> Sight | None:
    for key in (device.say("parentUUID"), device.say("uuid"), device.say(*_PCI)):
        if key and (found := by_card.get((device.vendor, key.lower()))):
            return found
    return None


def _keep(result: Published, device: _Device, sight: Sight, by_card: dict[tuple[str, str], Sight]) -> None:
    result.sights.setdefault(device.vendor, []).append(sight)
    for key in (sight.uuid, device.say("parentUUID") or device.say("uuid"), device.say(*_PCI)):
        if key:
            by_card.setdefault((device.vendor, key.lower()), sight)


def _sight(node_uid: str, device: _Device, mode: str = "") -> Sight:
    said = device.say("uuid")
    is_serial = bool(said) and device.row.is_serial
    product = device.say(*_PRODUCT)
    model, listed = recognised(device.vendor, (product,), product)
    memory = device.memory_mib()
    index = device.say(*_INDEX)
    numa = device.say(*_NUMA)
    sight = Sight(
        device.vendor, model, said if is_serial else f"{node_uid}/{device.driver}/{device.pool}/{device.name}",
        memory or (0 if mode == PARTITIONED else listed), health=_health(device),
        numa=int(numa) if numa.isdigit() and len(numa) < 4 else None,
        index=int(index) if index.isdigit() and len(index) < 4 else None,
        mode=mode or EXCLUSIVE, is_serial=is_serial, resource=device.driver, memory_as_held=memory,
        pci=device.say(*_PCI)[:32],
    )  # fmt: skip
    if mode:
        return sight
    if device.say("type") in device.row.passthrough_types:
        sight.mode = PASSTHROUGH
    elif device.given.get("allowMultipleAllocations") is True or device.row.mode:
        _shared(sight, device)
    return sight


def _shared(sight: Sight, device: _Device) -> None:
    """Several claims at one time, by capacities that each takes a part of."""
    for key in device.capacity:
        try:
            sight.capacity[key.rpartition("/")[2]] = ceil(quantities.exact(table(device.capacity[key]).get("value")))
        except ValueError:
            continue
    turns = next((sight.capacity[name] for name in _TURNS if sight.capacity.get(name)), 0)
    default = table(device.has("memory").get("requestPolicy")).get("default")
    is_kept = bool(device.has("cores", "aicore")) or device.row.mode == SLICED
    if is_kept or (device.has("memory") and default not in ("0", 0, None)):
        sight.mode, sight.step_milli, sight.most_shares = SLICED, 0, turns
    else:
        sight.mode, sight.step_milli, sight.most_shares = SHARED, max(1000 // turns, 1) if turns else 0, turns


def _parent(node_uid: str, device: _Device) -> Sight:
    """The card of a hardware part, which the driver itself does not show any more."""
    product = device.say(*_PRODUCT)
    model, listed = recognised(device.vendor, (product,), product)
    said = device.say("parentUUID")
    uuid = said or f"{node_uid}/{device.driver}/{device.say(*_PCI) or device.name}"
    return Sight(
        device.vendor, model, uuid, listed, is_serial=bool(said), resource=device.driver, is_divided=True,
    )  # fmt: skip


def _health(device: _Device) -> Health:
    """Drivers tell trouble by a taint. One without effect is a remark."""
    effects = {word(table(taint).get("effect")) for taint in rows(device.given.get("taints"))}
    return Health.UNHEALTHY if effects & {"NoSchedule", "NoExecute"} else Health.HEALTHY
