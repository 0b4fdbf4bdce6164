"""AMD by amd-smi's JSON, and by rocm-smi's where that is all there is. Compute partitions are told as parts."""

import json
import re
from collections.abc import Iterator
from typing import Any

from aquifer_agent.probes.texts import numa_of, number, pci, percent
from aquifer_agent.probes.tools import Tool, ToolFailed, ToolProbe
from aquifer_agent.probes.types import HEALTHY, PARTITIONED, UNHEALTHY, Device, Figure, Pair

VENDOR = "amd"
AMD_SMI = Tool("amd-smi", "/opt/rocm/bin/amd-smi", "/usr/bin/amd-smi")
ROCM_SMI = Tool("rocm-smi", "/opt/rocm/bin/rocm-smi", "/usr/bin/rocm-smi")
_ROCM_ASK = (
    "--showproductname", "--showuniqueid", "--showserial", "--showbus", "--showuse", "--showmeminfo", "vram",
    "--showpower", "--showtemp", "--json",
)  # fmt: skip
_MODEL = re.compile(r"^(AMD\s+)?(Instinct\s+)?", re.IGNORECASE)


def read() -> Iterator[Pair]:
    if AMD_SMI.path() is None:
        return iter(parse_rocm(ROCM_SMI.run(*_ROCM_ASK)))
    static, listed = AMD_SMI.run("static", "--json"), _optional("list", "--json")
    return iter(parse(static, AMD_SMI.run("metric", "--json"), listed, _optional("partition", "--current", "--json")))


def _optional(*words: str) -> str:
    try:
        return AMD_SMI.run(*words)
    except ToolFailed:  # older tools lack it; root alone may ask some
        return "[]"


probe = ToolProbe([AMD_SMI, ROCM_SMI], read)


def parse(static: str, metrics: str, listed: str = "[]", partitions: str = "[]") -> list[Pair]:
    facts, figures, names = (_by_gpu(json.loads(text), "gpu") for text in (static, metrics, listed))
    modes = _by_gpu(json.loads(partitions), "gpu_id")
    found: list[Pair] = []
    for gpu, fact in sorted(facts.items()):
        found += _card(gpu, fact, figures.get(gpu, {}), names.get(gpu, {}), modes.get(gpu, {}), found)
    return found


def _by_gpu(value: Any, key: str) -> dict[int, dict[str, Any]]:
    """Lists, and objects of one list ("gpu_data", "current_partition"): the shape differs between versions."""
    if isinstance(value, dict):
        value = next((v for v in value.values() if isinstance(v, list)), [value])
    return {int(item[key]): item for item in value if isinstance(item, dict) and str(item.get(key, "")).isdigit()}


def _card(
    gpu: int, fact: dict[str, Any], figure: dict[str, Any], name: dict[str, Any], mode: dict[str, Any],
    before: list[Pair],
) -> list[Pair]:  # fmt: skip
    address = pci(str(name.get("bdf") or at(fact, "bus", "bdf") or ""))
    serial = str(at(fact, "asic", "asic_serial") or "")
    own = str(name.get("uuid") or "") or (serial if serial.removeprefix("0x").strip("0") not in ("", "N/A") else "")
    uuid = own or address or f"gpu{gpu}"
    model = _MODEL.sub("", str(at(fact, "asic", "market_name") or "GPU")).strip()
    memory = amount(at(fact, "vram", "size")) or amount(at(figure, "mem_usage", "total_vram")) or 0.0
    errors = number(at(figure, "ecc", "total_uncorrectable_count")) or 0
    kind = str(mode.get("accelerator_type") or mode.get("compute_partition") or "").rstrip("*").upper()
    device = Device(
        uuid, VENDOR, model, int(memory), UNHEALTHY if errors else HEALTHY, numa_of(address) if address else None,
        is_identified=bool(own),
    )  # fmt: skip
    pair = device, Figure(
        uuid, percent(amount(at(figure, "usage", "gfx_activity"))),
        _whole(amount(at(figure, "mem_usage", "used_vram"))),
        amount(at(figure, "power", "socket_power")) or amount(at(figure, "power", "current_socket_power")),
        _heat(figure),
    )  # fmt: skip
    if kind in ("", "N/A", "SPX"):
        return [pair]
    return _parted(pair, kind, address, before)


def _parted(pair: Pair, kind: str, address: str | None, before: list[Pair]) -> list[Pair]:
    """A card in compute partitions: the driver shows each as a GPU, and their addresses differ in the function alone.

    No recorded output of such a card could be found, so its memory is left to the catalogue.
    """
    device, figure = pair
    board = (address or device.uuid).rpartition(".")[0] or device.uuid
    card = next((d for d, _ in before if d.uuid == f"{VENDOR}/{board}"), None)
    part = Device(
        device.uuid, VENDOR, f"{device.model}/{kind.lower()}", device.memory_mib, device.health, device.numa,
        parent_uuid=f"{VENDOR}/{board}", mode=PARTITIONED, resource=kind, is_identified=device.is_identified,
    )  # fmt: skip
    whole_card = Device(
        f"{VENDOR}/{board}", VENDOR, device.model, 0, device.health, device.numa, mode=PARTITIONED, is_identified=False
    )
    return [(part, figure)] if card else [(whole_card, Figure(whole_card.uuid)), (part, figure)]


def at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def amount(value: Any) -> float | None:
    """12, "12 W", {"value": 12, "unit": "W"}; memory in MiB, whatever its unit."""
    unit = ""
    if isinstance(value, dict):
        value, unit = value.get("value"), str(value.get("unit") or "")
    found = number(value)
    if found is None:
        return None
    return found / (1 << 20) if unit == "B" else found * 1024 if unit == "GB" else found


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _heat(figure: dict[str, Any]) -> float | None:
    return next((h for n in ("hotspot", "edge") if (h := amount(at(figure, "temperature", n))) is not None), None)


def parse_rocm(text: str) -> list[Pair]:
    cards = json.loads(text[text.find("{") :])
    names = sorted((n for n in cards if re.fullmatch(r"card\d+", n)), key=lambda n: int(n[4:]))
    return [_rocm_card(name, cards[name]) for name in names]


def _rocm_card(place: str, values: dict[str, Any]) -> Pair:
    address = pci(str(values.get("PCI Bus") or ""))
    own = next((str(values[n]) for n in ("Unique ID", "Serial Number") if values.get(n) not in (None, "", "N/A")), "")
    uuid = own or address or place
    named = (values.get(n) for n in ("Card Series", "Card series", "Card Model"))
    model = next((str(name) for name in named if name not in (None, "N/A")), "GPU")
    total, used = (number(values.get(f"VRAM Total {w}Memory (B)")) for w in ("", "Used "))
    watts = next((v for n, v in values.items() if "Package Power" in n and "Max" not in n), None)
    heats = (values.get(f"Temperature (Sensor {sensor}) (C)") for sensor in ("junction", "edge"))
    heat = next((value for value in heats if value is not None), None)
    device = Device(
        uuid,
        VENDOR,
        _MODEL.sub("", model).strip(),
        int(total or 0) >> 20,
        numa=numa_of(address),
        is_identified=bool(own),
    )
    return device, Figure(
        uuid, percent(values.get("GPU use (%)")), None if used is None else int(used) >> 20, number(watts), number(heat)
    )
