"""Names of NVIDIA's cards as quotas and prices call them."""

import re

# Where boards of one name differ in memory.
_BY_MEMORY = {"P100": {16: "P100"}, "V100": {16: "V100M16", 32: "V100M32"}, "A100": {40: "A100-40G", 80: "A100-80G"}}


def model_name(product: str, memory_mib: int) -> str:
    """ "NVIDIA A100-SXM4-80GB" is an A100-80G; what we have no short name for keeps its own, less the maker's."""
    name = re.sub(r"^(NVIDIA|Tesla|GeForce|Quadro)\s+", "", " ".join(product.split()))
    name = re.sub(r"^(Tesla|GeForce|Quadro)\s+", "", name)
    family = re.split(r"[-\s]", name)[0]
    if family in _BY_MEMORY:
        size = min(_BY_MEMORY[family], key=lambda gib: abs(gib * 1024 - memory_mib))
        return _BY_MEMORY[family][size] if abs(size * 1024 - memory_mib) < size * 64 else name
    return "H100" if re.fullmatch(r"H100( 80GB HBM3|-SXM5-80GB)", name) else name
