"""NVIDIA by nvidia-smi, where there is no nvidia-ml-py: `-q -x` for the cards, `-L` for the names of MIG's parts."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from aquifer_agent.probes.nvidia_names import model_name
from aquifer_agent.probes.texts import numa_of, number, pci, percent, whole
from aquifer_agent.probes.tools import Tool, ToolFailed, ToolProbe
from aquifer_agent.probes.types import HEALTHY, PARTITIONED, UNHEALTHY, Device, Figure, Pair

VENDOR = "nvidia"
NVIDIA_SMI = Tool("nvidia-smi", "/usr/bin/nvidia-smi")
_LISTED = re.compile(r"^\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (\S+)\)", re.MULTILINE)
_CARD = re.compile(r"^GPU \d+: .*\(UUID: (\S+)\)", re.MULTILINE)
Names = dict[tuple[str, str], tuple[str, str]]  # by card and MIG device: profile and uuid


def read() -> Iterator[Pair]:
    text = NVIDIA_SMI.run("-q", "-x")
    return iter(parse(text, listing(NVIDIA_SMI.run("-L")) if "<mig_device>" in text else {}))


probe = ToolProbe([NVIDIA_SMI], read)


def listing(text: str) -> Names:
    found: Names = {}
    heads = [*_CARD.finditer(text)]
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        below = text[head.end() : following.start() if following else len(text)]
        found |= {(head[1], index): (profile, uuid) for profile, index, uuid in _LISTED.findall(below)}
    return found


def parse(text: str, names: Names) -> list[Pair]:
    if "<!ENTITY" in text:
        raise ToolFailed("nvidia-smi printed XML with entities of its own.")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - the machine's own tool; entities are refused above
    except ElementTree.ParseError as error:
        raise ToolFailed(f"nvidia-smi printed no XML: {error}.") from error
    return [pair for gpu in root.iter("gpu") for pair in _card(gpu, names)]


def _card(gpu: ElementTree.Element, names: Names) -> Iterator[Pair]:
    address = pci(gpu.get("id") or "")
    uuid = _say(gpu, "uuid") or address or ""
    memory = whole(_say(gpu, "fb_memory_usage/total")) or 0
    is_cut = _say(gpu, "mig_mode/current_mig") == "Enabled"
    has_failed = "Yes" in (
        _say(gpu, "remapped_rows/remapped_row_failure"), _say(gpu, "retired_pages/pending_retirement"),
    )  # fmt: skip
    card = Device(
        uuid, VENDOR, model_name(_say(gpu, "product_name"), memory), memory, UNHEALTHY if has_failed else HEALTHY,
        numa_of(address), mode=PARTITIONED if is_cut else "exclusive",
    )  # fmt: skip
    watts = _say(gpu, "gpu_power_readings/power_draw") or _say(gpu, "gpu_power_readings/instant_power_draw")
    yield card, Figure(
        uuid, percent(_say(gpu, "utilization/gpu_util")), whole(_say(gpu, "fb_memory_usage/used")),
        number(watts or _say(gpu, "power_readings/power_draw")), number(_say(gpu, "temperature/gpu_temp")),
    )  # fmt: skip
    for part in gpu.iter("mig_device"):
        profile, own = names.get((uuid, _say(part, "index")), ("", _say(part, "uuid")))
        if not own or not profile:
            continue  # nobody could be granted what has no name
        yield (
            Device(
                own, VENDOR, f"{card.model}/{profile}", whole(_say(part, "fb_memory_usage/total")) or 0, card.health,
                card.numa, parent_uuid=uuid, mode=PARTITIONED, resource=f"mig-{profile}",
            ),
            Figure(own, memory_used_mib=whole(_say(part, "fb_memory_usage/used"))),
        )  # fmt: skip


def _say(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
