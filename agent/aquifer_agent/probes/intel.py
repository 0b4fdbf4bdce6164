"""Intel data centre GPUs by xpu-smi's JSON. On a machine with Kunlunxin's devices xpu-smi is another tool."""

import json
from collections.abc import Iterator
from typing import Any

from aquifer_agent.probes.texts import has_pci_vendor, numa_of, number, pci, percent
from aquifer_agent.probes.tools import Tool, ToolFailed, ToolProbe
from aquifer_agent.probes.types import Device, Figure, Pair

VENDOR, OTHERS_PCI_VENDOR = "intel", "0x1d22"


class _Ours(Tool):
    def path(self) -> str | None:
        return None if has_pci_vendor(OTHERS_PCI_VENDOR) else super().path()


XPU_SMI = _Ours("xpu-smi", "/usr/bin/xpu-smi")


def read() -> Iterator[Pair]:
    for listed in json.loads(XPU_SMI.run("discovery", "-j")).get("device_list", []):
        if listed.get("device_function_type", "physical") != "physical":
            continue  # a virtual function is its card's part for a virtual machine
        name = str(listed["device_id"])
        facts = {**listed, **_asked("discovery", "-d", name, "-j")}
        yield card(facts, _asked("stats", "-d", name, "-j"))


probe = ToolProbe([XPU_SMI], read)


def _asked(*words: str) -> dict[str, Any]:
    try:
        said = json.loads(XPU_SMI.run(*words))
    except (ToolFailed, ValueError):  # details and figures may be closed to us; the card is there
        return {}
    return said if isinstance(said, dict) else {}


def card(facts: dict[str, Any], stats: dict[str, Any]) -> Pair:
    address = pci(str(facts.get("pci_bdf_address") or ""))
    uuid = str(facts.get("uuid") or address or facts["device_id"])
    model = str(facts["device_name"]).replace("(R)", "").replace("(TM)", "")
    device = Device(
        uuid, VENDOR, " ".join(model.removeprefix("Intel ").split()),
        int(number(facts.get("memory_physical_size_byte")) or 0) >> 20, numa=numa_of(address),
    )  # fmt: skip
    used = metric(stats, "XPUM_STATS_MEMORY_USED", sum)
    return device, Figure(
        uuid, percent(metric(stats, "XPUM_STATS_GPU_UTILIZATION", _mean)),
        None if used is None else _mib(used),
        metric(stats, "XPUM_STATS_POWER", sum), metric(stats, "XPUM_STATS_GPU_CORE_TEMPERATURE", max),
    )  # fmt: skip


def metric(stats: dict[str, Any], name: str, add: Any) -> float | None:
    """Of the device; where only its tiles have it, theirs together."""
    tiles = [entry for tile in stats.get("tile_level") or [] for entry in tile.get("data_list") or []]
    for entries in (stats.get("device_level") or [], tiles):
        values = [v for e in entries if e.get("metrics_type") == name and (v := number(e.get("value"))) is not None]
        if values:
            return float(add(values))
    return None


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _mib(amount: float) -> int:
    """Older tools say bytes, newer ones MiB: no card has so much that the two could be confused."""
    return int(amount) >> 20 if amount > 1 << 24 else int(amount)
