"""What a tenant may hold. Amounts are in 1/1000 of the flavor's unit: of a device, or of a core for `cpu`."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from portal.models.base import Row
from portal.models.tenants import Project, Tenant


class ResourceFlavor(Row):
    """What quota is counted in and prices are set for: an accelerator model, or host CPU (empty model)."""

    class Unit(models.TextChoices):
        DEVICE = "device"
        CORE = "core"

    name = models.CharField(max_length=63, unique=True)
    unit = models.CharField(max_length=8, choices=Unit.choices, default=Unit.DEVICE)
    vendor = models.CharField(max_length=32, blank=True, default="")
    model = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["vendor", "model"], name="flavor_per_model", condition=Q(unit="device"))
        ]

    def __str__(self) -> str:
        return self.name


class Quota(Row):
    """A share of one flavor for a project, or (no project) for a whole tenant; both walls hold.

    `held_milli` is kept by database triggers from live allocations (federation migration 0002), so that
    growth beyond `limit` is refused by the database itself. Lowering a limit below what is held is
    allowed: nothing is killed, and nothing more is granted.
    """

    scope_paths: ClassVar = {"tenant": "tenant_id", "project": "project_id"}

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="quotas")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, blank=True, related_name="quotas")
    flavor = models.ForeignKey(ResourceFlavor, on_delete=models.PROTECT, related_name="quotas")
    nominal_milli = models.BigIntegerField(help_text="Guaranteed share, in 1/1000 of the flavor's unit.")
    borrowing_limit_milli = models.BigIntegerField(
        default=0, help_text="How much more may be taken while others leave it idle."
    )
    lending_limit_milli = models.BigIntegerField(
        null=True, blank=True, help_text="How much of the share others may borrow; empty: all of it."
    )
    weight = models.PositiveIntegerField(default=1, help_text="Share of what is left over.")
    held_milli = models.BigIntegerField(default=0, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "project", "flavor"], name="quota_once", nulls_distinct=False),
            models.CheckConstraint(
                name="quota_amounts_not_negative",
                condition=Q(nominal_milli__gte=0)
                & Q(borrowing_limit_milli__gte=0)
                & Q(held_milli__gte=0)
                & (Q(lending_limit_milli__isnull=True) | Q(lending_limit_milli__gte=0)),
            ),
        ]

    @property
    def limit_milli(self) -> int:
        """The most that may be held: the guaranteed share and what may be borrowed."""
        return self.nominal_milli + self.borrowing_limit_milli

    @property
    def free_milli(self) -> int:
        return max(self.limit_milli - self.held_milli, 0)

    def __str__(self) -> str:
        return f"{self.flavor_id} of {self.project_id or self.tenant_id}"


LIMIT = F("nominal_milli") + F("borrowing_limit_milli")
