"""Where proof is missing: work that was seen to run, and then its site fell silent."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from portal.models.base import Row, ScopedQuerySet


class UsageGap(Row):
    """From the last proof of an allocation until its site proved something again. Open while it is silent.

    Nothing in it is billed until it is proven. `proven_seconds` says how much of it was, when it closed.
    """

    scope_paths: ClassVar = {"tenant": "tenant_id", "project": "project_id"}

    allocation_id = models.UUIDField()
    workload_id = models.UUIDField()
    tenant_id = models.UUIDField()
    project_id = models.UUIDField()
    site = models.CharField(max_length=63)
    cluster = models.CharField(max_length=63)
    node = models.CharField(max_length=253)
    flavor = models.CharField(max_length=63)
    held_milli = models.PositiveBigIntegerField()
    start_at = models.DateTimeField()
    end_at = models.DateTimeField(null=True, help_text="Empty: still silent.")
    proven_seconds = models.PositiveIntegerField(null=True)

    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["allocation_id", "start_at"], name="gap_once"),
            models.UniqueConstraint(fields=["allocation_id"], name="gap_one_open", condition=Q(end_at=None)),
            models.CheckConstraint(name="gap_has_length", condition=Q(end_at=None) | Q(end_at__gte=F("start_at"))),
        ]
        indexes = [models.Index(fields=["tenant_id", "-id"], name="gap_tenant_newest")]

    def __str__(self) -> str:
        return f"{self.node} silent from {self.start_at:%Y-%m-%d %H:%M:%S}Z"
