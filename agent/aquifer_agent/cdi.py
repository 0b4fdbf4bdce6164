"""How cards are given to a container by a command line.

By CDI where a file of the vendor's names them, else as the engine or the vendor's runtime wants it,
or by device files.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aquifer_agent.orders import Refused

FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
_MOST_BYTES = 4 << 20
_KIND = re.compile(r"""^kind:\s*["']?([A-Za-z0-9._/-]+)""", re.MULTILINE)
_NAME = re.compile(r"""^\s*-?\s*name:\s*["']?([A-Za-z0-9._:-]+)""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Vendor:
    variable: str  # by which its runtime, or the library inside, knows what may be seen
    by_index: bool = False
    domains: tuple[str, ...] = ()  # of its CDI files
    paths: tuple[str, ...] = ()  # of one card; {index} is its number
    shared_paths: tuple[str, ...] = ()


VENDORS: Mapping[str, Vendor] = {
    "nvidia": Vendor("NVIDIA_VISIBLE_DEVICES", domains=("nvidia.com",)),
    "amd": Vendor("AMD_VISIBLE_DEVICES", by_index=True, domains=("amd.com",), shared_paths=("/dev/kfd", "/dev/dri")),
    "ascend": Vendor(
        "ASCEND_VISIBLE_DEVICES", by_index=True, domains=("huawei.com", "ascend.com"), paths=("/dev/davinci{index}",),
        shared_paths=("/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"),
    ),
    "cambricon": Vendor(
        "CAMBRICON_VISIBLE_DEVICES", by_index=True, domains=("cambricon.com",), paths=("/dev/cambricon_dev{index}",),
        shared_paths=("/dev/cambricon_ctl",),
    ),
    "kunlunxin": Vendor(
        "XPU_VISIBLE_DEVICES", by_index=True, domains=("kunlunxin.com", "baidu.com"), paths=("/dev/xpu{index}",),
        shared_paths=("/dev/xpuctrl",),
    ),
}  # fmt: skip


@dataclass(slots=True)
class Handing:
    words: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)


def handing(
    cards: Sequence[Mapping[str, Any]], runtime: str, *, knows_cdi: bool, folders: Sequence[Path] = FOLDERS
) -> Handing:
    """Raises Refused when there is no way to give one of them, and only it, to a container."""
    found = Handing(env={"NVIDIA_VISIBLE_DEVICES": "void"})  # images say "all" by themselves
    named = names(folders) if knows_cdi and cards else {}
    for vendor in sorted({str(card["vendor"]) for card in cards}):
        mine = [card for card in cards if card["vendor"] == vendor]
        row = VENDORS.get(vendor)
        if row is None:
            raise Refused("NotHandedOut", f"This agent knows no way to give cards of {vendor[:60]} to a container.")
        seen = ",".join(str(card["index"] if row.by_index else card["uuid"]) for card in mine)
        found.env[row.variable] = seen
        by_cdi = [_named(card, row, named) for card in mine]
        if all(by_cdi):
            found.words += [f"--device={name}" for name in by_cdi]
        elif vendor == "nvidia":
            found.words += _nvidia(mine, runtime)
        elif row.paths or row.shared_paths:
            paths = [path.format(index=card["index"]) for card in mine for path in row.paths]
            found.words += [f"--device={path}" for path in dict.fromkeys([*paths, *row.shared_paths])]
    return found


def _nvidia(cards: Sequence[Mapping[str, Any]], runtime: str) -> list[str]:
    if runtime == "podman":
        raise Refused("NotHandedOut", "Podman gives out cards of NVIDIA by CDI: run nvidia-ctk cdi generate here.")
    return [f'--gpus="device={",".join(str(card["uuid"]) for card in cards)}"']


def _named(card: Mapping[str, Any], row: Vendor, named: Mapping[str, set[str]]) -> str:
    """By its uuid; a number may be another card's in another's count."""
    for kind, devices in named.items():
        if kind.partition("/")[0] in row.domains and str(card["uuid"]) in devices:
            return f"{kind}={card['uuid']}"
    return ""


def names(folders: Sequence[Path] = FOLDERS) -> dict[str, set[str]]:
    """The devices that CDI files name, by kind: {"nvidia.com/gpu": {"0", "GPU-…", "all"}}."""
    found: dict[str, set[str]] = {}
    for path in _files(folders):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")[:_MOST_BYTES]
        except OSError:
            continue
        kind, devices = _of_json(text) if path.suffix == ".json" else _of_yaml(text)
        if kind:
            found.setdefault(kind, set()).update(devices)
    return found


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_dir():
            yield from sorted(path for path in folder.iterdir() if path.suffix in (".json", ".yaml", ".yml"))


def _of_json(text: str) -> tuple[str, set[str]]:
    try:
        whole = json.loads(text)
        return str(whole["kind"]), {str(device["name"]) for device in whole["devices"]}
    except (ValueError, KeyError, TypeError):
        return "", set()


def _of_yaml(text: str) -> tuple[str, set[str]]:
    """As the vendors' tools write it: there is no reader of YAML in Python, and two words of it are wanted."""
    kind = _KIND.search(text)
    return (kind[1], set(_NAME.findall(text))) if kind else ("", set())
