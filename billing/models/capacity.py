"""What there was, hour by hour, and what became of it: work + reserved + idle = capacity."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from portal.models.base import ScopedQuerySet, uuid7


class CapacityHour(models.Model):
    """One flavor at one site in one hour of UTC, in milli-seconds. Computed anew whenever its hour is read again.

    `work` ran, as proven; `reserved` was held by a grant without proof that it ran (not begun yet, ending, or its
    site silent); `idle` was held by nobody. Where the proofs of two overlap on one card, the card is counted once, and
    what is claimed beyond it is `contested`.
    """

    scope_paths: ClassVar[dict[str, str]] = {}

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    site = models.CharField(max_length=63)
    flavor_id = models.UUIDField()
    flavor = models.CharField(max_length=63)
    hour = models.DateTimeField()
    capacity = models.BigIntegerField()
    work = models.BigIntegerField()
    reserved = models.BigIntegerField()
    idle = models.BigIntegerField()
    contested = models.BigIntegerField(default=0)
    computed_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["site", "flavor_id", "hour"], name="capacity_once"),
            models.CheckConstraint(
                name="capacity_adds_up",
                condition=Q(capacity=F("work") + F("reserved") + F("idle"))
                & Q(work__gte=0, reserved__gte=0, idle__gte=0),
            ),
        ]
        indexes = [models.Index(fields=["hour"], name="capacity_hour")]

    def __str__(self) -> str:
        return f"{self.flavor} at {self.site}, {self.hour:%Y-%m-%d %H}h"
