"""Hygon DCU by hy-smi: its JSON, which some versions print with commas missing between members."""

import json
import re
from collections.abc import Iterator
from typing import Any

from aquifer_agent.probes.texts import numa_of, number, pci, percent, whole
from aquifer_agent.probes.tools import Tool, ToolFailed, ToolProbe
from aquifer_agent.probes.types import Device, Figure, Pair

VENDOR = "hygon"
HY_SMI = Tool("hy-smi", "/opt/hyhal/bin/hy-smi", "/opt/dtk/bin/hy-smi")
_ASK = (
    "--showproductname", "--showuniqueid", "--showserial", "--showbus", "--showuse", "--showmeminfo", "vram",
    "--showpower", "--showtemp", "--json",
)  # fmt: skip
_LOST_COMMA = re.compile(r'("|\})\s*(?="[^"]+"\s*:)')


def read() -> Iterator[Pair]:
    return iter(parse(HY_SMI.run(*_ASK)))


probe = ToolProbe([HY_SMI], read)


def mended(text: str) -> Any:
    """The object in what was printed; commas that are missing are put back, lines around it are left out."""
    body = text[text.find("{") : text.rfind("}") + 1]
    if not body:
        raise ToolFailed("hy-smi printed no JSON.")
    try:
        return json.loads(body)
    except ValueError:
        return json.loads(_LOST_COMMA.sub(r"\1,", body))


def parse(text: str) -> list[Pair]:
    cards = mended(text)
    names = sorted((n for n in cards if re.fullmatch(r"card\d+", n)), key=lambda n: int(n[4:]))
    return [_card(name, cards[name]) for name in names]


def _card(place: str, values: dict[str, Any]) -> Pair:
    address = pci(str(values.get("PCI Bus") or ""))
    own = next((str(values[n]) for n in ("Unique ID", "Serial Number") if values.get(n) not in (None, "", "N/A")), "")
    uuid = own or address or place
    total, used = (_mib(values, f"vram Total {word}Memory") for word in ("", "Used "))
    device = Device(
        uuid, VENDOR, str(values.get("Card Series") or values.get("Card Model") or "DCU").strip(), total or 0,
        numa=numa_of(address), is_identified=bool(own),
    )  # fmt: skip
    busy = next((values[n] for n in ("HCU use (%)", "DCU use (%)", "GPU use (%)") if n in values), None)
    heat = next((v for n, v in values.items() if n.startswith("Temperature (Sensor junction")), None) or values.get(
        "Temperature (Sensor edge) (C)"
    )
    return device, Figure(
        uuid, percent(busy), used, number(values.get("Average Graphics Package Power (W)")), number(heat)
    )


def _mib(values: dict[str, Any], name: str) -> int | None:
    """`vram Total Memory (MiB)` of today's tool, `VRAM Total Memory (B)` of yesterday's."""
    if (mib := whole(values.get(f"{name} (MiB)"))) is not None:
        return mib
    octets = whole(values.get(f"{name.replace('vram', 'VRAM')} (B)"))
    return None if octets is None else octets >> 20
