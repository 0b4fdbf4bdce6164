"""The target mix: what is likely to be asked next, learned from what is asked. Fragmentation is measured against it.

Source of the formula: Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation
Gradient Descent", USENIX ATC '23. For a node with free 1/1000 r_g on its devices and a class m of the mix,
F(m) = sum of r_g when m cannot run there or wants no device, else the sum of the r_g that are less than m's; the
fragmentation of a node is the mean of F(m) by popularity.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from federation.placement import gaps
from federation.placement.columns import F64, I64
from federation.placement.types import DeviceFree, Request

_NEAR = 512  # places of the way from CPU to its step
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


class Table(NamedTuple):
    """A mix against kinds of devices. K kinds, B amounts of CPU, S shares, W whole counts.

    A class runs as far as CPU goes with a free CPU in step b: `cpu[b - 1] <= free`. `runs[k, b, d]` is the share of
    the mix that wants demand d (shares first) and may run on kind k with CPU of step b; `none[k, b]` is the rest.
    `value[k, b, r]` is what a gap of r is worth there (see gaps.py), 0 where nobody asked for it.
    """

    cpu: I64
    near: I64  # of cpu >> shift: a step that is not above the right one
    shift: int
    milli: I64  # (S,) ascending
    whole: I64  # (W,) ascending
    runs: F64  # (K, B + 1, S + W)
    none: F64  # (K, B + 1)
    value: F64  # (K, B + 1, 1001)


def table(mix: Mix, kinds: Sequence[DeviceFree], stock: I64 | None = None) -> Table:
    """`stock` has the number of devices by their free 1/1000, for what gaps are worth."""
    wanting = [m for m in mix.classes if m.devices]
    cpu = sorted({m.cpu_milli for m in wanting})
    milli = sorted({m.milli for m in wanting if m.milli < 1000})
    whole = sorted({m.devices for m in wanting if m.milli == 1000})
    runs = np.zeros((len(kinds), len(cpu) + 1, len(milli) + len(whole)))
    sizes = [*milli, 1000] if whole else milli
    parts = np.zeros((len(kinds), len(cpu) + 1, len(sizes)))  # of the devices that are asked in each size
    for m in wanting:
        demand = milli.index(m.milli) if m.milli < 1000 else len(milli) + whole.index(m.devices)
        for k, kind in enumerate(kinds):
            if m.runs_on(kind):
                step = cpu.index(m.cpu_milli) + 1
                runs[k, step:, demand] += m.share
                parts[k, step:, sizes.index(m.milli)] += m.share * m.devices
    shift = max((max(cpu, default=0) // _NEAR).bit_length(), 0)
    near = np.searchsorted(cpu, np.arange(2 * _NEAR) << shift, side="left") if cpu else np.zeros(1, np.int64)
    value = np.zeros((len(kinds), len(cpu) + 1, gaps.WHOLE + 1))
    if stock is not None and sizes:
        asked = np.zeros(len(sizes))
        for m in wanting:
            asked[sizes.index(m.milli)] += m.share * m.devices
        gaps.fill(np.array(sizes, np.int64), asked, stock.astype(np.float64), parts / asked, value)
    return Table(
        np.array(cpu, np.int64), near.astype(np.int64), shift, np.array(milli, np.int64), np.array(whole, np.int64),
        runs, 1.0 - runs.sum(axis=2), value,
    )  # fmt: skip
