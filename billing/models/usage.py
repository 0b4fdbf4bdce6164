"""What ran, hour by hour, as the sites proved it. Rebuilt from allocations by `billing.metering`."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Case, F, Func, Max, Min, Q, Sum, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from billing.models.prices import Price
from billing.periods import day_start
from billing.policy import policy
from billing.rating import Item, Names, Usage, cut, product, quantity_of, total_of
from portal.models.base import Row, ScopedQuerySet

if TYPE_CHECKING:
    from portal.permissions import Scope

_SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _bucket(instant: Any, edges: Sequence[datetime]) -> Func:
    """How many of `edges` are not after `instant`: equal for two instants with no edge between them."""
    listed = Value(list(edges), output_field=ArrayField(models.DateTimeField()))
    return Func(instant, listed, function="width_bucket", output_field=models.IntegerField())


class UsageQuerySet(ScopedQuerySet["UsageRecord"]):
    def between(self, start: datetime, end: datetime) -> "UsageQuerySet":
        return self.filter(start_at__lt=end, end_at__gt=start)

    def cut_at(self, edges: Sequence[datetime]) -> Iterable[Usage]:
        """Sums per item between neighbouring `edges`, for rating.

        The database adds up the records that no edge cuts; the few that one does come singly and are cut
        here. One query, so that a record metered meanwhile is counted neither twice nor never.
        """
        rows = (
            self.between(edges[0], edges[-1])
            .annotate(first=_bucket(F("start_at"), edges), last=_bucket(F("end_at") - Value(_SECOND), edges))
            .annotate(single=Case(When(first=F("last"), then=None), default=F("id")))
            .order_by()
            .values("project_id", "flavor_id", "site", "first", "single")
            .annotate(
                project_name=Max("project"),
                flavor_name=Max("flavor"),
                flavor_unit=Max("unit"),
                start=Min("start_at"),
                end=Max("end_at"),
                amount=Sum("milli_seconds", output_field=models.DecimalField(max_digits=38, decimal_places=0)),
                hours=Sum("quantity"),
                held=Min("held_milli"),
            )
        )
        for row in rows:
            item = Item(row["project_id"], row["flavor_id"], row["site"])
            names = Names(row["project_name"], row["flavor_name"], row["flavor_unit"])
            if row["single"] is None:
                yield Usage(item, names, row["start"], row["end"], int(row["amount"]), row["hours"])
                continue
            for start, end, seconds in cut(row["start"], row["end"], edges):
                milli_seconds = seconds * row["held"]
                yield Usage(item, names, start, end, milli_seconds, quantity_of(milli_seconds))

    def spend_today(self, scope: "Scope", *, now: datetime | None = None) -> dict[str, Decimal]:
        """What today's usage so far (in the billing time zone) costs at the prices of this moment."""
        billing, now = policy(), now or timezone.now()
        prices: dict[tuple[Any, Any], Decimal] = {
            (p.flavor_id, p.tenant_id): p.unit_price
            for p in Price.objects.filter(currency=billing.currency).holding(now, now + _SECOND)
        }
        rows = (
            self.in_scope(scope)
            .filter(start_at__gte=day_start(now, billing.zone))
            .order_by()
            .values_list("tenant_id", "flavor_id")
            .annotate(hours=Sum("quantity"))
        )
        return {
            billing.currency: total_of(
                product(hours, prices.get((flavor, tenant), prices.get((flavor, None), Decimal(0))))
                for tenant, flavor, hours in rows
            )
        }


class UsageRecord(Row):
    """A piece of one allocation's run, at most an hour long: whole seconds, end exclusive.

    Plain ids and copies of names, so that usage outlives what it tells of. `quantity` is where hours are
    rounded, once; whatever adds records up, in any grouping, agrees to the last digit.
    """

    scope_paths: ClassVar = {"tenant": "tenant_id", "project": "project_id"}

    allocation_id = models.UUIDField()
    workload_id = models.UUIDField()
    workload = models.CharField(max_length=200)
    tenant_id = models.UUIDField()
    tenant = models.CharField(max_length=200)
    project_id = models.UUIDField()
    project = models.CharField(max_length=200)
    flavor_id = models.UUIDField()
    flavor = models.CharField(max_length=63)
    unit = models.CharField(max_length=8)
    site = models.CharField(max_length=63)
    cluster = models.CharField(max_length=63)
    node = models.CharField(max_length=253)
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    seconds = models.PositiveSmallIntegerField()
    held_milli = models.PositiveBigIntegerField()
    milli_seconds = models.BigIntegerField()
    quantity = models.DecimalField(max_digits=24, decimal_places=9)
    metered_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar = UsageQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["allocation_id", "start_at"], name="usage_once"),
            models.CheckConstraint(
                name="usage_is_seconds_times_share", condition=Q(milli_seconds=F("seconds") * F("held_milli"))
            ),
            models.CheckConstraint(
                name="usage_seconds_fit_interval",
                condition=Q(end_at=F("start_at") + F("seconds") * Value(_SECOND))
                & Q(seconds__gte=1, seconds__lte=3600),
            ),
        ]
        indexes = [
            models.Index(fields=["tenant_id", "start_at"], name="usage_tenant_start"),
            models.Index(fields=["tenant_id", "-metered_at"], name="usage_tenant_metered"),
            models.Index(fields=["workload_id"], name="usage_workload"),
            models.Index(fields=["start_at"], name="usage_start"),
            models.Index(fields=["tenant_id", "-id"], name="usage_tenant_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.seconds} s x {self.held_milli}/1000 {self.flavor}"


class MarkQuerySet(models.QuerySet["Mark"]):
    def take(self, sweep: str, tenant_id: UUID | None = None) -> "Mark | None":
        """The sweep's mark, locked until the transaction ends; None when another worker has it."""
        self.get_or_create(sweep=sweep, tenant_id=tenant_id, defaults={"at": _EPOCH})
        return self.select_for_update(skip_locked=True).filter(sweep=sweep, tenant_id=tenant_id).first()


class Mark(models.Model):
    """How far a sweep has come. Its row lock lets one worker at a time do the sweep's work.

    What a sweep reads by time it reads again OVERLAP before the mark: a row is stamped when its transaction
    begins, and may come to light after a younger one.
    """

    OVERLAP: ClassVar = timedelta(seconds=120)  # longer than any transaction may last

    sweep = models.CharField(max_length=16)
    tenant_id = models.UUIDField(null=True)
    at = models.DateTimeField()

    objects: ClassVar = MarkQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sweep", "tenant_id"], name="mark_once", nulls_distinct=False)]

    def __str__(self) -> str:
        return f"{self.sweep} {self.tenant_id or ''} {self.at}"
