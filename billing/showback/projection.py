"""What this month will come to, for each tenant or project: the arithmetic is `rating.forecast`."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import DateTimeField, F, Func, Max, Q, QuerySet, Sum, Value

from billing.models import Charge, ChargeCategory, Commitment
from billing.periods import Period, day_start
from billing.policy import Policy
from billing.rating import ZERO, product, quantity_of
from billing.rating.forecast import LOOK_BACK, MOST_DAYS, Forecast, forecast
from billing.rating.money import plus
from billing.showback.costs import Measure

_DAY = timedelta(days=1)
_READ = timedelta(days=MOST_DAYS + 1)  # who cost something within that had days of no cost since; who did not, is new
_OF_INVOICES = (ChargeCategory.TAX, ChargeCategory.ADJUSTMENT)


@dataclass(frozen=True, slots=True)
class Projected:
    """`spent` is exact and without tax. `known` are reservations that begin later in the month. `days`: how many whole
    days it goes by."""

    tenant_id: UUID
    tenant: str
    project_id: UUID | None
    project: str
    currency: str
    spent: Decimal
    known: Decimal
    days: int
    forecast: Forecast


_Who = tuple[UUID, UUID | None, str]  # tenant, project, currency


def projected(
    charges: QuerySet[Charge],
    commitments: Iterable[Commitment],
    *,
    by_project: bool,
    period: Period,
    measure: Measure,
    policy: Policy,
    now: datetime,
    charged_until: datetime,
) -> list[Projected]:
    """By what is spent, the most first. What is of no project, as a reservation, stands by itself."""
    today = min(day_start(now, policy.zone), period.end)
    first = today - _READ
    rows: Any = charges.exclude(category__in=_OF_INVOICES).filter(
        Q(period_start__gte=min(first, period.start), period_start__lt=period.end)
    )
    keys = ["tenant_id", *(["project_id"] if by_project else []), "currency"]
    daily = (
        rows.order_by()
        .annotate(day=Func(Value("day"), F("period_start"), Value(policy.zone.key), function="date_trunc",
                           output_field=DateTimeField()))
        .values(*keys, "day", "category")
        .annotate(called=Max("tenant"), project_called=Max("project"), cost=Sum(measure.column))
    )  # fmt: skip
    spent: dict[_Who, Decimal] = defaultdict(lambda: ZERO)
    costs: dict[_Who, dict[datetime, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    names: dict[UUID | None, str] = {}
    for row in daily:
        who = (row["tenant_id"], row.get("project_id"), row["currency"])
        names[who[0]] = row["called"]
        if who[1]:
            names[who[1]] = row["project_called"]
        if row["day"] >= period.start:
            spent[who] = plus(spent[who], row["cost"])
        if row["category"] == ChargeCategory.USAGE:
            costs[who][row["day"]] = plus(costs[who][row["day"]], row["cost"])
    known = _known(commitments, period, now)
    names.update({c.tenant_id: c.tenant.name for c in commitments if c.tenant_id not in names})
    left = _days(max(charged_until, period.start), period.end)
    found = []
    for who in spent.keys() | known.keys():
        days = _whole_days(costs[who], today, policy)
        rest = known.get(who, ZERO)
        if not days and left and charged_until > today:  # begun today: all there is to go by is a part of a day
            whole = costs[who][today] / _days(today, charged_until)
            outcome = forecast(spent[who], [whole], left, rest)
        else:
            outcome = forecast(spent[who], days, left, rest)
        found.append(
            Projected(who[0], names[who[0]], who[1], names.get(who[1], "") if who[1] else "", who[2], spent[who], rest,
                      min(len(days), LOOK_BACK), outcome)
        )  # fmt: skip
    return sorted(found, key=lambda p: (-p.spent, str(p.tenant_id), str(p.project_id), p.currency))


def _whole_days(costs: dict[datetime, Decimal], today: datetime, policy: Policy) -> list[Decimal]:
    """The last whole days, those of no cost too, but not those before the first cost there is."""
    before = sorted(day for day in costs if day < today)
    if not before:
        return []
    days: list[Decimal] = []
    day = today
    while len(days) < MOST_DAYS and day > before[0]:
        day = day_start(day - _DAY / 2, policy.zone)
        days.append(costs.get(day, ZERO))
    return days[::-1]


def _known(commitments: Iterable[Commitment], period: Period, now: datetime) -> dict[_Who, Decimal]:
    """Reservations that have not begun: they are asked for in full, from then until the month ends."""
    found: dict[_Who, Decimal] = defaultdict(lambda: ZERO)
    for one in commitments:
        if now <= one.start_at < period.end:
            seconds = (min(one.end_at, period.end) - one.start_at) // timedelta(seconds=1)
            quantity = quantity_of(seconds * one.held_milli)
            who = (one.tenant_id, None, one.currency)
            found[who] = plus(found[who], product(quantity, one.unit_price))
    return dict(found)


def _days(start: datetime, end: datetime) -> Decimal:
    return Decimal(max(0, (end - start) // timedelta(seconds=1))) / 86_400
