"""What ran, hour by hour, as the sites proved it. Rebuilt from allocations by `billing.metering`."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, Sum, Value
from django.db.models.functions import Abs, Now
from django.utils import timezone

from billing.models.prices import PriceVersion
from billing.periods import day_start
from billing.policy import policy
from billing.rating import ServiceClass, product, total_of
from portal.models.base import Row, ScopedQuerySet

if TYPE_CHECKING:
    from portal.permissions import Scope

_SECOND = timedelta(seconds=1)


class UsageQuerySet(ScopedQuerySet["UsageRecord"]):
    def between(self, start: datetime, end: datetime) -> "UsageQuerySet":
        return self.filter(start_at__lt=end, end_at__gt=start)

    def spend_today(self, scope: "Scope", *, now: datetime | None = None) -> dict[str, Decimal]:
        """What today's usage so far (in the billing time zone) costs at the prices of this moment."""
        billing, now = policy(), now or timezone.now()
        prices: dict[tuple[Any, Any], Decimal] = {
            (p.flavor_id, p.tenant_id): p.unit_price
            for p in PriceVersion.objects.plain(billing.currency).holding(now, now + _SECOND)
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

    A record follows what its site proves until it is charged (`charged_in`); from then on the database refuses any
    change. What is proven later comes as another record: beside it, or in its place after a record that `reverses`
    it, whose seconds count below zero. `event_ids` are the changes of state that it rests on, with `proof_at`.
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
    workload_kind = models.CharField(max_length=16, blank=True, default="")
    user = models.CharField(max_length=150, blank=True, default="", help_text="Who submitted the work.")
    pool = models.CharField(max_length=63, blank=True, default="")
    model = models.CharField(max_length=64, blank=True, default="")
    slicing_mode = models.CharField(max_length=16, blank=True, default="")
    service_class = models.CharField(
        max_length=16, choices=[(c.value, c.value) for c in ServiceClass], default=ServiceClass.GUARANTEED
    )
    cpu_milli = models.PositiveBigIntegerField(default=0)
    memory_mib = models.PositiveBigIntegerField(default=0)
    device_memory_mib = models.PositiveBigIntegerField(default=0, help_text="Of the cards, as far as it is held.")
    power_watts = models.PositiveIntegerField(default=0, help_text="Nominal, of a whole unit.")
    power_milliwatts = models.PositiveBigIntegerField(
        null=True, help_text="Mean draw of what is held, as measured; null: not measured, and nominal."
    )
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    revision = models.PositiveSmallIntegerField(default=0, help_text="Rises when a charged record is replaced.")
    reverses = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="reversals", db_index=False)
    seconds = models.SmallIntegerField()
    held_milli = models.PositiveBigIntegerField()
    milli_seconds = models.BigIntegerField()
    quantity = models.DecimalField(max_digits=24, decimal_places=9)
    proof_at = models.DateTimeField(null=True, help_text="The last proof that it rests on.")
    event_ids = ArrayField(models.BigIntegerField(), default=list)
    charged_in = models.UUIDField(null=True, help_text="The transaction of the ledger.")
    metered_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar = UsageQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["allocation_id", "start_at", "revision", "reverses"], name="usage_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                name="usage_counts_below_zero_in_reversals",
                condition=Q(reverses__isnull=True, seconds__gt=0) | Q(reverses__isnull=False, seconds__lt=0),
            ),
            models.CheckConstraint(
                name="usage_is_seconds_times_share", condition=Q(milli_seconds=F("seconds") * F("held_milli"))
            ),
            models.CheckConstraint(
                name="usage_seconds_fit_interval",
                condition=Q(end_at=F("start_at") + Abs(F("seconds")) * Value(_SECOND))
                & Q(seconds__gte=-3600, seconds__lte=3600),
            ),
        ]
        indexes = [
            models.Index(fields=["tenant_id", "start_at"], name="usage_tenant_start"),
            models.Index(fields=["tenant_id", "-metered_at"], name="usage_tenant_metered"),
            models.Index(fields=["workload_id"], name="usage_workload"),
            models.Index(fields=["start_at"], name="usage_start"),
            models.Index(fields=["tenant_id", "-id"], name="usage_tenant_newest"),
            models.Index(fields=["tenant_id", "start_at"], name="usage_uncharged", condition=Q(charged_in=None)),
            models.Index(fields=["charged_in"], name="usage_charged", condition=Q(charged_in__isnull=False)),
            models.Index(fields=["reverses"], name="usage_reversed", condition=Q(reverses__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.seconds} s x {self.held_milli}/1000 {self.flavor}"
