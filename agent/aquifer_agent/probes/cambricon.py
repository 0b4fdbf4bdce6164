"""Cambricon by cnmon: its table. Cards are known by their PCI address, since the table has no serial numbers."""

from collections.abc import Iterator

from aquifer_agent.probes.texts import cells, numa_of, number, pci, percent, whole
from aquifer_agent.probes.tools import Tool, ToolProbe
from aquifer_agent.probes.types import HEALTHY, UNHEALTHY, Device, Figure, Pair

VENDOR = "cambricon"
CNMON = Tool("cnmon", "/usr/bin/cnmon", "/usr/local/neuware/bin/cnmon")


def read() -> Iterator[Pair]:
    return iter(parse(CNMON.run()))


probe = ToolProbe([CNMON], read)


def parse(text: str) -> list[Pair]:
    """Two rows for each card: name, address, use and errors; then temperature, power and memory."""
    found: list[Pair] = []
    first: list[str] | None = None
    for row in (cells(line) for line in text.splitlines()):
        address = pci(row[1]) if len(row) == 3 else None
        if address is not None:
            first = row
        elif first is not None and len(row) == 3:
            found.append(_card(first, row))
            first = None
    return found


def _card(first: list[str], second: list[str]) -> Pair:
    # "0     /   MLU370-X8    v1.1.6": card, virtual function, name, firmware
    name = next((word for word in first[0].split() if word.upper().startswith("MLU")), first[0].split()[-2])
    address = pci(first[1]) or ""
    busy, *errors = first[2].split()
    used, _, total = second[1].partition("/")
    _, temperature, watts, *_ = [*second[0].split(), "", "", ""]
    health = UNHEALTHY if errors and (whole(errors[0]) or 0) > 0 else HEALTHY
    device = Device(address, VENDOR, name, whole(total) or 0, health, numa_of(address), is_identified=False)
    return device, Figure(address, percent(busy), whole(used), number(watts), number(temperature))
