"""Kunlunxin by `xpu_smi -m`: one line for each device, of columns that have no names.

Newer drivers install it as xpu-smi too, which is the name of Intel's tool: it is asked only where there is a
device of Baidu's PCI vendor id.
"""

import shlex
from collections.abc import Iterator

from aquifer_agent.probes.texts import has_pci_vendor, numa_of, number, pci, percent, whole
from aquifer_agent.probes.tools import Tool, ToolProbe
from aquifer_agent.probes.types import Device, Figure, Pair

VENDOR, PCI_VENDOR = "kunlunxin", "0x1d22"
XPU_SMI = Tool("xpu_smi", "/usr/local/xpu/bin/xpu_smi", "/usr/local/bin/xpu_smi")
# Columns: address, board, device, serial, temperature, ..., 8 power, ..., 17 memory used, 18 memory, 19 busy, ...,
# 21 the model in quotes. Power is in watts on a P800 and in milliwatts on a K200.
_SERIAL, _HEAT, _POWER, _USED, _TOTAL, _BUSY, _MODEL = 3, 4, 8, 17, 18, 19, 21
_MOST_WATTS = 2000


class _Here(Tool):
    """The tool of two makers' name, where the device is this maker's."""

    def path(self) -> str | None:
        return super().path() if has_pci_vendor(PCI_VENDOR) else None


SAME_NAME = _Here("xpu-smi", "/usr/local/xpu/bin/xpu-smi")


def read() -> Iterator[Pair]:
    tool = XPU_SMI if XPU_SMI.path() is not None else SAME_NAME
    return iter(parse(tool.run("-m")))


probe = ToolProbe([XPU_SMI, SAME_NAME], read)


def parse(text: str) -> list[Pair]:
    found: list[Pair] = []
    for line in text.splitlines():
        try:
            row = shlex.split(line)
        except ValueError:  # an open quote: no line of a device
            continue
        address = pci(row[0]) if len(row) > _MODEL else None
        if address is None:
            continue
        # Two devices of one board share its serial number.
        uuid = f"{row[_SERIAL]}/{row[2]}" if row[_SERIAL].strip("0-") else address
        watts = number(row[_POWER])
        if watts is not None and watts > _MOST_WATTS:
            watts /= 1000
        device = Device(
            uuid, VENDOR, row[_MODEL].split()[0], whole(row[_TOTAL]) or 0, numa=numa_of(address),
            is_identified=uuid != address,
        )  # fmt: skip
        found.append((device, Figure(uuid, percent(row[_BUSY]), whole(row[_USED]), watts, number(row[_HEAT]))))
    return found
