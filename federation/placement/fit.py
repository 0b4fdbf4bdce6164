"""Does a wish fit a node, and on which devices? Compiled; the filters and their order are in filters.py."""

from typing import NamedTuple

from federation.placement.columns import I32, I64, Devices, Groups, Nodes
from federation.placement.compiled import compiled
from federation.placement.filters import ORDER, Filter
from federation.placement.masks import I16, MASKED, WIDTH

ACCELERATORS = ORDER[Filter.ACCELERATORS] + 1
DEVICE_MEMORY = ORDER[Filter.DEVICE_MEMORY] + 1
CPU = ORDER[Filter.CPU] + 1
MEMORY = ORDER[Filter.MEMORY] + 1


class Wishes(NamedTuple):
    """What is asked, by number of the wish. L layouts, K kinds of devices."""

    cpu: I64
    memory: I64
    devices: I64
    milli: I64
    size: I32  # a bit for each size of request (for gpu-clustering); 0 for work without devices
    verdict: I32  # (wishes, L): 0, or the number of the filter that refuses the layout, and with it MASKED * (1 + the
    # row of `masks` that has a word about each node)
    takes: I32  # (wishes, K): 1/1000 needed of such a device; -1: not to be had
    needs: I64  # (wishes, K): MiB needed on such a device
    prefer: I32  # which of Nodes.preferred comes first, from 1; 0 for none
    masks: I16  # see masks.py


@compiled
def fit(n: int, w: int, nodes: Nodes, groups: Groups, devices: Devices, wishes: Wishes) -> tuple[int, int, int]:
    """The filter that refuses (0: none), what there is of what it looks at, and the group that would be used.

    Of several groups that would do, the one with the fewest devices to spare.
    """
    verdict = wishes.verdict[w, nodes.layout[n]]
    if verdict:
        if verdict >= MASKED:
            entry = int(wishes.masks[verdict // MASKED - 1, n])
            verdict %= MASKED
            if entry and (verdict == 0 or entry // WIDTH < verdict):
                return entry // WIDTH, entry % WIDTH, -1
        if verdict:
            return verdict, 0, -1
    wanted = wishes.devices[w]
    chosen = -1
    if wanted:
        is_share = wishes.milli[w] < 1000
        spare = most = 0
        has_memory = True  # until some group has the compute and lacks memory
        for g in range(nodes.first_group[n], nodes.first_group[n + 1]):
            free = roomy = best = 0
            for d in range(groups.first_device[g], groups.first_device[g + 1]):
                kind = devices.kind[d]
                takes = wishes.takes[w, kind]
                if takes < 0 or devices.seats[d] <= 0:
                    continue
                have = devices.free[d]
                if have > best:
                    best = have
                if have >= takes:
                    free += 1
                    if devices.memory[d] >= wishes.needs[w, kind]:
                        roomy += 1
            if roomy >= wanted:
                if chosen < 0 or roomy < spare:
                    chosen, spare = g, roomy
            elif free >= wanted:
                has_memory = False
            most = max(most, best if is_share else free)
        if chosen < 0:
            if has_memory:
                return ACCELERATORS, most, -1
            return DEVICE_MEMORY, memory_there(n, w, nodes, groups, devices, wishes), -1
    if nodes.cpu[n] < wishes.cpu[w]:
        return CPU, nodes.cpu[n], -1
    if nodes.memory[n] < wishes.memory[w]:
        return MEMORY, nodes.memory[n], -1
    return 0, 0, chosen


@compiled
def has_room(d: int, w: int, devices: Devices, wishes: Wishes) -> bool:
    """May the wish have this device, or its share of it?"""
    kind = devices.kind[d]
    takes = wishes.takes[w, kind]
    return (
        takes >= 0 and devices.seats[d] > 0 and devices.free[d] >= takes and devices.memory[d] >= wishes.needs[w, kind]
    )


@compiled
def memory_there(n: int, w: int, nodes: Nodes, groups: Groups, devices: Devices, wishes: Wishes) -> int:
    """Of the devices with the compute, the memory of the last one that is needed, most memory first."""
    most = 0
    for g in range(nodes.first_group[n], nodes.first_group[n + 1]):
        first, last = groups.first_device[g], groups.first_device[g + 1]
        for d in range(first, last):
            takes = wishes.takes[w, devices.kind[d]]
            if takes < 0 or devices.seats[d] <= 0 or devices.free[d] < takes or devices.memory[d] <= most:
                continue
            as_good = 0  # devices with no less memory: is this one among the wanted?
            for other in range(first, last):
                need = wishes.takes[w, devices.kind[other]]
                if need >= 0 and devices.seats[other] > 0 and devices.free[other] >= need:
                    as_good += devices.memory[other] >= devices.memory[d]
            if as_good >= wishes.devices[w]:
                most = devices.memory[d]
    return most


@compiled
def one_device(g: int, w: int, groups: Groups, devices: Devices, wishes: Wishes, is_tight: bool) -> int:
    """For a share: the fullest device that has room when tight, else the emptiest; the first of equals."""
    chosen = -1
    for d in range(groups.first_device[g], groups.first_device[g + 1]):
        if not has_room(d, w, devices, wishes):
            continue
        if chosen < 0:
            chosen = d
            continue
        a, b = devices.free[d], devices.free[chosen]
        if a == b:
            a, b = devices.memory[d], devices.memory[chosen]
        if (a < b) if is_tight else (a > b):
            chosen = d
    return chosen
