"""What a policy adds for the site of a node: turns, loads, weights, hashes. Compiled.

A site's part of a score changes with every decision, so it is not kept with the nodes but added to blocks.
"""

from typing import NamedTuple

from federation.placement.columns import F64, I32, I64
from federation.placement.compiled import compiled
from federation.placement.modes import HASH, HOT, LEAST_LOADED, NO_SITES, ROUND_ROBIN


class Sites(NamedTuple):
    """By number of the site. S sites."""

    used: I64  # 1/1000 of devices (or cores, at a site without devices), live and as planned
    whole: I64
    weight: F64
    given: I64  # how many members the plan has sent there
    turn: I64  # when it last got one; -1: never
    added: F64  # (S, 2): what was last added to scores there: the site's part, and shedding


@compiled
def mixed(value: int) -> int:
    """A number that looks drawn by chance, the same for the same value (the finaliser of SplitMix64)."""
    value = (value ^ (value >> 30)) * -4658895280553007687
    value = (value ^ ((value >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return value ^ ((value >> 31) & 0x1FFFFFFFF)


@compiled
def load_of(s: int, sites: Sites) -> float:
    return min(sites.used[s] / max(sites.whole[s], 1), 1.0)


@compiled
def worth_of_site(s: int, key: int, sites: Sites, mode: int) -> float:
    """From 0 down to -1; higher is better."""
    if mode == LEAST_LOADED:
        return -load_of(s, sites)
    if mode == HASH:
        return -float(mixed(key ^ mixed(s + 1)) & 0xFFFFFF) / 0x1000000
    # By place among the sites, so that a turn counts as much after a million as after one.
    before, count = 0, sites.used.shape[0]
    for other in range(count):
        if mode == ROUND_ROBIN:
            before += sites.turn[other] < sites.turn[s]
        else:
            mine, its = (sites.given[s] + 1) * sites.weight[other], (sites.given[other] + 1) * sites.weight[s]
            before += its < mine
    return -before / count


@compiled
def add_worth(worth: F64, site_of_block: I32, key: int, sites: Sites, mode: int, scale: float, shed: float) -> None:
    """What each block adds: the site's part times `scale`, less `shed` times what its load is above HOT."""
    last, value = -1, 0.0
    for b in range(site_of_block.shape[0]):
        s = site_of_block[b]
        if s != last:
            last, value, cooling = s, 0.0, 0.0
            if mode != NO_SITES:
                value = scale * worth_of_site(s, key, sites, mode)
            if shed > 0.0:
                cooling = -shed * max(load_of(s, sites) - HOT, 0.0)
            sites.added[s, 0], sites.added[s, 1] = value, cooling
            value += cooling
        worth[b] = value
