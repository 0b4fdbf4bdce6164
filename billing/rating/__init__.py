"""What usage costs. Pure: no database, no clock, no float. The rules are in `money`, `prices` and `tiers`."""

from billing.rating.kinds import RULE_VERSION, UNITS, Meter, PricingModel, ServiceClass, TierMode, TierScope
from billing.rating.lines import Item, Line, Names, outstanding, summed
from billing.rating.money import (
    PAYABLE_STEP,
    QUANTITY_STEP,
    ZERO,
    parts_of,
    payable_of,
    product,
    quantity_of,
    rounded,
    tax_of,
    total_of,
)
from billing.rating.prices import Asked, Prices, PriceWindow, Tier, edges_of

__all__ = [
    "PAYABLE_STEP", "QUANTITY_STEP", "RULE_VERSION", "UNITS", "ZERO", "Asked", "Item", "Line", "Meter", "Names",
    "PriceWindow", "Prices", "PricingModel", "ServiceClass", "Tier", "TierMode", "TierScope", "edges_of", "outstanding",
    "parts_of", "payable_of", "product", "quantity_of", "rounded", "summed", "tax_of", "total_of",
]  # fmt: skip
