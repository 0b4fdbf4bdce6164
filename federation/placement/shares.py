"""How many members of a gang go where when quota for several flavors limits it: a flow, found by augmenting paths."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from federation.placement.columns import I64


class Supplier(NamedTuple):
    """Devices of one flavor that a member takes alike."""

    flavor: str
    cost: int  # of one member, in what quota counts


def share_out(caps: I64, totals: I64, suppliers: Sequence[Supplier], room: Mapping[str, int], wanted: int) -> I64:
    """Members by spot and supplier, (S, K), as many as can be but no more than wanted.

    `caps` is (S, K), `totals` (S,) what a spot holds of all together, `room` the quota left by flavor. The most where
    all suppliers of a flavor cost the same; else those that cost less are used first.
    """
    given = np.zeros_like(caps)
    spare, left = totals.copy(), dict(room)
    for k in sorted(range(len(suppliers)), key=lambda k: suppliers[k].cost):
        flavor, cost = suppliers[k]
        while wanted > 0 and (cost == 0 or left.get(flavor, 0) >= cost):
            most = wanted if cost == 0 else min(wanted, left[flavor] // cost)
            moved = _augment(k, most, caps, given, spare)
            if not moved:
                break
            wanted -= moved
            left[flavor] = left.get(flavor, 0) - moved * cost
    return given


def _augment(source: int, most: int, caps: I64, given: I64, spare: I64) -> int:
    """Give more of one supplier, others making way for it as far as they find another spot; how much."""
    came: dict[int, tuple[int, int] | None] = {source: None}  # supplier -> who took its place, and on which spot
    queue = [source]
    for k in queue:
        open_spots = caps[:, k] > given[:, k]
        if (ends := open_spots & (spare > 0)).any():
            return _move(k, int(ends.argmax()), most, came, caps, given, spare)
        for other in range(caps.shape[1]):
            if other not in came and (ways := open_spots & (given[:, other] > 0)).any():
                came[other] = (k, int(ways.argmax()))
                queue.append(other)
    return 0


def _move(end: int, spot: int, most: int, came: Mapping[int, tuple[int, int] | None], caps: I64, given: I64,
          spare: I64) -> int:  # fmt: skip
    most = min(most, int(caps[spot, end] - given[spot, end]), int(spare[spot]))
    steps: list[tuple[int, int, int]] = []  # on this spot the first makes way for the second
    k = end
    while (step := came[k]) is not None:
        taker, where = step
        most = min(most, int(given[where, k]), int(caps[where, taker] - given[where, taker]))
        steps.append((where, k, taker))
        k = taker
    given[spot, end] += most
    spare[spot] -= most
    for where, giver, taker in steps:
        given[where, giver] -= most
        given[where, taker] += most
    return most
