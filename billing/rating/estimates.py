"""What work may come to before it runs: at the dearest place, price and tier that it may meet. Pure, like all here."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import ROUND_UP, Context, Decimal

from billing.rating.charges import Metered, quantity_by
from billing.rating.kinds import Meter
from billing.rating.money import PAYABLE_STEP, ZERO, plus, product, rounded
from billing.rating.prices import Asked, Prices, PriceWindow, tiers_of

_METERS = (Meter.ACCELERATOR, Meter.CPU, Meter.MEMORY, Meter.ENERGY)
_HOUR = 3600
_WIDE = Context(prec=80)


def hourly(may_be: Iterable[Metered], prices: Prices, tenant_class: str, instants: Sequence[datetime]) -> Decimal:
    """The most that an hour costs of what the work may be granted, at any of the instants; 0 without a price."""
    most = ZERO
    for what in may_be:
        for at in instants:
            most = max(most, _an_hour(what, prices, tenant_class, at))
    return most


def _an_hour(what: Metered, prices: Prices, tenant_class: str, at: datetime) -> Decimal:
    total = ZERO
    for meter in _METERS:
        if meter is not Meter.ACCELERATOR and what.unit != "device":
            continue
        asked = Asked(what.flavor_id, meter, tenant_class, what.site, what.slicing_mode, what.service_class)
        price = prices.at(asked, at)
        if price is not None:
            total = plus(total, product(quantity_by(meter, what.per_second(meter) * _HOUR), dearest(price)))
    return total


def dearest(price: PriceWindow) -> Decimal:
    return max(tier.unit_price for tier in tiers_of(price))


def billed_seconds(seconds: int, windows: Iterable[PriceWindow]) -> int:
    """A run of so many seconds as it is billed at most: up to the least of a price, and in its whole steps."""
    most = seconds
    for window in windows:
        least = max(seconds, window.minimum_seconds)
        most = max(most, -(-least // window.step_seconds) * window.step_seconds)
    return most


def worst_case(rate: Decimal, seconds: int) -> Decimal:
    """So long at so much an hour, to the least unit of money, up."""
    return rounded(_WIDE.divide(product(rate, Decimal(seconds)), _HOUR), PAYABLE_STEP, ROUND_UP)


def alerts_due(spent: Decimal, limit: Decimal, thresholds: Iterable[int]) -> list[int]:
    """The thresholds (per cent of the limit) that spending has reached, in order."""
    if spent <= ZERO:
        return []
    return sorted(t for t in set(thresholds) if product(spent, Decimal(100)) >= product(limit, Decimal(t)))
