"""Releases of the agent that the operator has signed and uploaded, and which clusters take them when."""

from typing import Any, ClassVar

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from federation.models.sites import Cluster
from portal.models.base import Row, ScopedQuerySet


class AgentReleaseQuerySet(ScopedQuerySet["AgentRelease"]):
    def without_file(self) -> "AgentReleaseQuerySet":
        return self.defer("body")


class AgentRelease(Row):
    """One file, and what the operator signed of it. The hub passes both on: it could not sign another."""

    serial = models.BigIntegerField(unique=True)
    agent_version = models.CharField(max_length=32)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    manifest = models.TextField()
    signature = models.TextField()
    expires_at = models.DateTimeField()
    body = models.BinaryField()
    percent = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(100)], help_text="Of the clusters that take releases by themselves."
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    scope_paths: ClassVar = {}
    objects: ClassVar = AgentReleaseQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(name="release_percent", condition=Q(percent__lte=100))]

    def __str__(self) -> str:
        return f"{self.agent_version} ({self.serial})"


class AgentUpdates(models.Model):
    """Whether the agent of this cluster takes releases by itself. No row: it does not."""

    class Mode(models.TextChoices):
        OFF = "off"
        NOTIFY = "notify"
        AUTO = "auto"

    objects: ClassVar[models.Manager[Any]]

    cluster = models.OneToOneField(Cluster, primary_key=True, on_delete=models.CASCADE, related_name="agent_updates")
    mode = models.CharField(max_length=8, choices=Mode.choices, default=Mode.OFF)
    window = models.CharField(max_length=11, blank=True, default="", help_text="HH:MM-HH:MM in UTC; empty: always.")

    def __str__(self) -> str:
        return f"{self.mode} {self.window}".strip()
