"""What a card is to be cut into, and what became of that."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from federation.models.inventory import Accelerator


class LayoutState(models.TextChoices):
    WAITING = "waiting"  # for its site to hear of it, or for the card to be free
    APPLIED = "applied"
    REFUSED = "refused"  # `reason` and `message` say why; its site tries again now and then


class CardLayout(models.Model):
    """The wish of an operator for the parts of one card. It stays: a card that comes back is cut as it was to be.

    `generation` rises with each wish; what a site says of an older one is about something that nobody wants any more.
    """

    accelerator = models.OneToOneField(Accelerator, on_delete=models.CASCADE, primary_key=True, related_name="layout")
    wanted = models.JSONField(default=dict, help_text="How many of each profile; none: the whole card.")
    generation = models.PositiveIntegerField(default=1)
    wanted_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=16, choices=LayoutState.choices, default=LayoutState.WAITING)
    reason = models.CharField(max_length=64, blank=True, default="")
    message = models.CharField(max_length=1000, blank=True, default="")

    tenant_id: ClassVar[None] = None

    def __str__(self) -> str:
        return f"parts of {self.accelerator_id}"
