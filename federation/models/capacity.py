"""Which devices there were to be handed out, since when: the log that capacity is metered from."""

from django.db import models
from django.db.models.functions import Now


class CapacityChange(models.Model):
    """A device came, went, or was cut into parts or made whole. Append-only, and written by triggers alone.

    `milli` is what of it could be handed out from `at` on: 1000, or 0 when it is not there, its node is gone, its
    parts are handed out in its place, or it is counted elsewhere. Plain ids: the log outlives what it tells of.
    """

    id = models.BigAutoField(primary_key=True)
    accelerator_id = models.UUIDField()
    node_id = models.UUIDField()
    model_id = models.UUIDField()
    milli = models.PositiveSmallIntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["accelerator_id", "id"], name="capacitychange_device"),
            models.Index(fields=["at"], name="capacitychange_at"),
        ]

    def __str__(self) -> str:
        return f"{self.accelerator_id}: {self.milli}"
