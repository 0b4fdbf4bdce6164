"""Iluvatar CoreX by ixsmi, which answers the queries of nvidia-smi; older ones only draw their table."""

from collections.abc import Iterator

from aquifer_agent.probes.texts import cells, numa_of, number, pci, percent, whole
from aquifer_agent.probes.tools import Tool, ToolFailed, ToolProbe
from aquifer_agent.probes.types import Device, Figure, Pair

VENDOR = "iluvatar"
IXSMI = Tool("ixsmi", "/usr/local/corex/bin/ixsmi", "/usr/bin/ixsmi")
_FIELDS = (
    "index", "uuid", "name", "gpu_bus_id", "memory.total", "memory.used", "utilization.gpu", "temperature.gpu",
    "power.draw",
)  # fmt: skip


def read() -> Iterator[Pair]:
    try:
        found = parse_query(IXSMI.run(f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"))
    except ToolFailed:
        found = []
    return iter(found or parse_table(IXSMI.run()))


probe = ToolProbe([IXSMI], read)


def model_of(name: str) -> str:
    return name.removeprefix("Iluvatar ").strip()


def parse_query(text: str) -> list[Pair]:
    """One card a line. What is no such line (a complaint about a field) gives none, and the table is asked."""
    found: list[Pair] = []
    for line in text.splitlines():
        row = [word.strip() for word in line.split(",")]
        if len(row) != len(_FIELDS) or not row[0].isdigit():
            continue
        _, uuid, name, bus, total, used, busy, heat, watts = row
        device = Device(uuid, VENDOR, model_of(name), whole(total) or 0, numa=numa_of(pci(bus)))
        found.append((device, Figure(uuid, percent(busy), whole(used), number(watts), number(heat))))
    return found


def parse_table(text: str) -> list[Pair]:
    found: list[Pair] = []
    first: list[str] | None = None
    for row in (cells(line) for line in text.splitlines()):
        if len(row) == 3 and pci(row[1]):
            first = row
        elif first is not None and len(row) == 3:
            found.append(_card(first, row))
            first = None
    return found


def _card(first: list[str], second: list[str]) -> Pair:
    address = pci(first[1]) or ""
    # "N/A  37C   P0       40W / 350W": fan, temperature, level, power
    _, heat, _, watts, *_ = [*second[0].split(), "", "", "", ""]
    used, _, total = second[1].partition("/")
    device = Device(
        address, VENDOR, model_of(first[0].partition(" ")[2].strip()), whole(total) or 0, numa=numa_of(address),
        is_identified=False,
    )  # fmt: skip
    busy = second[2].split()[0] if second[2] else None
    return device, Figure(address, percent(busy), whole(used), number(watts), number(heat))
