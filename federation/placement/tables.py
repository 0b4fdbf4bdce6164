"""The target mix as tables, by kind of device and amount of CPU: what the loops read."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from federation.placement import gaps
from federation.placement.columns import F64, I64
from federation.placement.mix import Mix
from federation.placement.types import DeviceFree

_NEAR = 512  # places of the way from CPU to its step


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
