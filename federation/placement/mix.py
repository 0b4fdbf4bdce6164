"""The target mix: what is likely to be asked next, learned from what is asked. Fragmentation is measured against it.

Source of the formula: Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation
Gradient Descent", USENIX ATC '23. For a node with free 1/1000 r_g on its devices and a class m of the mix,
F(m) = sum of r_g when m cannot run there or wants no device, else the sum of the r_g that are less than m's; the
fragmentation of a node is the mean of F(m) by popularity.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from federation.placement.types import DeviceFree, Request

COVERED = 0.95  # of the requests; what is asked more rarely than that does not count


@dataclass(frozen=True, slots=True)
class MixClass:
    """Requests alike in what fragmentation looks at, and their share of the mix (all shares sum to 1)."""

    cpu_milli: int
    devices: int
    milli: int
    models: frozenset[str]
    vendors: frozenset[str]
    share: float

    def runs_on(self, kind: DeviceFree) -> bool:
        """Is this a kind of device it accepts, busy or not?"""
        return (
            (not self.models or kind.model in self.models)
            and (not self.vendors or kind.vendor in self.vendors)
            and (kind.can_share or self.milli == 1000)
        )


@dataclass(frozen=True, slots=True)
class Mix:
    classes: tuple[MixClass, ...] = ()

    @classmethod
    def of(cls, requests: Iterable[Request], covered: float = COVERED) -> "Mix":
        """The most asked classes that cover so much of the requests, each member counted."""
        counts: Counter[tuple[int, int, int, frozenset[str], frozenset[str]]] = Counter()
        for r in requests:
            counts[r.cpu_milli, r.devices, r.milli, r.models, r.vendors] += r.replicas
        wanted, kept, found = covered * counts.total(), 0, []
        # Equal counts in an order that does not hang on the order of the requests.
        for key, count in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0][:3], sorted(kv[0][3]))):
            if kept >= wanted:
                break
            kept += count
            found.append((key, count))
        return cls(tuple(MixClass(*key, count / kept) for key, count in found))
