"""What a controller says of a server's accelerators, as DeviceSeen. Pure: JSON in, values out.

The same card must be one card for the agent that runs on the server later. NVIDIA's controllers give the UUID that
NVML gives, without its "GPU-"; their SerialNumber is of the board, which two cards share, and so names no card.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from federation.accelerators.catalogue import lookup
from federation.drivers.base import DeviceSeen, Health
from federation.drivers.redfish.wire import inner, listed, path_of
from federation.drivers.redfish.words import ACCELERATORS, CLASSES, HEALTH, maker

_MOST_MIB = 64 << 20


@dataclass(frozen=True, slots=True)
class Card:
    """One accelerator as found in the tree, with where its figures are."""

    id: str
    vendor: str
    model: str
    memory_mib: int
    health: Health
    uuid: str  # as the controller has it; may be empty
    serial: str
    chassis: str = ""
    metrics: str = ""


def card_of(processor: Mapping[str, Any], memory: Sequence[Mapping[str, Any]] = ()) -> Card | None:
    """A Processor that is an accelerator and is there."""
    if processor.get("ProcessorType") not in ACCELERATORS or not _is_there(processor):
        return None
    vendor = maker(processor.get("Manufacturer"), processor.get("Model")) or "unknown"
    model = lookup(vendor, text(processor.get("Model")) or "unknown")
    said = amount(inner(processor, "MemorySummary").get("TotalMemorySizeMiB"))
    said = said or sum(amount(part.get("CapacityMiB")) for part in listed(processor, "ProcessorMemory") if _own(part))
    said = said or sum(amount(part.get("CapacityMiB")) for part in memory)
    return Card(
        text(processor.get("Id")),
        vendor,
        model.name,
        said or model.memory_mib or 0,
        health_of(processor),
        text(processor.get("UUID")),
        text(processor.get("SerialNumber")),
        path_of(inner(processor, "Links", "Chassis")),
        path_of(processor.get("EnvironmentMetrics")),
    )


def card_of_slot(device: Mapping[str, Any], function: Mapping[str, Any]) -> Card | None:
    """A PCIeDevice that is an accelerator, of a controller that lists no such processors."""
    vendor = maker(device.get("Manufacturer"), device.get("Model"), device.get("Name"))
    if not vendor or function.get("DeviceClass") not in CLASSES or not _is_there(device):
        return None
    model = lookup(vendor, text(device.get("Model")) or text(device.get("Name")) or "unknown")
    chassis = [path_of(link) for link in listed(inner(device, "Links"), "Chassis")]
    return Card(
        text(device.get("Id")),
        vendor,
        model.name,
        model.memory_mib or 0,
        health_of(device),
        text(device.get("UUID")),
        text(device.get("SerialNumber")),
        chassis[0] if len(chassis) == 1 else "",
        path_of(device.get("EnvironmentMetrics")),
    )


def devices_of(machine: str, cards: Sequence[Card]) -> tuple[DeviceSeen, ...]:
    """In the controller's order, each with a name that only it has."""
    uuids = Counter(known(card.uuid) for card in cards)
    serials = Counter(card.serial for card in cards)
    seen = []
    for index, card in enumerate(cards):
        uuid, is_identified = known(card.uuid), True
        if uuid and uuids[uuid] == 1:
            name = f"GPU-{uuid}" if card.vendor == "nvidia" else uuid
        elif serials[card.serial] == 1 and len(card.serial) >= 4 and len(set(card.serial)) > 2:
            name = card.serial[:128]
        else:
            name, is_identified = f"{machine}/{card.id or index}"[:128], False
        seen.append(
            DeviceSeen(index, name, card.vendor, card.model, card.memory_mib, card.health, is_identified=is_identified)
        )
    return tuple(seen)


def known(uuid: str) -> str:
    """A UUID in lower case; empty for what is none, or is a placeholder."""
    try:
        found = UUID(uuid.removeprefix("GPU-").removeprefix("urn:uuid:"))
    except ValueError:
        return ""
    return "" if found.int in (0, (1 << 128) - 1) else str(found)


def health_of(body: Mapping[str, Any]) -> Health:
    return HEALTH.get(str(inner(body, "Status").get("Health")), Health.UNKNOWN)


def text(value: Any) -> str:
    return value.strip()[:128] if isinstance(value, str) else ""


def amount(value: Any) -> int:
    """A size that can be true; 0 for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 < value <= _MOST_MIB else 0


def _is_there(body: Mapping[str, Any]) -> bool:
    return inner(body, "Status").get("State") != "Absent"


def _own(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("IntegratedMemory") is not False
