"""Moore Threads by mthreads-gmi: its table, and `-q` for the uuids. Power is not in the table."""

import re
from collections.abc import Iterator
from dataclasses import replace

from aquifer_agent.probes.texts import numa_of, number, pci, percent, sections, whole
from aquifer_agent.probes.tools import Tool, ToolFailed, ToolProbe
from aquifer_agent.probes.types import Device, Figure, Pair

VENDOR = "moore-threads"
GMI = Tool("mthreads-gmi", "/usr/bin/mthreads-gmi", "/usr/local/bin/mthreads-gmi")
# "0    MTT S5000            |00000000:18:00.0    |0%    0MiB(81920MiB)", then "Physical P0 |16x(16x) |47C YES"
_FIRST = re.compile(r"^(\d+)\s+(\S.*?)\s*\|\s*([0-9a-fA-F:.]+)\s*\|\s*(\S+)\s+(\d+)MiB\((\d+)MiB\)")
_HEAT = re.compile(r"\|\s*(\d+)C\b")
_HEAD = re.compile(r"^GPU\s*(\d+)\b")


def read() -> Iterator[Pair]:
    cards = parse(GMI.run())
    try:
        own = uuids(GMI.run("-q"))
    except ToolFailed:
        own = {}
    for index, (device, figure) in enumerate(cards):
        uuid = own.get(index)
        if uuid:
            yield replace(device, uuid=uuid, is_identified=True), replace(figure, uuid=uuid)
        else:
            yield device, figure


probe = ToolProbe([GMI], read)


def parse(text: str) -> list[Pair]:
    found: list[Pair] = []
    for line in text.splitlines():
        if row := _FIRST.match(line):
            _, name, bus, busy, used, total = row.groups()
            address = pci(bus) or bus
            device = Device(
                address, VENDOR, name.removeprefix("MTT ").strip(), int(total), numa=numa_of(address),
                is_identified=False,
            )  # fmt: skip
            found.append((device, Figure(address, percent(busy), whole(used))))
        elif found and found[-1][1].temperature_celsius is None and (heat := _HEAT.search(line)):
            device, figure = found[-1]
            found[-1] = device, replace(figure, temperature_celsius=number(heat[1]))
    return found


def uuids(text: str) -> dict[int, str]:
    """By index. No whole recorded output of `-q` could be found; its field "GPU UUID" is known from programs."""
    return {int(head[1]): values["GPU UUID"] for head, values in sections(text, _HEAD) if values.get("GPU UUID")}
