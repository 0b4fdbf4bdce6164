"""From a record of usage to what it costs, by each meter that there is a price for."""

from collections.abc import Hashable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from billing.rating.kinds import UNITS, Meter, PricingModel, ServiceClass, TierScope
from billing.rating.money import ZERO, amount_of, parts_of, plus, product, shares_of
from billing.rating.prices import Asked, Prices, PriceWindow
from billing.rating.tiers import slices

_SECOND = timedelta(seconds=1)
# What a second of usage comes to by each meter, and how much of that is one unit's hour.
_PER_HOUR = {
    Meter.ACCELERATOR: 3_600_000,  # milli-seconds of a card
    Meter.CPU: 3_600_000,  # milli-seconds of a core
    Meter.MEMORY: 3600 * 1024,  # MiB-seconds
    Meter.ENERGY: 3_600_000 * 1000,  # milli-watt-seconds; a kWh
}


@dataclass(frozen=True, slots=True)
class Metered:
    """A record of usage, as far as its price depends on it."""

    id: UUID
    tenant_id: UUID
    project_id: UUID
    user: str
    flavor_id: UUID
    unit: str  # device, core
    site: str
    slicing_mode: str
    service_class: str
    start: datetime
    end: datetime
    held_milli: int
    cpu_milli: int = 0
    memory_mib: int = 0
    power_watts: int = 0
    power_milliwatts: int | None = None  # of all that is held, where it was measured

    @property
    def seconds(self) -> int:
        return (self.end - self.start) // _SECOND

    def per_second(self, meter: Meter) -> int:
        match meter:
            case Meter.CPU:
                return self.cpu_milli
            case Meter.MEMORY:
                return self.memory_mib
            case Meter.ENERGY:
                nominal = self.held_milli * self.power_watts
                return nominal if self.power_milliwatts is None else self.power_milliwatts
        return self.held_milli


@dataclass(frozen=True, slots=True)
class Rated:
    """A piece of a record, at one price and tier. No price: not rated, cost 0."""

    record: UUID
    meter: Meter
    start: datetime
    end: datetime
    consumed: int
    quantity: Decimal
    price: PriceWindow | None
    unit_price: Decimal | None
    tier: int
    listed: PriceWindow | None

    @property
    def cost(self) -> Decimal:
        return ZERO if self.unit_price is None else product(self.quantity, self.unit_price)

    @property
    def list_unit_price(self) -> Decimal | None:
        """The list's price; what was agreed where the list has none."""
        return self.listed.unit_price if self.listed is not None else self.unit_price

    @property
    def list_cost(self) -> Decimal:
        return ZERO if self.list_unit_price is None else product(self.quantity, self.list_unit_price)


# What a month has come to already, by price, whose sum it is, and month.
Counters = MutableMapping[tuple[UUID, Hashable, datetime], Decimal]


def rate_record(
    record: Metered,
    prices: Prices,
    tenant_class: str,
    edges: Sequence[datetime],
    month: datetime,
    counters: Counters,
) -> Iterator[Rated]:
    """All that one record costs. `edges` (in order) are where a price may change; the record lies in one month, which
    begins at `month`. Raises what `counters` says of tiered prices.
    """
    cuts = [record.start, *(edge for edge in edges if record.start < edge < record.end), record.end]
    for meter in Meter:
        if meter not in _PER_HOUR or (meter is not Meter.ACCELERATOR and record.unit != "device"):
            continue
        per_second = record.per_second(meter)
        asked = Asked(record.flavor_id, meter, tenant_class, record.site, record.slicing_mode, record.service_class)
        if meter is not Meter.ACCELERATOR and not (per_second and prices.has(asked)):
            continue
        consumed = [(b - a) // _SECOND * per_second for a, b in pairwise(cuts)]
        for (start, end), amount, quantity in zip(
            pairwise(cuts), consumed, parts_of(consumed, _PER_HOUR[meter]), strict=True
        ):
            price = prices.at(asked, start)
            if price is None and meter is not Meter.ACCELERATOR:
                continue
            listed = prices.listed_at(asked, start)
            if price is None:
                yield Rated(record.id, meter, start, end, amount, quantity, None, None, 0, listed)
                continue
            key = (price.id, scope_of(price, record), month)
            before = counters.get(key, ZERO)
            parts = list(slices(price, before, quantity))
            if price.tier_mode is not None:
                counters[key] = plus(before, quantity)
            for part, taken in zip(parts, shares_of(amount, quantity, [p.quantity for p in parts]), strict=True):
                yield Rated(
                    record.id, meter, start, end, taken, part.quantity, price, part.unit_price, part.tier, listed
                )


def scope_of(price: PriceWindow, record: Metered) -> Hashable:
    """Whose month is added up to find the tier."""
    match price.tier_scope:
        case TierScope.PROJECT:
            return record.project_id
        case TierScope.USER:
            return record.user
    return record.tenant_id


def unit_of(meter: Meter, unit: str) -> str:
    return UNITS[meter, unit]


def pricing_of(service_class: str) -> PricingModel:
    return PricingModel.STANDARD if service_class == ServiceClass.GUARANTEED else PricingModel.DYNAMIC


def quantity_by(meter: Meter, consumed: int) -> Decimal:
    return amount_of(consumed, _PER_HOUR[meter])
