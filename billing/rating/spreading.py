"""Spreading what is whole over parts, so that nothing is lost: pure, in integers.

Every rule here is by largest remainder: each part gets its share rounded down, and what is left goes, unit by unit, to
those that lost most by it; of equals, to the first in order.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from billing.rating.money import COST_STEP, product

K = TypeVar("K")
_UNITS = Decimal(10**15)


def spread(whole: int, weights: Sequence[int]) -> list[int]:
    """`whole` in the proportion of `weights`, of which one at least is above zero; the parts add up to it."""
    total = sum(weights)
    floors = [divmod(whole * weight, total) for weight in weights]
    left = whole - sum(floor for floor, _ in floors)
    order = sorted(range(len(weights)), key=lambda n: (-floors[n][1], n))
    ahead = set(order[:left])
    return [floor + (n in ahead) for n, (floor, _) in enumerate(floors)]


def spread_cost(cost: Decimal, weights: Mapping[K, int]) -> dict[K, Decimal]:
    """An amount of money at fifteen decimals, in the proportion of `weights`; empty when these come to nothing."""
    if sum(weights.values()) <= 0:
        return {}
    units = product(cost, _UNITS)
    if units != int(units):
        raise ValueError(f"{cost} has more than fifteen decimals.")
    parts = spread(int(units), list(weights.values()))
    return {key: product(Decimal(part), COST_STEP) for key, part in zip(weights, parts, strict=True)}


def lend(asked: Sequence[int], free: Sequence[int]) -> list[list[int]]:
    """Who has how much of whose: a row for each who asks, a column for each who has something free.

    As much as can be is lent, in the proportion of what is asked and of what is free: no row comes to more than was
    asked, no column to more than was free. What a row does not come to, nobody had free.
    """
    lent = min(sum(asked), sum(free))
    if lent == 0:
        return [[0] * len(free) for _ in asked]
    rows, left = spread(lent, asked), spread(lent, free)
    found = []
    for row in rows:
        parts = spread(row, left) if row else [0] * len(left)
        left = [column - part for column, part in zip(left, parts, strict=True)]
        found.append(parts)
    return found
