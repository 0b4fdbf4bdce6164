"""Reservations: so much of a flavor, from one instant until another, paid for whether used or not."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from billing.models.prices import whole_second
from portal.models import ResourceFlavor, Tenant
from portal.models.base import Row, ScopedQuerySet


class Commitment(Row):
    """`unit_price` is for each hour of the whole unit in the term, used or not; it never changes.

    Bought at once (`LedgerTransaction` of kind commitment), then spread over the hours: over usage that it covers,
    the earliest begun first, and over what was not used.
    """

    scope_paths: ClassVar = {"tenant": "tenant_id"}

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="commitments")
    flavor = models.ForeignKey(ResourceFlavor, on_delete=models.PROTECT, related_name="commitments")
    site = models.CharField(max_length=63, blank=True, default="", help_text="Empty: any.")
    held_milli = models.PositiveBigIntegerField(help_text="In 1/1000 of the flavor's unit.")
    unit_price = models.DecimalField(max_digits=18, decimal_places=6)
    currency = models.CharField(max_length=3)
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()

    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(name="commitment_has_length", condition=Q(end_at__gt=F("start_at"))),
            models.CheckConstraint(name="commitment_holds_something", condition=Q(held_milli__gte=1)),
            models.CheckConstraint(name="commitment_not_negative", condition=Q(unit_price__gte=0)),
            models.CheckConstraint(
                name="commitment_edges_are_whole_seconds",
                condition=Q(whole_second("start_at")) & Q(whole_second("end_at")),
            ),
        ]
        indexes = [models.Index(fields=["tenant", "start_at"], name="commitment_tenant")]

    def __str__(self) -> str:
        return f"{self.held_milli}/1000 from {self.start_at:%Y-%m-%d}"
