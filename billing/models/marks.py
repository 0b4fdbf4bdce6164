"""How far sweeps have come."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar
from uuid import UUID

from django.db import models

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
