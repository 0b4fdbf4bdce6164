"""What work drew, by the hour: the record that energy is charged from."""

from django.db import models
from django.db.models import Q


class EnergyHour(models.Model):
    """Measured energy of one allocation in one hour of UTC: `millijoules` drawn in `milliseconds` that were measured.

    Summed as figures of its devices come in (`reconcile/energy.py`); it only grows. `last_watts` at `last_at` is where
    the next step begins. A plain id: billing reads it after the allocation is gone.
    """

    id = models.BigAutoField(primary_key=True)
    allocation_id = models.UUIDField()
    hour = models.DateTimeField()
    millijoules = models.BigIntegerField(default=0)
    milliseconds = models.IntegerField(default=0)
    last_at = models.DateTimeField()
    last_watts = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["allocation_id", "hour"], name="energy_once_an_hour"),
            models.CheckConstraint(
                name="energy_hour_has_an_hour", condition=Q(milliseconds__gte=0, milliseconds__lte=3_600_000)
            ),
            models.CheckConstraint(name="energy_only_grows", condition=Q(millijoules__gte=0)),
        ]

    def __str__(self) -> str:
        return f"{self.millijoules} mJ in {self.milliseconds} ms from {self.hour}"
