"""Prices that fall with the amount: what of an amount belongs to which tier.

Graduated: each unit at the price of the tier it falls in, so the sum of a month depends on its amount alone, is
continuous and never falls. Volume: the whole month at the price of the tier that its sum reaches; it may jump.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.rating.kinds import TierMode
from billing.rating.money import ZERO, less, plus, product, total_of
from billing.rating.prices import PriceWindow, Tier, tiers_of


@dataclass(frozen=True, slots=True)
class Slice:
    """So much, in this tier."""

    tier: int
    unit_price: Decimal
    quantity: Decimal


def tier_at(tiers: Sequence[Tier], amount: Decimal) -> int:
    """The tier that the unit after `amount` falls in."""
    return max(n for n, tier in enumerate(tiers) if n == 0 or tier.start <= amount)


def slices(price: PriceWindow, before: Decimal, quantity: Decimal) -> Iterator[Slice]:
    """Cut an amount that comes after `before` at the tiers of a price. The slices add up to it."""
    tiers = tiers_of(price)
    if price.tier_mode is None or quantity <= ZERO:
        yield Slice(0, price.unit_price, quantity)
        return
    if price.tier_mode is TierMode.VOLUME:
        tier = volume_tier(price, plus(before, quantity))
        yield Slice(tier, tiers[tier].unit_price, quantity)
        return
    while quantity > ZERO:
        tier = tier_at(tiers, before)
        room = less(tiers[tier + 1].start, before) if tier + 1 < len(tiers) else quantity
        taken = min(room, quantity)
        yield Slice(tier, tiers[tier].unit_price, taken)
        before, quantity = plus(before, taken), less(quantity, taken)


def volume_tier(price: PriceWindow, total: Decimal) -> int:
    """The tier of a whole month: reached with its first unit, so that a sum of just its start counts."""
    return tier_at(tiers_of(price), total)


def amounts_by_tier(price: PriceWindow, total: Decimal) -> dict[int, Decimal]:
    """How a month's sum is spread over the tiers, whatever it came in."""
    found: dict[int, Decimal] = {}
    for part in slices(price, ZERO, total):
        found[part.tier] = plus(found.get(part.tier, ZERO), part.quantity)
    return found


def cost_of(price: PriceWindow, total: Decimal) -> Decimal:
    """What a month's sum costs."""
    return total_of(product(part.quantity, part.unit_price) for part in slices(price, ZERO, total))
