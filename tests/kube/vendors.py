"""Nodes as the plugins of each vendor make them: resources, labels, annotations, ResourceSlices. Data, not code.

Names and formats are those of the plugins themselves (the repository is named at each), so that an inventory that reads
these reads real clusters. Figures are of usual servers.
"""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Annotations = Callable[[str], dict[str, str]]
"""From the node's name, since it makes the UUIDs."""

_NAMESPACE = uuid.UUID("6f0f4a0c-57c2-4a0e-9b1d-3a7b1c0e5d11")


@dataclass(frozen=True)
class Slice:
    """One DRA driver's devices on a node: name, attributes, capacity of each."""

    driver: str
    devices: Callable[[str], list[dict[str, Any]]]


@dataclass(frozen=True)
class NodeKind:
    cards: int  # physical ones, whatever is advertised
    resources: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Annotations = lambda name: {}
    slices: Sequence[Slice] = ()
    is_arm: bool = False


def card_uuid(node: str, index: int, prefix: str = "GPU-") -> str:
    """The same card of the same node always has the same UUID."""
    return f"{prefix}{uuid.uuid5(_NAMESPACE, f'{node}/{index}')}"


# -- HAMi: github.com/Project-HAMi/HAMi, pkg/device/devices.go and pkg/device/<vendor> --------------------------------


@dataclass(frozen=True)
class Hami:
    """What HAMi registers of each card: split count, MiB, compute, type."""

    key: str
    handshake: str
    count: int
    memory_mib: int
    cores: int
    type: str
    cards: int
    mode: str = "hami-core"
    prefix: str = "GPU-"
    unhealthy: tuple[int, ...] = ()

    def as_json(self, node: str) -> dict[str, str]:
        """Since 2.6. Zero, False and "" are left out, as Go does: the first card has no index, a bad one no health."""
        devices = []
        for index in range(self.cards):
            device: dict[str, Any] = {
                "id": card_uuid(node, index, self.prefix),
                "index": index,
                "count": self.count,
                "devmem": self.memory_mib,
                "devcore": self.cores,
                "type": self.type,
                "numa": index * 2 // self.cards,
                "mode": self.mode,
                "health": index not in self.unhealthy,
            }
            devices.append({key: value for key, value in device.items() if value})
        return {self.key: json.dumps(devices, separators=(",", ":")), self.handshake: "Reported 2026-01-05 08:00:00"}

    def as_text(self, node: str, fields: int = 7) -> dict[str, str]:
        """Before, and some vendors still: id,count,memory,cores,type,numa,health[,index,mode], a colon after each."""
        text = ""
        for index in range(self.cards):
            health = str(index not in self.unhealthy).lower()
            values = [card_uuid(node, index, self.prefix), self.count, self.memory_mib, self.cores, self.type]
            values += [index * 2 // self.cards, health, index, self.mode]
            text += ",".join(map(str, values[:fields])) + ":"
        return {self.key: text, self.handshake: "Requesting_2026.01.05 08:00:00"}


_HAMI_A100 = Hami("hami.io/node-nvidia-register", "hami.io/node-handshake", 10, 81920, 100, "NVIDIA A100-SXM4-80GB", 8)
_HAMI_V100 = Hami(
    "hami.io/node-nvidia-register", "hami.io/node-handshake", 10, 32768, 100, "NVIDIA-Tesla V100-PCIE-32GB", 2,
    unhealthy=(1,),
)  # fmt: skip
_HAMI_ASCEND = Hami(
    "hami.io/node-register-Ascend910B4", "hami.io/node-handshake-Ascend910B4", 4, 32768, 20, "Ascend910B4", 8,
    mode="", prefix="",
)  # fmt: skip
_HAMI_HYGON = Hami(
    "hami.io/node-dcu-register", "hami.io/node-handshake-dcu", 4, 65520, 60, "DCU-K100_AI", 8, prefix="DCU-"
)
_HAMI_XPU = Hami("hami.io/node-register-xpu", "hami.io/node-handshake-xpu", 4, 98304, 100, "XPU", 8, mode="", prefix="")


def _metax_shared(node: str) -> dict[str, str]:
    """The vendor's own annotation, read by HAMi: pkg/device/metax/protocol.go."""
    cards = [
        {
            "uuid": card_uuid(node, index),
            "bdf": f"0000:{0x0F + index:02x}:00.0",
            "model": "MXC500",
            "totalDevCount": 16,
            "totalCompute": 100,
            "totalVRam": 65536,
            "numa": index // 4,
            "healthy": True,
            "linkZone": index // 4 + 1,
        }
        for index in range(8)
    ]
    return {"metax-tech.com/node-gpu-devices": json.dumps(cards)}


# -- DRA: github.com/kubernetes-sigs/dra-driver-nvidia-gpu, cmd/gpu-kubelet-plugin/deviceinfo.go ----------------------


def _text(**values: str) -> dict[str, Any]:
    return {name: {"string": value} for name, value in values.items()}


def _nvidia_attributes(product: str, architecture: str, capability: str) -> dict[str, Any]:
    versions = {"cudaComputeCapability": capability, "driverVersion": "580.105.8", "cudaDriverVersion": "13.0.0"}
    return {
        **_text(productName=product, brand="Nvidia", architecture=architecture),
        **{name: {"version": value} for name, value in versions.items()},
    }


def _pci(index: int) -> dict[str, Any]:
    return _text(**{
        "resource.kubernetes.io/pciBusID": f"0000:{0x53 + 0x11 * index:02x}:00.0",
        "resource.kubernetes.io/pcieRoot": f"pci0000:{0x44 + 0x11 * index:02x}",
    })  # fmt: skip


def _nvidia_whole(node: str) -> list[dict[str, Any]]:
    common = _nvidia_attributes("NVIDIA H100 80GB HBM3", "Hopper", "9.0.0")
    return [
        {
            "name": f"gpu-{index}",
            "attributes": {**_text(type="gpu", uuid=card_uuid(node, index)), **common, **_pci(index)},
            "capacity": {"memory": {"value": "81559Mi"}},
        }
        for index in range(8)
    ]


def _nvidia_parts(node: str) -> list[dict[str, Any]]:
    """Two cards, the second cut into two halves: then only its parts are published."""
    common = _nvidia_attributes("NVIDIA A100-SXM4-80GB", "Ampere", "8.0.0")
    whole = {
        "name": "gpu-0",
        "attributes": {**_text(type="gpu", uuid=card_uuid(node, 0)), **common, **_pci(0)},
        "capacity": {"memory": {"value": "81920Mi"}},
    }
    parts = []
    for start in (0, 4):
        own = _text(
            type="mig", profile="3g.40gb", uuid=card_uuid(node, 100 + start, "MIG-"), parentUUID=card_uuid(node, 1)
        )
        parts.append(
            {
                "name": f"gpu-1-mig-3g40gb-9-{start}",
                "attributes": {**own, **common, **_pci(1)},
                "capacity": {
                    "memory": {"value": "40192Mi"},
                    "multiprocessors": {"value": "42"},
                    **{f"memorySlice{number}": {"value": "1"} for number in range(start, start + 4)},
                },
            }
        )
    return [whole, *parts]


def _amd_whole(node: str) -> list[dict[str, Any]]:
    """github.com/ROCm/k8s-gpu-dra-driver, docs/driver-attributes.md. No uuid: the PCI address tells cards apart."""
    common = _text(type="amdgpu", productName="AMD_Instinct_MI300X_OAM", deviceID="0x74a1", partitionProfile="spx_nps1")
    return [
        {
            "name": f"gpu-{1 + 8 * index}-{128 + 8 * index}",
            "attributes": {
                **common,
                **_pci(index),
                "driverVersion": {"version": "6.12.12"},
                "numaNode": {"int": index // 2},
            },
            "capacity": {
                "memory": {"value": "196592Mi"},
                "computeUnits": {"value": "304"},
                "simdUnits": {"value": "1216"},
            },
        }
        for index in range(4)
    ]


# -- NVIDIA: github.com/NVIDIA/k8s-device-plugin, docs/gpu-feature-discovery ------------------------------------------


def _gfd(
    product: str, memory: int, count: int, replicas: int = 1, more: Mapping[str, str] | None = None
) -> dict[str, str]:
    labels = {
        "gpu.present": "true",
        "gpu.product": product,
        "gpu.memory": str(memory),
        "gpu.count": str(count),
        "gpu.replicas": str(replicas),
        "gpu.sharing-strategy": "time-slicing" if replicas > 1 else "none",
        "gpu.family": "ampere" if "A100" in product else "hopper",
        "gpu.compute.major": "8" if "A100" in product else "9",
        "gpu.compute.minor": "0",
        "gpu.machine": "HGX-server",
        "gpu.mode": "compute",
        "mig.capable": "true",
        "mps.capable": "false",
        "cuda.driver-version.full": "580.105.08",
        "cuda.runtime-version.full": "13.0",
        "gfd.timestamp": "1767600000",
        **(more or {}),
    }
    return {f"nvidia.com/{name}": value for name, value in labels.items()}


_MIXED = {  # of eight cards, four are whole and four are cut into 7, 2 x 3g or 3g + 2g + 2g
    "1g.10gb": (7, 9728, 14, 1),
    "2g.20gb": (2, 19968, 28, 2),
    "3g.40gb": (5, 40192, 42, 3),
}
_MIXED_LABELS = {
    f"mig-{profile}.{name}": str(value)
    for profile, (count, memory, processors, slices) in _MIXED.items()
    for name, value in (
        ("product", f"NVIDIA-A100-SXM4-80GB-MIG-{profile}"),
        ("count", count),
        ("replicas", 1),
        ("sharing-strategy", "none"),
        ("memory", memory),
        ("multiprocessors", processors),
        ("slices.gi", slices),
        ("slices.ci", slices),
    )
}

_AMD = {  # github.com/ROCm/k8s-device-plugin, cmd/k8s-node-labeller: both spellings, and the older with a count
    "device-id": "74a1",
    "family": "AI",
    "product-name": "AMD_Instinct_MI300X_OAM",
    "vram": "192G",
    "cu-count": "304",
    "simd-count": "1216",
}
_AMD_LABELS = {
    **{f"amd.com/gpu.{name}": value for name, value in _AMD.items()},
    **{f"beta.amd.com/gpu.{name}": value for name, value in _AMD.items()},
    **{f"beta.amd.com/gpu.{name}.{value}": "8" for name, value in _AMD.items()},
}


def _ascend(chip: str, series: str, server: str, **more: str) -> dict[str, str]:
    """gitcode.com/Ascend/mind-cluster: some set by people as its guide says, chip and server by the plugin."""
    return {
        "accelerator": f"huawei-{series}",
        "host-arch": "huawei-arm",
        "workerselector": "dls-worker-node",
        "masterselector": "dls-master-node",
        "node.kubernetes.io/npu.chip.name": chip,
        "servertype": server,
        **more,
    }


_METAX_LABELS = {  # MetaX GPU Operator
    "metax-tech.com/gpu.installed": "true",
    "metax-tech.com/gpu.product": "MXC500",
    "metax-tech.com/gpu.family": "MXC",
    "metax-tech.com/gpu.memory": "64GB",
    "metax-tech.com/gpu.driver.major": "2",
    "metax-tech.com/gpu.driver.minor": "12",
    "metax-tech.com/gpu.driver.mode": "cloud",
    "metax-tech.com/driver.ready": "true",
    "metax-tech.com/maca.ready": "true",
    "metax-tech.com/runtime.ready": "true",
}

_MTHREADS_LABELS = {"mthreads.com/gpu-node": "true", "mthreads.com/gpu.count": "8"}
_H100 = _gfd("NVIDIA-H100-80GB-HBM3", 81559, 8)

KINDS: dict[str, NodeKind] = {
    "cpu": NodeKind(0),
    "nvidia": NodeKind(8, {"nvidia.com/gpu": 8}, _H100),
    "nvidia-shared": NodeKind(
        2, {"nvidia.com/gpu": 8}, _gfd("NVIDIA-A100-SXM4-80GB-SHARED", 81920, 2, replicas=4)
    ),
    "nvidia-shared-renamed": NodeKind(  # renameByDefault: the product keeps its name
        2, {"nvidia.com/gpu.shared": 8}, _gfd("NVIDIA-A100-SXM4-80GB", 81920, 2, replicas=4)
    ),
    "nvidia-mig-single": NodeKind(
        8, {"nvidia.com/gpu": 56},
        _gfd("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", 9728, 56, more={
            "mig.strategy": "single", "gpu.multiprocessors": "14", "gpu.slices.gi": "1", "gpu.slices.ci": "1",
        }),
    ),
    "nvidia-mig-mixed": NodeKind(
        8, {"nvidia.com/gpu": 4, **{f"nvidia.com/mig-{profile}": row[0] for profile, row in _MIXED.items()}},
        _gfd("NVIDIA-A100-SXM4-80GB", 81920, 8, more={"mig.strategy": "mixed", **_MIXED_LABELS}),
    ),
    "amd": NodeKind(8, {"amd.com/gpu": 8}, _AMD_LABELS),
    "ascend-910b": NodeKind(
        8, {"huawei.com/Ascend910": 8}, is_arm=True,
        labels=_ascend("910B3", "Ascend910", "Ascend910B-20", **{"accelerator-type": "module-910b-8"}),
    ),
    "ascend-310p": NodeKind(
        4, {"huawei.com/Ascend310P": 4}, _ascend("310P3", "Ascend310P", "Ascend310P-8"), is_arm=True
    ),
    # github.com/Cambricon/cambricon-k8s-device-plugin: no labels; with --enable-device-type the name has the model
    "cambricon": NodeKind(8, {"cambricon.com/mlu": 8}),
    "cambricon-typed": NodeKind(8, {"cambricon.com/mlu370": 8}),
    # developer.sourcefind.cn, the guide of Hygon's own plugin
    "hygon": NodeKind(8, {"hygon.com/dcu": 8}, {
        "hygon.com/dcu": "true", "hygon.com/dcu.name": "K100_AI",
        "hygon.com/dcu.cu-count": "120", "hygon.com/dcu.vram": "64G",
    }),
    "metax": NodeKind(8, {"metax-tech.com/gpu": 8, "metax-tech.com/vfio-gpu": 0}, _METAX_LABELS),
    # docs.mthreads.com, MT GPU Operator
    "moore-threads": NodeKind(8, {"mthreads.com/gpu": 8}, _MTHREADS_LABELS),
    # github.com/Deep-Spark/ix-device-plugin: a board of two dies is one
    "iluvatar": NodeKind(8, {"iluvatar.com/gpu": 8}, {"iluvatar.com/gpu.present": "true"}),
    # github.com/enflame-tech, gcu-feature-discovery
    "enflame": NodeKind(8, {"enflame.com/gcu": 8}, {
        "enflame.com/gcu.present": "true", "enflame.com/gcu.count": "8", "enflame.com/gcu.model": "S60",
        "enflame.com/gcu.family": "SCORPIO", "enflame.com/gcu.memory": "49152", "enflame.com/gcu.machine": "NF5468M6",
    }),
    "kunlunxin": NodeKind(8, {"kunlunxin.com/xpu": 8}),
    "unknown": NodeKind(4, {"example.com/npu": 4}),
    "hami-nvidia": NodeKind(8, {"nvidia.com/gpu": 80}, {"gpu": "on"}, _HAMI_A100.as_json),
    "hami-nvidia-old": NodeKind(2, {"nvidia.com/gpu": 10}, {"gpu": "on"}, _HAMI_V100.as_text),
    "hami-nvidia-nine": NodeKind(8, {"nvidia.com/gpu": 80}, {"gpu": "on"}, lambda node: _HAMI_A100.as_text(node, 9)),
    "hami-ascend": NodeKind(8, {"huawei.com/Ascend910B4": 32}, {"ascend": "on"}, _HAMI_ASCEND.as_json, is_arm=True),
    "hami-hygon": NodeKind(8, {"hygon.com/dcunum": 32}, {"dcu": "on"}, _HAMI_HYGON.as_text),
    "hami-kunlunxin": NodeKind(8, {"kunlunxin.com/xpu": 8, "kunlunxin.com/vxpu": 32}, {}, _HAMI_XPU.as_json),
    "hami-metax": NodeKind(8, {"metax-tech.com/sgpu": 128}, _METAX_LABELS, _metax_shared),
    # Counted in parts of a card, without a list of cards: 100 cores a card and units of 256 MiB; 16 and 512 MiB
    "hami-cambricon": NodeKind(8, {
        "cambricon.com/vmlu": 80, "cambricon.com/mlu.smlu.vcore": 800, "cambricon.com/mlu.smlu.vmemory": 1536,
    }),
    "hami-moore-threads": NodeKind(8, {
        "mthreads.com/vgpu": 800, "mthreads.com/sgpu-core": 128, "mthreads.com/sgpu-memory": 768,
    }, _MTHREADS_LABELS),
    "dra-nvidia": NodeKind(8, slices=[Slice("gpu.nvidia.com", _nvidia_whole)]),
    "dra-nvidia-mig": NodeKind(2, slices=[Slice("gpu.nvidia.com", _nvidia_parts)]),
    "dra-amd": NodeKind(4, slices=[Slice("gpu.amd.com", _amd_whole)]),
    # Both at once: the same eight cards by the device plugin and by DRA
    "dra-and-plugin": NodeKind(8, {"nvidia.com/gpu": 8}, _H100, slices=[Slice("gpu.nvidia.com", _nvidia_whole)]),
}  # fmt: skip
