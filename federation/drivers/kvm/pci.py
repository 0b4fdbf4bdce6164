"""What PCI numbers mean to us. Data, not code: a new vendor or card is a new line.

Vendors and products as in the public PCI ID database (pci.ids, 2023.04, and later entries of it), Ascend's as in the
vendor's installation guides. A product that is not here is a model of the name that the host gives it, usable whole.
"""

from collections.abc import Mapping

# Classes: VGA controller, 3D controller, other display controller, processing accelerator.
CLASSES = frozenset({0x0300, 0x0302, 0x0380, 0x1200})
BRIDGE = 0x06

VENDORS: Mapping[int, str] = {
    0x10DE: "nvidia",
    0x1002: "amd",
    0x19E5: "ascend",
    0xCABC: "cambricon",
    0x1D94: "hygon",
    0x1ED5: "moore-threads",
    0x1E3E: "iluvatar",
    0x9999: "metax",
    0x1E36: "enflame",
    0x1D22: "kunlunxin",
    0x8086: "intel",
}

# A picture for whoever stands before the machine: a chip on its board, of no use to anybody else.
BOARD_DISPLAYS = frozenset(
    {
        (0x1A03, 0x2000),  # ASPEED, in most management controllers
        # Matrox, in others.
        (0x102B, 0x0522), (0x102B, 0x0532), (0x102B, 0x0534), (0x102B, 0x0536), (0x102B, 0x0538),
    }
)  # fmt: skip

MODELS: Mapping[tuple[int, int], str] = {
    (0x10DE, 0x15F8): "P100", (0x10DE, 0x15F9): "P100",
    (0x10DE, 0x1DB1): "V100M16", (0x10DE, 0x1DB4): "V100M16",
    (0x10DE, 0x1DB5): "V100M32", (0x10DE, 0x1DB6): "V100M32",
    (0x10DE, 0x1EB8): "T4",
    (0x10DE, 0x2236): "A10",
    (0x10DE, 0x20B0): "A100-40G", (0x10DE, 0x20B1): "A100-40G", (0x10DE, 0x20F1): "A100-40G",
    (0x10DE, 0x20B2): "A100-80G", (0x10DE, 0x20B5): "A100-80G",
    (0x10DE, 0x2330): "H100", (0x10DE, 0x2331): "H100",
    (0x10DE, 0x2335): "H200",
    (0x10DE, 0x26B9): "L40S",
    (0x10DE, 0x2901): "B200",
    (0x1002, 0x740F): "MI210",
    (0x1002, 0x7408): "MI250X",
    (0x1002, 0x74A1): "MI300X",
    (0x19E5, 0xD500): "310P",
    (0x19E5, 0xD802): "910B",
}  # fmt: skip
