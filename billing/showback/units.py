"""What an hour of a card costs: of those that were used, and of those that were busy."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Any

from django.db.models import CharField, DecimalField, F, Max, Q, QuerySet, Sum
from django.db.models.functions import Cast

from billing.models import Charge, ChargeCategory
from billing.rating import ZERO, Meter
from billing.rating.money import rounded
from federation.models import Allocation, Share
from federation.states import AllocationState
from portal.permissions import Scope

UNIT_COST_STEP = Decimal("0.000001")
BUSY_STEP = Decimal("0.0001")
FRESH = timedelta(minutes=5)  # a figure of a card that is older says nothing about now
_WIDE = DecimalField(max_digits=38, decimal_places=9)


class UnitBy(StrEnum):
    MODEL = "model"
    SITE = "site"
    TENANT = "tenant"


# In a charge, and in a share of a card that is held now.
_COLUMNS = {UnitBy.MODEL: "model", UnitBy.SITE: "site", UnitBy.TENANT: "tenant_id"}
_NAMES = {UnitBy.MODEL: "model", UnitBy.SITE: "site", UnitBy.TENANT: "tenant"}
_HELD = {
    UnitBy.MODEL: "allocation__flavor__model",
    UnitBy.SITE: "allocation__cluster__site__slug",
    UnitBy.TENANT: "allocation__tenant_id",
}


@dataclass(frozen=True, slots=True)
class UnitCost:
    """`cost` is exact; what is per hour is rounded. Hours that were reserved and not used cost, and are none."""

    key: str
    name: str
    currency: str
    cost: Decimal
    card_hours: Decimal
    busy_share: Decimal | None  # of the cards that are held at this moment, where there are fresh figures of them

    @property
    def per_card_hour(self) -> Decimal | None:
        return _per(self.cost, self.card_hours)

    @property
    def per_busy_card_hour(self) -> Decimal | None:
        """As if cards had been as busy all the time as they are now."""
        return None if self.busy_share is None else _per(self.cost, self.card_hours * self.busy_share)


def unit_costs(charges: QuerySet[Charge], by: UnitBy, scope: Scope, now: datetime) -> list[UnitCost]:
    """By effective cost; cards alone, without what else has a price of its own beside them."""
    is_card = Q(category=ChargeCategory.USAGE, unit="Accelerator-Hours")
    is_used = Q(meter=Meter.ACCELERATOR, is_minimum=False)
    rows = (
        charges.filter(is_card, meter__in=(Meter.ACCELERATOR, Meter.RESERVATION))
        .order_by()
        .annotate(key=Cast(_COLUMNS[by], CharField()))
        .values("key", "currency")
        .annotate(called=Max(_NAMES[by]), cost=Sum("effective_cost"), hours=Sum("quantity", filter=is_used))
        .order_by("-cost", "currency", "key")
    )
    busy = _busy(by, scope, now)
    return [
        UnitCost(row["key"], row["called"], row["currency"], row["cost"], row["hours"] or ZERO, busy.get(row["key"]))
        for row in rows
    ]


def _busy(by: UnitBy, scope: Scope, now: datetime) -> dict[str, Decimal]:
    """How busy the cards are that run something now, each counted by how much of it is held."""
    running: Any = Allocation.objects.in_scope(scope).filter(state=AllocationState.ACTIVE)
    rows = (
        Share.objects.filter(
            allocation__in=running.order_by().values("pk"),
            accelerator__figures__at__gte=now - FRESH,
            accelerator__figures__busy_percent__isnull=False,
        )
        .order_by()
        .annotate(key=Cast(_HELD[by], CharField()))
        .values("key")
        .annotate(
            busy=Sum(Cast("accelerator__figures__busy_percent", _WIDE) * F("milli"), output_field=_WIDE),
            held=Sum("milli"),
        )
    )
    return {row["key"]: rounded(row["busy"] / (100 * row["held"]), BUSY_STEP, ROUND_HALF_EVEN) for row in rows}


def _per(cost: Decimal, hours: Decimal) -> Decimal | None:
    return rounded(cost / hours, UNIT_COST_STEP, ROUND_HALF_EVEN) if hours > 0 else None
