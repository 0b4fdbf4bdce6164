"""A walk through what a controller shows: the server, its parts, and where its figures are.

Controllers are slow and half made. A part that is missing or broken (404, 501, 5xx) is left out; a controller that does
not answer at all ends the walk. What is found is kept as JSON, so that the next call need not walk again.
"""

from collections.abc import Mapping
from typing import Any

from federation.drivers.base import DeviceSeen, Health, NodeSeen
from federation.drivers.redfish.devices import Card, amount, card_of, card_of_slot, devices_of, health_of, text
from federation.drivers.redfish.machines import Machine
from federation.drivers.redfish.wire import Line, Refused, inner, listed, path_of
from federation.drivers.redfish.words import POWER, maker

ROOT = "/redfish/v1/"
_MOST_SYSTEMS, _MOST_PROCESSORS, _MOST_SLOTS, _MOST_CHASSIS = 16, 64, 64, 64
_RESET = "#ComputerSystem.Reset"
_LEAST_MILLI, _LEAST_MIB = 1000, 1024  # of a server whose controller says nothing of it: the hub knows no empty nodes


async def walk(line: Line, machine: Machine) -> dict[str, Any]:
    """Everything of one server. Raises Silent, Refused."""
    root = await line.get(ROOT)
    systems = [
        body
        for path in await line.members(root.get("Systems") or {"@odata.id": f"{ROOT}Systems"}, most=_MOST_SYSTEMS)
        if (body := await line.find({"@odata.id": path})) is not None
    ]
    main = _main(systems, machine.system)
    if main is None:
        raise Refused(404, f"There is no system {machine.system or 'that can be switched'} here")
    parts = [main, *(body for body in systems if body is not main and _is_board(body))]
    cards = [card for body in parts for card in await _processors(line, body)]
    if not cards:
        cards = [card for body in parts for card in await _slots(line, body)]
    places = [path for body in parts for path in map(path_of, listed(inner(body, "Links"), "Chassis")) if path]
    return {
        **state_of(main),
        "version": text(root.get("RedfishVersion")) or "unknown",
        "system": path_of(main),
        "reset": await _reset(line, main),
        "boots": listed(inner(main, "Boot"), "BootSourceOverrideTarget@Redfish.AllowableValues"),
        "media": await _media(line, main),
        "macs": await _macs(line, main),
        "model": " ".join(filter(None, (text(main.get("Manufacturer")), text(main.get("Model"))))),
        "serial": text(main.get("SerialNumber")),
        "cpu_milli": machine.cpu_milli or 1000 * sum(map(_cores, parts)),
        "memory_mib": machine.memory_mib or sum(map(_memory, parts)),
        "devices": [_kept(device) for device in devices_of(machine.name, cards)],
        "figures": [[card.chassis, card.metrics] for card in cards],
        "chassis": await _chassis(line, root, places),
        "reports": await _reports(line, root),
    }


def state_of(system: Mapping[str, Any]) -> dict[str, Any]:
    """What of a system changes from look to look."""
    return {
        "power": POWER.get(str(system.get("PowerState")), "unknown"),
        "health": health_of(system).value,
        "tag": text(system.get("AssetTag")),
    }


def node_of(machine: Machine, seen: Mapping[str, Any], *, trouble: str = "") -> NodeSeen:
    """A server as the inventory has it; with a trouble nothing new goes there."""
    said = trouble
    if not said and seen.get("health") == Health.UNHEALTHY:
        said = "Its management controller says that it is not well."
    mac = next(iter(machine.macs or seen.get("macs", ())), "")
    said_of_it = {"model": seen.get("model"), "serial": seen.get("serial"), "mac": mac}
    return NodeSeen(
        machine.name,
        int(seen.get("cpu_milli") or machine.cpu_milli or _LEAST_MILLI),
        int(seen.get("memory_mib") or machine.memory_mib or _LEAST_MIB),
        tuple(_device(device) for device in seen.get("devices", ())),
        is_ready=not said,
        message=said,
        rack=machine.rack,
        labels={key: value for key, value in said_of_it.items() if value},
    )


def _main(systems: list[dict[str, Any]], wanted: str) -> dict[str, Any] | None:
    """The server itself: the one that was named, or the first that can be switched."""
    if wanted:
        return next((body for body in systems if path_of(body) == wanted.rstrip("/")), None)
    return next((body for body in systems if _RESET in inner(body, "Actions")), systems[0] if systems else None)


def _is_board(body: Mapping[str, Any]) -> bool:
    """A part of the server that its controller shows as a system beside it, as the boards of GPUs are: it cannot be
    switched by itself, or says what it is. Other systems are other servers."""
    return _RESET not in inner(body, "Actions") or text(body.get("Id")).startswith("HGX_")


async def _processors(line: Line, system: Mapping[str, Any]) -> list[Card]:
    found = []
    for path in await line.members(system.get("Processors"), most=_MOST_PROCESSORS):
        body = await line.find({"@odata.id": path})
        if body is None or (card := card_of(body)) is None:
            continue
        if not card.memory_mib:
            links = listed(inner(body, "Links"), "Memory")[:8]
            memory = [part for link in links if (part := await line.find(link)) is not None]
            card = card_of(body, memory) or card
        found.append(card)
    return found


async def _slots(line: Line, system: Mapping[str, Any]) -> list[Card]:
    """Accelerators as PCIe devices, where a controller has no processors for them."""
    links = listed(system, "PCIeDevices")
    if not links:
        for chassis in listed(inner(system, "Links"), "Chassis")[:4]:
            body = await line.find(chassis) or {}
            links += [{"@odata.id": path} for path in await line.members(body.get("PCIeDevices"), most=_MOST_SLOTS)]
    found = []
    for link in links[:_MOST_SLOTS]:
        device = await line.find(link)
        if device is None or not maker(device.get("Manufacturer"), device.get("Model"), device.get("Name")):
            continue
        functions = await line.members(device.get("PCIeFunctions"), most=1) or [
            path_of(each) for each in listed(inner(device, "Links"), "PCIeFunctions")[:1]
        ]
        function = await line.find({"@odata.id": functions[0]}) if functions else None
        if (card := card_of_slot(device, function or {})) is not None:
            found.append(card)
    return found


async def _reset(line: Line, system: Mapping[str, Any]) -> dict[str, Any]:
    """How it is switched: where to, and the words it knows (none said: the usual ones)."""
    action = inner(system, "Actions", _RESET)
    words = listed(action, "ResetType@Redfish.AllowableValues")
    if not words and (info := await line.find({"@odata.id": action.get("@Redfish.ActionInfo")})) is not None:
        for parameter in listed(info, "Parameters"):
            if isinstance(parameter, Mapping) and parameter.get("Name") == "ResetType":
                words = listed(parameter, "AllowableValues")
    return {"target": path_of({"@odata.id": action.get("target")}), "words": [w for w in words if isinstance(w, str)]}


async def _media(line: Line, system: Mapping[str, Any]) -> list[dict[str, str]]:
    """Drives that an image can be put into by its address."""
    shelves = [system.get("VirtualMedia")]
    if path_of(shelves[0]) == "":
        managers = [await line.find(link) or {} for link in listed(inner(system, "Links"), "ManagedBy")[:2]]
        shelves = [manager.get("VirtualMedia") for manager in managers]
    found = []
    for shelf in shelves:
        for path in await line.members(shelf, most=8):
            drive = await line.find({"@odata.id": path}) or {}
            actions = inner(drive, "Actions")
            target = path_of({"@odata.id": inner(actions, "#VirtualMedia.InsertMedia").get("target")})
            kinds = listed(drive, "MediaTypes")
            if target and (not kinds or "CD" in kinds or "DVD" in kinds):
                eject = path_of({"@odata.id": inner(actions, "#VirtualMedia.EjectMedia").get("target")})
                found.append({"path": path, "insert": target, "eject": eject})
    return found


async def _macs(line: Line, system: Mapping[str, Any]) -> list[str]:
    """Of the server's network cards: by these a wiping or installing service knows it."""
    found = []
    for path in await line.members(system.get("EthernetInterfaces"), most=16):
        body = await line.find({"@odata.id": path}) or {}
        mac = text(body.get("PermanentMACAddress")) or text(body.get("MACAddress"))
        if mac:
            found.append(mac.lower())
    return found


async def _chassis(line: Line, root: Mapping[str, Any], own: list[str]) -> list[dict[str, str]]:
    """Where figures of the whole server are: in its own chassis, by the old schema or the new."""
    found = []
    for path in list(dict.fromkeys(own))[:_MOST_CHASSIS] or await line.members(root.get("Chassis"), most=1):
        body = await line.find({"@odata.id": path})
        if body is not None:
            names = ("Power", "Thermal", "EnvironmentMetrics", "ThermalSubsystem")
            found.append({"path": path, **{name: place for name in names if (place := path_of(body.get(name)))}})
    return found


async def _reports(line: Line, root: Mapping[str, Any]) -> list[str]:
    """Reports that hold many figures at once."""
    service = await line.find(root.get("TelemetryService")) or {}
    paths = await line.members(service.get("MetricReports"), most=100)
    return [path for path in paths if "PlatformEnvironmentMetrics" in path][:4]


def _cores(system: Mapping[str, Any]) -> int:
    summary = inner(system, "ProcessorSummary")
    return min(amount(summary.get("LogicalProcessorCount") or summary.get("CoreCount") or summary.get("Count")), 10_000)


def _memory(system: Mapping[str, Any]) -> int:
    return amount((amount(inner(system, "MemorySummary").get("TotalSystemMemoryGiB"))) * 1024)


def _kept(device: DeviceSeen) -> dict[str, Any]:
    names = ("index", "uuid", "vendor", "model", "memory_mib", "is_identified")
    return {**{name: getattr(device, name) for name in names}, "health": device.health.value}


def _device(kept: Mapping[str, Any]) -> DeviceSeen:
    return DeviceSeen(**{**kept, "health": Health(kept["health"])})
