"""Fragmentation of a group of devices, compiled. The formula and its source are in mix.py."""

import numpy as np

from federation.placement.columns import I32, I64, Devices, Groups, Nodes
from federation.placement.compiled import compiled
from federation.placement.tables import Table


@compiled
def cpu_step(table: Table, cpu: int) -> int:
    """How many of the CPU amounts of the mix are no more than `cpu`."""
    place = min(cpu >> table.shift, table.near.shape[0] - 1)
    step = table.near[place]
    while step < table.cpu.shape[0] and table.cpu[step] <= cpu:
        step += 1
    return step


@compiled
def gather(devices: Devices, first: int, last: int, partly: I64) -> tuple[int, int]:
    """How many devices of a group are wholly free; how many partly: their free 1/1000 go into `partly`."""
    full = found = 0
    for d in range(first, last):
        free = devices.free[d]
        if free == 1000:
            full += 1
        elif free > 0:
            partly[found] = free
            found += 1
    return full, found


@compiled
def wasted(table: Table, kind: int, step: int, full: int, partly: I64, found: int, without: int, more: int) -> float:
    """F of a group: `full` wholly free devices, and those of `partly[:found]`, one of value `without` left out
    (0: none), one of value `more` added (0: none).

    In 1/1000 of devices, at most all that is free.
    """
    loose = more - without
    for i in range(found):
        loose += partly[i]
    free = 1000 * full + loose
    total = table.none[kind, step] * free
    shares = table.milli.shape[0]
    for s in range(shares):
        p = table.runs[kind, step, s]
        if p == 0.0:
            continue
        milli = table.milli[s]
        below = 0
        for i in range(found):
            if partly[i] < milli:
                below += partly[i]
        if 0 < without < milli:
            below -= without
        if more < milli:
            below += more
        # Whoever fits on no device loses all that is free.
        total += p * (below if full > 0 or below < loose else free)
    for w in range(table.whole.shape[0]):
        p = table.runs[kind, step, shares + w]
        if p != 0.0:
            total += p * (loose if full >= table.whole[w] else free)
    return total


@compiled
def valued(table: Table, kind: int, step: int, full: int, partly: I64, found: int) -> float:
    """What the gaps of a group are worth; `gather` made the list."""
    total = full * table.value[kind, step, 1000]
    for i in range(found):
        total += table.value[kind, step, partly[i]]
    return total


@compiled
def refresh(n: int, nodes: Nodes, groups: Groups, devices: Devices, table: Table, partly: I64) -> None:
    """What is kept about the groups of a node."""
    step = cpu_step(table, nodes.cpu[n])
    for g in range(nodes.first_group[n], nodes.first_group[n + 1]):
        full, found = gather(devices, groups.first_device[g], groups.first_device[g + 1], partly)
        free = 1000 * full
        for i in range(found):
            free += partly[i]
        groups.free[g] = free
        groups.waste[g] = wasted(table, groups.mix[g], step, full, partly, found, 0, 0)
        groups.worth[g] = valued(table, groups.mix[g], step, full, partly, found)


@compiled
def refresh_all(nodes: Nodes, groups: Groups, devices: Devices, table: Table, partly: I64) -> None:
    for n in range(nodes.cpu.shape[0]):
        refresh(n, nodes, groups, devices, table, partly)


def scratch(first_device: I32) -> I64:
    """Room for `gather` in the largest group."""
    return np.zeros(int(np.diff(first_device).max(initial=1)) + 1, np.int64)
