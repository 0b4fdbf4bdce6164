"""Costs by one or two dimensions over time: one grouped query over the charges, exact.

A reversal counts like any charge, with the opposite sign, so no sum has to look for what was reversed. A charge
belongs to the step in which its period begins. Amounts of two currencies are never added up.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Case, CharField, DateTimeField, F, Func, Max, QuerySet, Sum, Value, When
from django.db.models.functions import Cast, Coalesce, Concat

from billing.models import Charge
from billing.rating import total_of
from billing.rating.money import rounded

SHARE_STEP = Decimal("0.000001")
MOST_STEPS = 1500


class Dimension(StrEnum):
    TENANT = "tenant"
    DEPARTMENT = "department"
    PROJECT = "project"
    USER = "user"
    SITE = "site"
    CLUSTER = "cluster"
    POOL = "pool"
    FLAVOR = "flavor"
    MODEL = "model"
    SLICING_MODE = "slicing_mode"
    SERVICE_CLASS = "service_class"
    METER = "meter"
    CATEGORY = "category"
    WORKLOAD = "workload"


class Step(StrEnum):
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    NONE = "none"


class Measure(StrEnum):
    """`billed` is what invoices ask for, `effective` has reservations spread over their hours."""

    BILLED = "billed"
    EFFECTIVE = "effective"
    LIST = "list"

    @property
    def column(self) -> str:
        return f"{self}_cost"


# Whose name stands beside its id in each charge.
_WITH_ID = {Dimension.TENANT: "tenant", Dimension.PROJECT: "project", Dimension.WORKLOAD: "workload"}


@dataclass(frozen=True, slots=True)
class Key:
    """What a series is of in one dimension. No id: it is known by its name. Neither: none, as a tax no project."""

    dimension: Dimension
    id: UUID | None
    name: str


class Point(NamedTuple):
    start: datetime | None  # of its step
    cost: Decimal


@dataclass(slots=True)
class Series:
    """`keys` is empty for all that is not among the first."""

    currency: str
    keys: tuple[Key, ...]
    total: Decimal
    share: Decimal | None = None  # of the currency's total; rounded, and for reading only
    points: list[Point] = field(default_factory=list)


def series(
    charges: QuerySet[Charge], by: Sequence[Dimension], step: Step, measure: Measure, zone: ZoneInfo, top: int
) -> list[Series]:
    """The first `top` of each currency by their totals, and the rest in one; every charge is in exactly one of them."""
    found: dict[tuple[str, tuple[Key, ...]], Series] = {}
    for currency, place, at, amount, *names in _rows(charges, by, step, measure, zone, top):
        keys = () if place > top else _keys(by, names)
        one = found.setdefault((currency, keys), Series(currency, keys, Decimal(0)))
        one.points.append(Point(at, amount))
    for one in found.values():
        one.total = total_of(amount for _, amount in one.points)
    sums = {total.currency: total.cost for total in totals(found.values())}
    for one in found.values():
        one.share = share_of(one.total, sums[one.currency])
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Total:
    currency: str
    cost: Decimal


def totals(found: Iterable[Series]) -> list[Total]:
    """Of each currency."""
    amounts: dict[str, list[Decimal]] = defaultdict(list)
    for one in found:
        amounts[one.currency].append(one.total)
    return [Total(currency, total_of(amounts[currency])) for currency in sorted(amounts)]


def share_of(part: Decimal, whole: Decimal) -> Decimal | None:
    return rounded(part / whole, SHARE_STEP, ROUND_HALF_EVEN) if whole else None


def steps_between(start: datetime, end: datetime, step: Step) -> int:
    """About how many points a series may have."""
    length = {Step.HOUR: timedelta(hours=1), Step.DAY: timedelta(days=1), Step.MONTH: timedelta(days=28)}
    return (end - start) // length[step] + 1 if step in length else 1


# Groups are ranked, and those beyond the first put together, where they are: there may be very many.
_RANKED = """
WITH part AS ({grouped}),
named AS (SELECT part.currency, {at} AS at, part.amount, {named} FROM part {joined}),
ranked AS (
  SELECT currency, {keys}, {names}, row_number() OVER (PARTITION BY currency ORDER BY sum(amount) DESC, {keys}) AS rank
  FROM named GROUP BY currency, {keys}
)
SELECT currency, least(rank, %s) AS place, at, sum(amount), {shown}
FROM named JOIN ranked USING (currency, {keys})
GROUP BY currency, place, at
ORDER BY currency, place, at
"""
# A charge knows its project; of which department that is, is looked up, and is as it is now.
_DEPARTMENTS = """
LEFT JOIN portal_project project_{n} ON project_{n}.id::text = part.key_{n}
LEFT JOIN portal_department department_{n} ON department_{n}.id = project_{n}.department_id
"""


def _rows(
    charges: QuerySet[Charge], by: Sequence[Dimension], step: Step, measure: Measure, zone: ZoneInfo, top: int
) -> list[tuple[Any, ...]]:
    """Currency, place among its groups (`top` + 1: all others), when, how much, and a key and a name for each `by`."""
    numbers = range(len(by))
    keys = {f"key_{n}": _key(dimension) for n, dimension in enumerate(by)}
    names = {f"name_{n}": _name(dimension) for n, dimension in enumerate(by)}
    at: dict[str, Any] = {} if step is Step.NONE else {"at": _start_of(step, zone)}
    grouped = charges.order_by().annotate(**keys, **at).values("currency", *keys, *at)
    try:
        inner, values = grouped.annotate(**names, amount=Sum(measure.column)).query.sql_with_params()
    except EmptyResultSet:  # nothing can be in scope
        return []
    statement = _RANKED.format(
        grouped=inner,
        at="part.at" if at else "NULL::timestamptz",
        named=", ".join(_named(n, dimension) for n, dimension in enumerate(by)),
        joined="".join(_DEPARTMENTS.format(n=n) for n in numbers if by[n] is Dimension.DEPARTMENT),
        keys=", ".join(keys),
        names=", ".join(f"max(name_{n}) AS called_{n}" for n in numbers),
        shown=", ".join(f"min(key_{n}), min(called_{n})" for n in numbers),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, top + 1])
        return list(cursor.fetchall())


def _named(n: int, dimension: Dimension) -> str:
    if dimension is Dimension.DEPARTMENT:
        return f"coalesce(department_{n}.id::text, '') AS key_{n}, coalesce(department_{n}.name, '') AS name_{n}"
    return f"part.key_{n}, part.name_{n}"


def _key(dimension: Dimension) -> Any:
    """By what a charge is grouped, as a text; empty where it has none."""
    if dimension is Dimension.DEPARTMENT:
        dimension = Dimension.PROJECT
    if dimension in _WITH_ID:
        return Coalesce(Cast(f"{dimension}_id", CharField()), Value(""))
    return _place if dimension is Dimension.CLUSTER else F(dimension)


def _name(dimension: Dimension) -> Any:
    """Of several names that a thing has had, the last in the alphabet: names are copies, and outlive renaming."""
    if dimension is Dimension.CLUSTER:
        return Max(_place)
    return Max(_WITH_ID.get(dimension, "project" if dimension is Dimension.DEPARTMENT else dimension))


# Slugs of clusters are unique within their site.
_place = Case(When(cluster="", then=Value("")), default=Concat("site", Value("/"), "cluster"), output_field=CharField())


def _start_of(step: Step, zone: ZoneInfo) -> Any:
    """Hours are those of UTC, as usage is cut; days and months of the billing time zone, be they of 23 or 25 hours."""
    where = "UTC" if step is Step.HOUR else zone.key
    return Func(Value(step.value), F("period_start"), Value(where), function="date_trunc", output_field=DateTimeField())


def _keys(by: Sequence[Dimension], shown: Sequence[str]) -> tuple[Key, ...]:
    has_id = {*_WITH_ID, Dimension.DEPARTMENT}
    pairs = zip(by, shown[::2], shown[1::2], strict=True)
    return tuple(Key(d, UUID(key) if d in has_id and key else None, name) for d, key, name in pairs)
