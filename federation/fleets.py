"""Inventories to try things on: mixed fleets of any size by seed, and the public openb cluster from its file."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import MappingProxyType
from uuid import NAMESPACE_URL, uuid5

from federation.accelerators.catalogue import lookup
from federation.drivers.base import DeviceSeen, Health, NodeSeen

# Where nobody says how much memory a model has; a simulated card has to have some to hand out.
ASSUMED_MEMORY_MIB = 32768


@dataclass(frozen=True, slots=True)
class Chassis:
    """A server as it is bought with some accelerator."""

    cards: int
    cores: int
    memory_gib: int
    per_rack: int


_CHASSIS = {
    ("nvidia", "T4"): Chassis(4, 64, 256, 16),
    ("nvidia", "A10"): Chassis(4, 64, 256, 16),
    ("nvidia", "L40S"): Chassis(8, 128, 768, 8),
    ("nvidia", "A100-40G"): Chassis(8, 128, 1024, 6),
    ("nvidia", "A100-80G"): Chassis(8, 128, 2048, 6),
    ("nvidia", "H100"): Chassis(8, 192, 2048, 4),
    ("nvidia", "H200"): Chassis(8, 192, 2048, 4),
    ("nvidia", "B200"): Chassis(8, 224, 4096, 2),
    ("nvidia", "V100M32"): Chassis(16, 96, 1536, 4),
    ("amd", "MI300X"): Chassis(8, 192, 2304, 4),
    ("ascend", "310P"): Chassis(4, 64, 256, 12),
    ("ascend", "910B"): Chassis(8, 192, 1536, 4),
    ("cambricon", "MLU370-X8"): Chassis(8, 128, 1024, 8),
    ("iluvatar", "BI-V150"): Chassis(16, 128, 1024, 6),
}
_USUAL = Chassis(8, 128, 1024, 6)
_CPU_ONLY = Chassis(0, 128, 512, 20)

DEFAULT_MIX: Mapping[str, float] = MappingProxyType(
    {
        "nvidia/H100": 20,
        "nvidia/A100-80G": 18,
        "nvidia/L40S": 12,
        "nvidia/T4": 8,
        "nvidia/V100M32": 4,
        "ascend/910B": 14,
        "ascend/310P": 3,
        "amd/MI300X": 6,
        "cambricon/MLU370-X8": 4,
        "hygon/K100": 3,
        "moore-threads/S4000": 2,
        "iluvatar/BI-V150": 2,
        "metax/C500": 2,
        "enflame/S60": 1,
        "kunlunxin/P800": 1,
    }
)

# What each kind of site calls its machines.
_NODE_WORD = {
    "kubernetes": "node",
    "kvm": "kvm",
    "baremetal": "bm",
    "docker": "dock",
    "openstack": "compute",
    "vmware": "esxi",
    "slurm": "cn",
}
_UNHEALTHY_CARDS, _NOT_READY_NODES, _CPU_ONLY_NODES = 0.005, 0.01, 0.08


def generate(
    seed: int, accelerators: int = 2000, kind: str = "kubernetes", mix: Mapping[str, float] | None = None
) -> tuple[NodeSeen, ...]:
    """A fleet with exactly that many accelerators, the same for the same arguments, names and UUIDs included.

    `mix` maps "vendor/model" to its weight. Beside the accelerator nodes there are some without any, and a
    few cards and nodes are not well, as in life.
    """
    random = Random(f"fleet:{seed}:{kind}")
    nodes: list[NodeSeen] = []
    numbers: dict[str, int] = {}
    rack, in_rack = 1, 0
    for vendor, model, chassis, cards in _servers(accelerators, mix or DEFAULT_MIX):
        if in_rack >= chassis.per_rack or (nodes and not _same_row(nodes[-1], model)):
            rack, in_rack = rack + 1, 0
        in_rack += 1
        number = numbers[model] = numbers.get(model, -1) + 1
        name = f"{_NODE_WORD.get(kind, 'node')}-{model.lower() or 'cpu'}-{number:03d}"
        devices = tuple(_device(seed, name, index, vendor, model, cards, random) for index in range(cards))
        is_ready = random.random() >= _NOT_READY_NODES
        nodes.append(
            NodeSeen(
                name=name,
                cpu_milli=chassis.cores * 1000,
                memory_mib=chassis.memory_gib * 1024,
                devices=devices,
                is_ready=is_ready,
                message="" if is_ready else "The node does not report.",
                rack=f"r{rack:02d}",
                labels={"model": model} if model else {},
            )
        )
    return tuple(nodes)


def openb_nodes(path: str | Path) -> list[NodeSeen]:
    """The nodes of the public openb cluster (cluster-trace-gpu-v2023) from its CSV: sn, cpu_milli, memory_mib,
    gpu, model. Raises OSError for a file that cannot be read and ValueError for one that is something else."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        missing = {"sn", "cpu_milli", "memory_mib", "gpu", "model"} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))}.")
        return [_openb_node(row) for row in rows]


def memory_of(vendor: str, model: str) -> int:
    return lookup(vendor, model).memory_mib or ASSUMED_MEMORY_MIB


def uuid_of(vendor: str, *parts: object) -> str:
    """A UUID in the vendor's manner that is the same for the same parts."""
    return f"{_UUID_PREFIX.get(vendor, 'XPU')}-{uuid5(NAMESPACE_URL, '/'.join(map(str, (vendor, *parts))))}"


_UUID_PREFIX = {"nvidia": "GPU", "amd": "GPU", "ascend": "NPU", "cambricon": "MLU", "hygon": "DCU", "enflame": "GCU"}


def _openb_node(row: Mapping[str, str]) -> NodeSeen:
    model = row["model"]
    vendor = "undisclosed" if model in {"G1", "G2", "G3"} else "nvidia"
    memory, cards = memory_of(vendor, model), int(row["gpu"])
    return NodeSeen(
        name=row["sn"],
        cpu_milli=int(row["cpu_milli"]),
        memory_mib=int(row["memory_mib"]),
        devices=tuple(
            DeviceSeen(index, uuid_of(vendor, "openb", row["sn"], index), vendor, model, memory)
            for index in range(cards)
        ),
    )


def _servers(accelerators: int, mix: Mapping[str, float]) -> Iterator[tuple[str, str, Chassis, int]]:
    """(vendor, model, chassis, cards) of each server; CPU-only ones last."""
    count = 0
    for (vendor, model), share in _shares(accelerators, mix).items():
        chassis = _CHASSIS.get((vendor, model), _USUAL)
        for first in range(0, share, chassis.cards):
            count += 1
            yield vendor, model, chassis, min(chassis.cards, share - first)
    for _ in range(round(count * _CPU_ONLY_NODES)):
        yield "", "", _CPU_ONLY, 0


def _shares(accelerators: int, mix: Mapping[str, float]) -> dict[tuple[str, str], int]:
    """Whole cards per model, by weight; they add up to `accelerators`. Whole chassis as far as it goes."""
    total = sum(mix.values())
    if accelerators < 0 or total <= 0 or min(mix.values()) < 0:
        raise ValueError("A fleet needs a count of accelerators and a mix with weights above 0.")
    shares: dict[tuple[str, str], int] = {}
    left = accelerators
    for word, weight in sorted(mix.items(), key=lambda item: (item[1], item[0])):
        vendor, _, model = word.partition("/")
        if not model:
            raise ValueError(f"{word!r} in the mix is not of the form vendor/model.")
        size = _CHASSIS.get((vendor, model), _USUAL).cards
        share = min(left, round(accelerators * weight / total / size) * size)
        shares[(vendor, model)] = share
        left -= share
    if shares:  # the heaviest, which came last, takes what rounding left
        shares[(vendor, model)] += left
    return {key: shares[key] for key in reversed(shares) if shares[key]}


def _same_row(before: NodeSeen, model: str) -> bool:
    return before.labels.get("model", "") == model


def _device(seed: int, node: str, index: int, vendor: str, model: str, cards: int, random: Random) -> DeviceSeen:
    return DeviceSeen(
        index=index,
        uuid=uuid_of(vendor, seed, node, index),
        vendor=vendor,
        model=model,
        memory_mib=memory_of(vendor, model),
        health=Health.UNHEALTHY if random.random() < _UNHEALTHY_CARDS else Health.HEALTHY,
        numa=0 if index < (cards + 1) // 2 else 1,
    )
