"""The log of changes: states, audit, events to deliver, and answers to repeated requests."""

from typing import ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from portal.models.base import ScopedQuerySet


class StateChange(models.Model):
    """One arrow taken. Append-only; billing is computed from these rows.

    `effective_at` is when it happened at the site, as far as that is proven; `at` is when we wrote it.
    Plain ids and no foreign keys: history outlives what it tells of.
    """

    scope_paths: ClassVar = {"tenant": "tenant_id"}

    id = models.BigAutoField(primary_key=True)
    object_type = models.CharField(max_length=32)
    object_id = models.UUIDField()
    tenant_id = models.UUIDField(null=True)
    from_state = models.CharField(max_length=16)
    to_state = models.CharField(max_length=16)
    reason = models.CharField(max_length=64, blank=True, default="")
    message = models.TextField(blank=True, default="")
    by = models.CharField(max_length=150)
    version = models.PositiveIntegerField()
    effective_at = models.DateTimeField(db_default=Now())
    at = models.DateTimeField(db_default=Now())

    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["object_id", "id"], name="statechange_object"),
            models.Index(fields=["object_type", "at"], name="statechange_type_at"),
        ]
        constraints = [models.UniqueConstraint(fields=["object_id", "version"], name="statechange_once_per_version")]

    def __str__(self) -> str:
        return f"{self.object_type} {self.object_id}: {self.from_state} -> {self.to_state}"


class AuditEntry(models.Model):
    """Who did what to what. Append-only by trigger; plain ids and copies of names."""

    scope_paths: ClassVar = {"tenant": "tenant_id"}

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    tenant_id = models.UUIDField(null=True)
    actor_id = models.UUIDField(null=True)
    actor_name = models.CharField(max_length=150)
    what = models.CharField(max_length=64)
    target_type = models.CharField(max_length=32)
    target_id = models.CharField(max_length=64)
    target_name = models.CharField(max_length=200, blank=True, default="")
    detail = models.JSONField(default=dict)

    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["tenant_id", "-id"], name="audit_tenant"),
            models.Index(fields=["target_id", "id"], name="audit_target"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.what} {self.target_id}"


class OutboxEvent(models.Model):
    """Something changed; browsers are to be told. Written with the change, delivered after it, then dropped."""

    id = models.BigAutoField(primary_key=True)
    tenant_id = models.UUIDField(null=True)
    topic = models.CharField(max_length=32)
    object_id = models.UUIDField()
    created_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["id"], name="outbox_due", condition=Q(delivered_at__isnull=True)),
            BrinIndex(fields=["created_at"], name="outbox_created"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.object_id}"


class StreamPosition(models.Model):
    """The number of the last event delivered on a stream (`platform`, or a tenant's id). No gaps."""

    stream = models.CharField(max_length=64, primary_key=True)
    seq = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.stream}: {self.seq}"


class IdempotencyRecord(models.Model):
    """The answer to a create that carried an Idempotency-Key, written in the create's own transaction."""

    id = models.BigAutoField(primary_key=True)
    actor_id = models.UUIDField()
    key = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["actor_id", "key"], name="idempotency_once")]
        indexes = [BrinIndex(fields=["created_at"], name="idempotency_created")]

    def __str__(self) -> str:
        return self.key
