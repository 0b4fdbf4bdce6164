"""How a part of a card is asked for: the resources beside the one that counts cards. Data, not code.

One row for each resource by which a sharing layer hands out cards; the amounts are of each card of a pod.
Source: the examples and device packages of HAMi, and the vendors' own sharing plugins.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    memory: str = ""  # resource for memory, in steps of memory_mib
    memory_mib: int = 1
    cores: str = ""  # resource for compute, `cores_of` to a whole card
    cores_of: int = 100
    annotation: str = ""  # of the pod: the uuids it may have, separated by commas
    needs_cores: bool = True  # False: whole cards are asked for without amounts


def _iluvatar(word: str) -> tuple[str, Words]:
    return f"iluvatar.ai/{word}-vgpu", Words(
        f"iluvatar.ai/{word}.vMem", 256, f"iluvatar.ai/{word}.vCore", annotation=f"hami.io/use-{word}-uuid"
    )


def _ascend(word: str) -> tuple[str, Words]:
    return f"huawei.com/{word}", Words(f"huawei.com/{word}-memory", annotation=f"hami.io/use-{word}-uuid")


SHARING: Mapping[str, Words] = {
    "nvidia.com/gpu": Words("nvidia.com/gpumem", 1, "nvidia.com/gpucores", annotation="nvidia.com/use-gpuuuid"),
    "amd.com/gpu": Words("amd.com/gpumem", 1, "amd.com/gpucores", annotation="amd.com/use-gpu-uuid"),
    "cambricon.com/mlu": Words(
        "cambricon.com/mlu.smlu.vmemory", 256, "cambricon.com/mlu.smlu.vcore", annotation="cambricon.com/use-gpuuuid"
    ),
    "cambricon.com/vmlu": Words(
        "cambricon.com/mlu.smlu.vmemory", 256, "cambricon.com/mlu.smlu.vcore", annotation="cambricon.com/use-gpuuuid"
    ),
    "hygon.com/dcunum": Words("hygon.com/dcumem", 1, "hygon.com/dcucores", annotation="hygon.com/use-gpuuuid"),
    "hygon.com/hcunum": Words("hygon.com/hcumem", 1, "hygon.com/hcucores", annotation="hygon.com/use-gpuuuid"),
    "metax-tech.com/sgpu": Words(
        "metax-tech.com/vmemory", 1024, "metax-tech.com/vcore", annotation="metax-tech.com/use-gpuuuid"
    ),
    "mthreads.com/vgpu": Words(
        "mthreads.com/sgpu-memory", 512, "mthreads.com/sgpu-core", 16, annotation="mthreads.ai/use-gpuuuid"
    ),
    "iluvatar.ai/vgpu": Words(
        "iluvatar.ai/vcuda-memory", 256, "iluvatar.ai/vcuda-core", annotation="hami.io/use-Iluvatar-uuid"
    ),
    **dict(_iluvatar(word) for word in ("BI-V100", "BI-V150", "MR-V50", "MR-V100")),
    "enflame.com/vgcu": Words(cores="enflame.com/vgcu-percentage", annotation="enflame.com/use-gpuuuid"),
    "kunlunxin.com/vxpu": Words("kunlunxin.com/vxpu-memory", annotation="hami.io/use-xpu-uuid"),
    "kunlunxin.com/xpu": Words(annotation="baidu.com/use-gpuuuid", needs_cores=False),
    **dict(
        _ascend(word)
        for word in (
            "Ascend910A", "Ascend910B", "Ascend910B2", "Ascend910B3", "Ascend910B4", "Ascend910B4-1", "Ascend910C",
            "Ascend310P",
        )
    ),
}  # fmt: skip
