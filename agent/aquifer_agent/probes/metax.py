"""MetaX by mx-smi: `-L` for uuids and states, and the table for the rest; the table has had two layouts."""

import re
from collections.abc import Iterator
from dataclasses import replace

from aquifer_agent.probes.texts import cells, numa_of, number, pci, percent
from aquifer_agent.probes.tools import Tool, ToolFailed, ToolProbe
from aquifer_agent.probes.types import HEALTHY, UNHEALTHY, Device, Figure, Pair

VENDOR = "metax"
MX_SMI = Tool("mx-smi", "/opt/mxdriver/bin/mx-smi", "/opt/maca/bin/mx-smi", "/usr/bin/mx-smi")
_LISTED = re.compile(r"^GPU#(\d+)\s+(\S+)\s+(\S+)\s+(.*?)\s*\(UUID:\s*(\S+?)\)\s*$", re.MULTILINE)
_MEMORY = re.compile(r"(\d+)\s*/\s*(\d+)\s*MiB")


def read() -> Iterator[Pair]:
    cards = parse(MX_SMI.run())
    try:
        listed = listing(MX_SMI.run("-L"))
    except ToolFailed:
        listed = {}
    for device, figure in cards:
        uuid, health = listed.get(device.uuid, ("", device.health))
        if uuid:
            yield replace(device, uuid=uuid, health=health, is_identified=True), replace(figure, uuid=uuid)
        else:
            yield device, figure


probe = ToolProbe([MX_SMI], read)


def listing(text: str) -> dict[str, tuple[str, str]]:
    """Uuid and health by PCI address."""
    return {
        pci(bus) or bus: (uuid, HEALTHY if state.startswith("Available") else UNHEALTHY)
        for _, _, bus, state, uuid in _LISTED.findall(text)
    }


def parse(text: str) -> list[Pair]:
    """Two rows for each card. Newer tools draw the board beside the GPU, in four columns instead of three."""
    found: list[Pair] = []
    first: list[str] | None = None
    for row in (cells(line) for line in text.splitlines()):
        address = next((a for cell in row if (a := pci(cell))), None) if len(row) in (3, 4) else None
        if address is not None:
            first = [address, *row]
        elif first is not None and len(row) == len(first) - 1:
            found.append(_card(first, row))
            first = None
    return found


def _card(first: list[str], second: list[str]) -> Pair:
    address, name, *_ = first
    model = re.sub(r"^\d+\s+", "", name).removeprefix("MetaX ").strip()
    memory = next((m for cell in second if (m := _MEMORY.search(cell))), None)
    left = " ".join(second[: 2 if len(second) == 4 else 1])
    heat, watts = re.search(r"(\d+)C\b", left), re.search(r"(\d+)W\b", left)
    state = second[-1].split()[0] if second[-1] else ""
    device = Device(
        address, VENDOR, model, int(memory[2]) if memory else 0,
        HEALTHY if state in ("", "Available") else UNHEALTHY, numa_of(address), is_identified=False,
    )  # fmt: skip
    busy = first[-1].split()[0] if first[-1] else None
    return device, Figure(
        address, percent(busy), int(memory[1]) if memory else None,
        number(watts[1]) if watts else None, number(heat[1]) if heat else None,
    )  # fmt: skip
