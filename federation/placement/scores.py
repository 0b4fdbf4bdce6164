"""What a node is worth to a wish that fits it, by policy. Compiled; higher is better.

The five baselines of the openb experiment score as its simulator does: from 0 to 100, in whole numbers, so that
near equals are left to the order of the nodes. Facts about them are from Weng et al. (USENIX ATC '23) and its
published simulator.
"""

from math import exp, floor
from typing import NamedTuple

from federation.placement.columns import I64, Devices, Groups, Nodes
from federation.placement.compiled import compiled
from federation.placement.fit import Wishes, has_room, one_device
from federation.placement.modes import (
    BEST_FIT,
    CLUSTERING,
    DOT_PRODUCT,
    EMPTIEST,
    FGD,
    LEAST_WASTE,
    PACKING,
    RANDOM,
    SPREAD,
    STEP,
    TIGHTEST,
)
from federation.placement.parts import LOSS_POINTS
from federation.placement.tables import Table
from federation.placement.waste import cpu_step, gather, valued, wasted

LOSS_STEP = 75.0  # 1/1000 of a device: losses of value that differ by less are the same to packing


class Rule(NamedTuple):
    """A policy, as far as the loops know it."""

    mode: int
    device: int  # which device takes a share: TIGHTEST, EMPTIEST, ANY, LEAST_WASTE
    most_cpu: int  # of any node when empty: what amounts are measured by
    most_milli: int


class Fleet(NamedTuple):
    nodes: Nodes
    groups: Groups
    devices: Devices
    partly: I64


@compiled
def free_milli(n: int, fleet: Fleet) -> int:
    """1/1000 of healthy devices that are free on a node."""
    total = 0
    for g in range(fleet.nodes.first_group[n], fleet.nodes.first_group[n + 1]):
        total += fleet.groups.free[g]
    return total


@compiled
def suited(n: int, w: int, g: int, fleet: Fleet, wishes: Wishes, table: Table, rule: Rule) -> tuple[float, int]:
    """How well what is left suits the mix when a node takes the wish, in whole points; the device for a share (or -1).

    Of several devices for a share the one with the most points, and when packing the fullest, the first of equals.
    """
    nodes, groups, devices, partly = fleet.nodes, fleet.groups, fleet.devices, fleet.partly
    step = cpu_step(table, nodes.cpu[n] - wishes.cpu[w])
    is_packing, is_plain = rule.mode == PACKING, wishes.devices[w] == 0
    fall = lost = 0.0  # fragmentation that goes, value that goes
    if nodes.first_group[n + 1] - nodes.first_group[n] != 1 or g < 0:
        if step != cpu_step(table, nodes.cpu[n]):
            for other in range(nodes.first_group[n], nodes.first_group[n + 1]):
                if other == g:
                    continue
                full, found = gather(devices, groups.first_device[other], groups.first_device[other + 1], partly)
                fall += groups.waste[other] - wasted(table, groups.mix[other], step, full, partly, found, 0, 0)
                if is_packing:
                    lost += groups.worth[other] - valued(table, groups.mix[other], step, full, partly, found)
        if g < 0:
            return points(fall, lost, is_plain, rule), -1
    first, last, kind = groups.first_device[g], groups.first_device[g + 1], groups.mix[g]
    full, found = gather(devices, first, last, partly)
    fall += groups.waste[g]
    if is_packing:
        lost += groups.worth[g] - valued(table, kind, step, full, partly, found)
    is_share = wishes.milli[w] < 1000
    best, chosen, least, seen_full = -1e300, -1, 0, False
    # Once, or for a share for each device that differs from those before.
    for d in range(first, last if is_share else first + 1):
        taken, without, left = wishes.devices[w], 0, 0
        if is_share:
            free = devices.free[d]
            if (free == 1000 and seen_full) or not has_room(d, w, devices, wishes):
                continue
            left = free - wishes.takes[w, devices.kind[d]]
            if free == 1000:
                seen_full = True
            else:
                taken, without = 0, free
            gone = table.value[kind, step, free] - table.value[kind, step, left]
        else:
            gone = taken * table.value[kind, step, 1000]
        after = wasted(table, kind, step, full - taken, partly, found, without, left)
        value = points(fall - after, lost + gone, is_plain, rule)
        if value > best or (is_packing and value == best and left < least):
            best, chosen, least = value, d, left
    return best, chosen if is_share else -1


@compiled
def points(fall: float, lost: float, is_plain: bool, rule: Rule) -> float:
    """Of a fall of fragmentation and a loss of value, both in 1/1000 of devices.

    FGD's own score is from 0 to 100. Packing takes the loss first, in coarse steps, and half as many steps of FGD's
    score; for work without devices these are centred, so that next to nothing counts as nothing.
    """
    if rule.mode == FGD:
        return float(int(100 * squashed(fall)))
    level = 50.0 * (squashed(fall) - 0.5) + (0.5 if is_plain else 0.0)
    return floor(level) - LOSS_POINTS * floor(lost / LOSS_STEP + 0.5)


@compiled
def squashed(fall: float) -> float:
    return 1.0 / (1.0 + exp(-fall / 1000.0))


@compiled
def fullness(cpu_left: float, milli_left: float, rule: Rule) -> float:
    """1 when nothing would be left on a node, 0 when it is the largest and empty."""
    return 1.0 - 0.5 * (cpu_left / rule.most_cpu + milli_left / rule.most_milli)


@compiled
def taken_milli(w: int, g: int, fleet: Fleet, wishes: Wishes) -> int:
    """What the wish takes of a group: what is asked, rounded up to the steps of the first device it may have."""
    if g < 0:
        return 0
    for d in range(fleet.groups.first_device[g], fleet.groups.first_device[g + 1]):
        takes = wishes.takes[w, fleet.devices.kind[d]]
        if takes > 0:
            return wishes.devices[w] * takes
    return 0


@compiled
def gpu_packing(g: int, w: int, fleet: Fleet, wishes: Wishes) -> int:
    """Devices in use first, then free devices of nodes in use, then free nodes; each band by what stays free."""
    if g < 0:
        return 0
    devices = fleet.devices
    first, last = fleet.groups.first_device[g], fleet.groups.first_device[g + 1]
    full = 0
    for d in range(first, last):
        full += devices.free[d] == 1000
    if full == last - first:
        return max(33 - full, full)
    if wishes.milli[w] == 1000:
        return max(50 - wishes.devices[w], 33)
    d = one_device(g, w, fleet.groups, devices, wishes, True)
    if devices.free[d] == 1000:
        return 49
    return max(100 - devices.free[d] * 100 // 1000 // 10, 50)


@compiled
def clustering(n: int, w: int, milli: int, fleet: Fleet, wishes: Wishes, rule: Rule) -> int:
    """Requests of one size together: a band by which sizes the node holds, and in it the fullest node."""
    size = wishes.size[w]
    if size == 0:
        return 0
    held = fleet.nodes.kinds_held[n]
    inside = 25 * (rule.most_milli - milli) // rule.most_milli
    if held & size:
        return inside + (75 if held == size else 50)
    return inside + (25 if held == 0 else 0)


@compiled
def score(n: int, w: int, g: int, fleet: Fleet, wishes: Wishes, table: Table, rule: Rule) -> float:
    """Of a node that fits; `g` is the group it would use."""
    nodes = fleet.nodes
    mode = rule.mode
    if mode == RANDOM:
        return nodes.merit[n]
    milli = free_milli(n, fleet)
    cpu = nodes.cpu[n]
    cpu_left, milli_left = cpu - wishes.cpu[w], milli - taken_milli(w, g, fleet, wishes)
    if mode in (FGD, PACKING):
        value, _ = suited(n, w, g, fleet, wishes, table, rule)
        value = STEP * value + nodes.merit[n]
        if mode == PACKING:
            by_cpu = 0.3 if wishes.devices[w] == 0 else 0.5
            left = by_cpu * (cpu_left / rule.most_cpu) + (1.0 - by_cpu) * (milli_left / rule.most_milli)
            value += 0.5 * STEP * (1.0 - left)
        return value
    if mode == BEST_FIT:
        return STEP * int(100 * fullness(cpu_left, milli_left, rule)) + nodes.merit[n]
    if mode == SPREAD:
        if wishes.devices[w] == 0:
            return STEP * cpu_left / rule.most_cpu + nodes.merit[n]
        return STEP * 1000 * (milli_left / nodes.whole[n]) + 1e3 * cpu_left / rule.most_cpu + nodes.merit[n]
    if mode == DOT_PRODUCT:
        product = (cpu / rule.most_cpu) * (wishes.cpu[w] / rule.most_cpu)
        product += (milli / rule.most_milli) * (taken_milli(w, g, fleet, wishes) / rule.most_milli)
        return STEP * int(100 * (1.0 - product / 2)) + nodes.merit[n]
    if mode == CLUSTERING:
        return STEP * clustering(n, w, milli, fleet, wishes, rule) + nodes.merit[n]
    return STEP * gpu_packing(g, w, fleet, wishes) + nodes.merit[n]


@compiled
def device_for(n: int, w: int, g: int, fleet: Fleet, wishes: Wishes, table: Table, rule: Rule, draw: int) -> int:
    """The device that takes a share; `draw` is a random number for policies that leave it to chance."""
    if rule.device == LEAST_WASTE:
        _, chosen = suited(n, w, g, fleet, wishes, table, rule)
        return chosen
    if rule.device == TIGHTEST or rule.device == EMPTIEST:
        return one_device(g, w, fleet.groups, fleet.devices, wishes, rule.device == TIGHTEST)
    first, last = fleet.groups.first_device[g], fleet.groups.first_device[g + 1]
    room = 0
    for d in range(first, last):
        room += has_room(d, w, fleet.devices, wishes)
    wanted = draw % room
    for d in range(first, last):
        if has_room(d, w, fleet.devices, wishes):
            if wanted == 0:
                return d
            wanted -= 1
    return -1
