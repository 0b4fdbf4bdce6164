"""Huawei Ascend by npu-smi. Its only machine-readable form is `Name : value`, so the summary table is read first."""

import re
from collections.abc import Iterator

from aquifer_agent.probes.texts import cells, numa_of, number, pci, percent, sections, whole
from aquifer_agent.probes.tools import Tool, ToolFailed, ToolProbe
from aquifer_agent.probes.types import HEALTHY, PARTITIONED, UNHEALTHY, UNKNOWN, Device, Figure, Pair

VENDOR = "ascend"
NPU_SMI = Tool("npu-smi", "/usr/local/bin/npu-smi", "/usr/local/sbin/npu-smi")
# "Warning" is above a threshold and goes on working; "Alarm" and "Critical" are told as failures by the vendor.
_HEALTH = {"OK": HEALTHY, "Warning": HEALTHY, "Alarm": UNHEALTHY, "Critical": UNHEALTHY}
_USED = re.compile(r"(\d+)\s*/\s*(\d+)")
_SERIAL = re.compile(r"^\s*(?:VDie ID|Serial Number)\s*:\s*(\S.*?)\s*$", re.MULTILINE)
_VNPU_HEAD = re.compile(r"^\s*(?:\|?\s*)Vnpu ID\s*:\s*(\d+)", re.IGNORECASE)
_serials: dict[str, str] = {}  # by PCI address: a serial does not change, and asking takes a second


def read() -> Iterator[Pair]:
    for npu, chip, device, figure in summary(NPU_SMI.run("info")):
        address = device.uuid
        if address not in _serials:
            _serials[address] = serial(npu, chip, address)
        uuid = _serials[address]
        is_identified = uuid != address
        yield (
            Device(
                uuid, VENDOR, device.model, device.memory_mib, device.health, numa_of(address),
                is_identified=is_identified,
            ),
            Figure(uuid, figure.busy_percent, figure.memory_used_mib, figure.power_watts, figure.temperature_celsius),
        )  # fmt: skip
        for part in parts(vnpu_text(npu, chip), uuid, device.model):
            yield part, Figure(part.uuid)


probe = ToolProbe([NPU_SMI], read)


def summary(text: str) -> list[tuple[str, str, Device, Figure]]:
    """NPU and chip number, and what `npu-smi info` shows of each chip in two lines. Its uuid is its PCI address yet."""
    found: list[tuple[str, str, Device, Figure]] = []
    first: list[str] | None = None
    for row in (cells(line) for line in text.splitlines()):
        if len(row) != 3:
            first = None
        elif first is None:
            first = row if row[1] in _HEALTH or row[1] == "UNKNOWN" else None
        else:
            npu, _, model = first[0].partition(" ")
            address = pci(row[1])
            if address is not None:
                found.append(_chip(npu, model.strip(), row[0].split()[0], address, first, row))
            first = None
    return found


def _chip(
    npu: str, model: str, chip: str, address: str, first: list[str], second: list[str]
) -> tuple[str, str, Device, Figure]:
    busy, *_ = second[2].split() or [""]
    # The last pair is HBM, the one before it DDR: chips have the one or the other, and 0 of the other.
    used, total = next(((int(u), int(t)) for u, t in reversed(_USED.findall(second[2])) if int(t)), (0, 0))
    power, temperature, *_ = [*first[2].split(), "", ""]
    device = Device(address, VENDOR, model, total, _HEALTH.get(first[1], UNKNOWN))
    return npu, chip, device, Figure(address, percent(busy), used, number(power), number(temperature))


def serial(npu: str, chip: str, address: str) -> str:
    """The die's own id, where the driver tells it; its place otherwise."""
    for words in (("info", "-t", "board", "-i", npu, "-c", chip), ("info", "-t", "board", "-i", npu)):
        try:
            text = NPU_SMI.run(*words)
        except ToolFailed:
            continue
        if found := re.search(r"^\s*VDie ID\s*:\s*(\S.*?)\s*$", text, re.MULTILINE):
            return "-".join(found[1].split())
        found = re.search(r"^\s*Serial Number\s*:\s*(\S+)\s*$", text, re.MULTILINE)
        if found and found[1] not in ("NA", "N/A"):
            return f"{found[1]}/{chip}"
    return address


def vnpu_text(npu: str, chip: str) -> str:
    try:
        return NPU_SMI.run("info", "-t", "info-vnpu", "-i", npu, "-c", chip)
    except ToolFailed:  # most chips cannot be divided, and the tool fails on them
        return ""


def parts(text: str, card: str, model: str) -> list[Device]:
    """vNPUs. No recorded output of `info-vnpu` could be found: read by its documented field names alone."""
    found = []
    for head, values in sections(text, _VNPU_HEAD):
        template = next((v for name, v in values.items() if name.lower().startswith("template")), "") or "vnpu"
        memory = next((v for name, v in values.items() if "memory" in name.lower()), None)
        found.append(
            Device(
                f"{card}/vnpu{head[1]}", VENDOR, f"{model}/{template.lower()}", whole(memory) or 0,
                parent_uuid=card, mode=PARTITIONED, resource=template,
            )
        )  # fmt: skip
    return found
