"""What stood idle would have cost at list prices, and who bears it.

Hours are priced by the list price that holds when they begin, for any way of slicing and any service class, in the
default book. Of each flavor at each site the idle cost is spread by one of two rules, over tenants in proportion to
what they used there in that time, or to what they are promised of the flavor now. What nobody can be given, because
nobody used it or was promised any, stays with the platform.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from billing.models import PriceVersion, UsageRecord
from billing.rating import ZERO, Asked, Prices, product
from billing.rating.money import less, plus, total_of
from billing.rating.spreading import spread_cost
from billing.showback.names import names_of
from billing.showback.promises import promised


class Rule(StrEnum):
    USE = "use"
    QUOTA = "quota"


@dataclass(slots=True)
class Place:
    """One flavor at one site: hours of the whole unit, and what they come to at list prices."""

    site: str
    flavor_id: UUID
    flavor: str
    capacity: Decimal = ZERO
    work: Decimal = ZERO
    reserved: Decimal = ZERO
    idle: Decimal = ZERO
    unpriced: Decimal = ZERO  # idle hours for which there was no list price
    idle_cost: Decimal = ZERO
    reserved_cost: Decimal = ZERO


@dataclass(slots=True)
class Share:
    tenant_id: UUID
    tenant: str
    cost: Decimal = ZERO


@dataclass(slots=True)
class Idle:
    currency: str
    places: list[Place] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    unallocated: Decimal = ZERO

    @property
    def cost(self) -> Decimal:
        return total_of(place.idle_cost for place in self.places)


def idle(
    currency: str, rule: Rule, start: datetime | None, end: datetime | None, *, site: str = "", flavor: str = ""
) -> Idle:
    """Of the whole estate; who asks is shown no more than is theirs."""
    found = Idle(currency, _places(currency, start, end, site, flavor))
    weights = _used(found.places, start, end) if rule is Rule.USE else _promised(found.places)
    costs: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
    for place in found.places:
        shares = spread_cost(place.idle_cost, weights[place.site, place.flavor_id])
        for tenant, cost in shares.items():
            costs[tenant] = plus(costs[tenant], cost)
        found.unallocated = plus(found.unallocated, less(place.idle_cost, total_of(shares.values())))
    names = names_of(costs)
    found.shares = [Share(pk, names.get(pk, ""), cost) for pk, cost in costs.items()]
    found.shares.sort(key=lambda share: (-share.cost, str(share.tenant_id)))
    return found


# Hours are rounded one by one, as usage is, so that days add up to their month. Prices hold between the edges.
_HOURS = """
SELECT site, flavor_id, max(flavor), width_bucket(hour, %(edges)s::timestamptz[]) AS span, min(hour),
       {sums}
FROM billing_capacityhour
WHERE (%(start)s::timestamptz IS NULL OR hour >= %(start)s) AND (%(end)s::timestamptz IS NULL OR hour < %(end)s)
  AND (%(site)s = '' OR site = %(site)s) AND (%(flavor)s = '' OR flavor = %(flavor)s)
GROUP BY site, flavor_id, span
ORDER BY site, max(flavor), flavor_id, span
"""
_COLUMNS = ("capacity", "work", "reserved", "idle")
_SUMS = ", ".join(f"sum(round({name}::numeric(30, 12) / 3600000, 9))" for name in _COLUMNS)


def _places(
    currency: str, start: datetime | None, end: datetime | None, site: str, flavor: str
) -> list[Place]:  # fmt: skip
    rows = PriceVersion.objects.filter(
        tenant=None, tenant_class="", book__is_default=True, currency=currency, meter="accelerator"
    )
    prices = Prices([row.window() for row in rows])
    edges = sorted({at for w in prices.windows for at in (w.valid_from, w.valid_to) if at is not None})
    found: dict[tuple[str, UUID], Place] = {}
    with connection.cursor() as cursor:
        asked = {"edges": edges, "start": start, "end": end, "site": site, "flavor": flavor}
        cursor.execute(_HOURS.format(sums=_SUMS), asked)
        for where, flavor_id, name, _, first, *sums in cursor.fetchall():
            place = found.setdefault((where, flavor_id), Place(where, flavor_id, name))
            for column, hours in zip(_COLUMNS, sums, strict=True):
                setattr(place, column, plus(getattr(place, column), hours))
            _, _, reserved, idle_hours = sums
            price = prices.listed_at(Asked(flavor_id, site=where), first.astimezone(UTC))
            if price is None:
                place.unpriced = plus(place.unpriced, idle_hours)
                continue
            place.idle_cost = plus(place.idle_cost, product(idle_hours, price.unit_price))
            place.reserved_cost = plus(place.reserved_cost, product(reserved, price.unit_price))
    return list(found.values())


_Weights = dict[tuple[str, UUID], dict[UUID, int]]


def _used(places: Iterable[Place], start: datetime | None, end: datetime | None) -> _Weights:
    rows: Any = UsageRecord.objects.filter(flavor_id__in={place.flavor_id for place in places})
    if start:
        rows = rows.filter(start_at__gte=start)
    if end:
        rows = rows.filter(start_at__lt=end)
    found: _Weights = defaultdict(dict)
    keys = ("site", "flavor_id", "tenant_id")
    for site, flavor, tenant, amount in rows.order_by(*keys).values_list(*keys).annotate(sum=Sum("milli_seconds")):
        found[site, flavor][tenant] = max(0, int(amount))
    return found


def _promised(places: Iterable[Place]) -> _Weights:
    found: _Weights = defaultdict(dict)
    promises = promised(place.flavor_id for place in places)
    for place in places:
        mine = {tenant: milli for (flavor, tenant), milli in promises.items() if flavor == place.flavor_id}
        found[place.site, place.flavor_id] = dict(sorted(mine.items(), key=lambda item: str(item[0])))
    return found
