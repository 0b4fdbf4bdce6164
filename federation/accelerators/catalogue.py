"""What each accelerator model is and how it can be divided. Data, not code: a new model is a new line.

Figures are the vendor's own for one device, dense and without sparsity; None where the vendor gives none that we
could check. What a site reports of its own cards (memory above all) goes before what is written here.
A model that is not listed is usable whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass

# Ways of handing out a device. How a site does it is the site's affair; this says what the chip allows.
EXCLUSIVE = "exclusive"  # the whole card
SHARED = "shared"  # several at once, in turns, with nothing between them
SLICED = "sliced"  # a percentage of compute and an amount of memory, kept by software
PARTITIONED = "partitioned"  # fixed parts, kept by the hardware (MIG, compute partitions, vNPU templates)
VGPU = "vgpu-mdev"  # a mediated device for a virtual machine
PASSTHROUGH = "passthrough"  # the whole card to a virtual machine
REMOTE = "remote"  # attached over a network

SLICING_MODES = (EXCLUSIVE, SHARED, SLICED, PARTITIONED, VGPU, PASSTHROUGH, REMOTE)


@dataclass(frozen=True, slots=True)
class CapabilityRecord:
    vendor: str  # lower case
    name: str  # as quota, prices and people call it
    memory_mib: int | None = None
    peak_tflops: float | None = None  # dense FP16 or BF16
    power_watts: int | None = None  # of the board, at most
    slicing_modes: tuple[str, ...] = (EXCLUSIVE,)
    smallest_share_milli: int = 1000  # of free size; 1000: whole, or only in the hardware's fixed parts
    memory_step_mib: int | None = None  # a share's memory comes in steps of this; None: with its compute
    most_partitions: int = 1  # how many fixed parts the hardware makes at most
    products: tuple[str, ...] = ()  # what the vendor's own tools call it
    source: str = ""

    @property
    def can_share(self) -> bool:
        return self.smallest_share_milli < 1000

    @property
    def is_listed(self) -> bool:
        return self.source != _NOT_LISTED


def lookup(vendor: str, model: str) -> CapabilityRecord:
    """The record of a model, by its name here or by the name that the vendor's tools print.

    Labels cannot have spaces, so tools write "-" or "_" for them: the three are one.
    """
    return _BY_NAME.get(_key(vendor, model)) or CapabilityRecord(vendor, model, source=_NOT_LISTED)


def all_records() -> Iterable[CapabilityRecord]:
    return iter(_RECORDS)


_NOT_LISTED = "not in the catalogue"


def _key(vendor: str, word: str) -> tuple[str, str]:
    return vendor.lower(), word.lower().replace(" ", "-").replace("_", "-")


_WHOLE = (EXCLUSIVE, PASSTHROUGH)
_CUDA = (EXCLUSIVE, SHARED, SLICED, VGPU, PASSTHROUGH)  # slicing by an interposed CUDA library: any CUDA card
_CUDA_MIG = (EXCLUSIVE, SHARED, SLICED, PARTITIONED, VGPU, PASSTHROUGH)
_SOFT = (EXCLUSIVE, SLICED, PASSTHROUGH)
_PARTS = (EXCLUSIVE, PARTITIONED, PASSTHROUGH)


def _nvidia(
    name: str, memory_mib: int, tflops: float, watts: int, *products: str, mig: int = 1, source: str
) -> CapabilityRecord:
    modes = _CUDA_MIG if mig > 1 else _CUDA
    return CapabilityRecord("nvidia", name, memory_mib, tflops, watts, modes, 10, 1, mig, products, source)


def _soft(
    vendor: str, name: str, memory_mib: int | None, tflops: float | None, watts: int | None, *products: str,
    share: int = 10, step: int | None, source: str,
) -> CapabilityRecord:  # fmt: skip
    return CapabilityRecord(vendor, name, memory_mib, tflops, watts, _SOFT, share, step, 1, products, source)


def _parts(
    vendor: str, name: str, memory_mib: int | None, tflops: float | None, watts: int | None, parts: int, source: str,
    *products: str,
) -> CapabilityRecord:  # fmt: skip
    return CapabilityRecord(
        vendor, name, memory_mib, tflops, watts, _PARTS, most_partitions=parts, products=products, source=source
    )


def _whole(
    vendor: str, name: str, memory_mib: int | None, tflops: float | None, watts: int | None, source: str,
    *products: str,
) -> CapabilityRecord:  # fmt: skip
    return CapabilityRecord(vendor, name, memory_mib, tflops, watts, _WHOLE, products=products, source=source)


_HAMI = "slicing: HAMi device support"
# PCIe boards of one chip and memory draw less than the board whose figures are here, and are the same model to quota.
_RECORDS: tuple[CapabilityRecord, ...] = (
    _nvidia("P100", 16384, 18.7, 250, "Tesla P100-PCIE-16GB", source="data sheet, PCIe board, no tensor cores"),
    _nvidia(
        "V100M16", 16384, 125.0, 300, "Tesla V100-SXM2-16GB", "Tesla V100-PCIE-16GB", source="data sheet, SXM2 board"
    ),
    _nvidia(
        "V100M32", 32768, 125.0, 300, "Tesla V100-SXM2-32GB", "Tesla V100-PCIE-32GB", source="data sheet, SXM2 board"
    ),
    _nvidia("T4", 16384, 65.0, 70, "Tesla T4", source="data sheet"),
    _nvidia("A10", 24576, 125.0, 150, "NVIDIA A10", source="data sheet"),
    _nvidia(
        "A100-40G", 40960, 312.0, 400, "NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB", "A100-SXM4-40GB", mig=7,
        source="data sheet, SXM4 board",
    ),
    _nvidia(
        "A100-80G", 81920, 312.0, 400, "NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB PCIe", "A100-SXM4-80GB", mig=7,
        source="data sheet, SXM4 board",
    ),
    _nvidia("H100", 81920, 989.0, 700, "NVIDIA H100 80GB HBM3", mig=7, source="data sheet, SXM5 board, dense"),
    _nvidia("H200", 144384, 989.0, 700, "NVIDIA H200", mig=7, source="data sheet, SXM board (141 GB), dense"),
    _nvidia("L40S", 49152, 362.0, 350, "NVIDIA L40S", source="data sheet, dense"),
    _nvidia("B200", 184320, 2250.0, 1000, "NVIDIA B200", mig=7, source="HGX B200 data sheet (180 GB), dense"),
    _whole("amd", "MI210", 65536, 181.0, 300, "data sheet", "AMD Instinct MI210"),
    _whole(
        "amd", "MI250X", 131072, 383.0, 500, "data sheet, both dies; systems show each die as a device",
        "AMD Instinct MI250X",
    ),
    _parts(
        "amd", "MI300X", 196608, 1307.4, 750, 8, "data sheet, dense; CPX mode makes 8 parts",
        "AMD Instinct MI300X", "AMD Instinct MI300X OAM", "AMD Instinct MI300X VF",
    ),
    _parts(
        "ascend", "310P", 24576, 70.0, 72, 7, "Atlas 300I Pro; vNPU template vir01",
        "Ascend310P", "Ascend310P3", "310P3",
    ),
    _parts(
        "ascend", "910B", 65536, None, None, 4, "910B2 and 910B3 have 64 GiB, 910B4 has 32; vir05_1c_16g",
        "Ascend910B", *(f"{word}910B{n}" for word in ("Ascend", "") for n in ("1", "2", "2C", "3", "4", "4-1")),
    ),
    _soft(
        "cambricon", "MLU370-X8", 49152, 96.0, 250, "MLU370-X8", step=256, source=f"product page; {_HAMI} (sMLU)"
    ),
    _soft("cambricon", "MLU590", None, None, None, step=256, source=f"no public figures; {_HAMI} (sMLU)"),
    _soft("hygon", "Z100", None, None, None, step=1, source=f"16 and 32 GiB boards exist; {_HAMI} (vDCU)"),
    _whole("hygon", "K100", 65536, None, None, "64 GiB as its driver shows; no public peak", "K100_AI"),
    _soft(
        "moore-threads", "S4000", 49152, 100.0, 450, "MTT S4000", share=63, step=512,
        source=f"product page; {_HAMI} (sGPU, 16 parts)",
    ),
    _soft(
        "iluvatar", "BI-V150", 32768, None, None, "Iluvatar BI-V150", step=256,
        source=f"32 GiB per device as its driver shows, two on a board; {_HAMI} (vcuda)",
    ),
    _soft("metax", "C500", 65536, None, None, "MetaX C500", "MXC500", step=1024, source=f"64 GiB; {_HAMI} (sGPU)"),
    _soft("enflame", "S60", 49152, None, None, "Enflame S60", "S60G", step=None, source=f"48 GiB; {_HAMI} (gcushare)"),
    _whole("kunlunxin", "R200", 32768, 128.0, None, "product page: 32 GB, 128 TFLOPS FP16"),
    _parts("kunlunxin", "P800", 98304, None, None, 4, "96 GiB; HAMi device support (vXPU, quarters)"),
    # The public openb trace hides what these are. They were shared by thousandths there, so they can be here.
    *(
        CapabilityRecord(
            "undisclosed", name, slicing_modes=(EXCLUSIVE, SHARED), smallest_share_milli=10,
            source="openb trace (cluster-trace-gpu-v2023); undisclosed",
        )
        for name in ("G1", "G2", "G3")
    ),
)  # fmt: skip

_BY_NAME = {_key(record.vendor, word): record for record in _RECORDS for word in (record.name, *record.products)}
