"""What all our rows share: time-ordered ids, a version for compare-and-swap, and tenant-scoped queries."""

import os
import threading
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

if TYPE_CHECKING:
    from portal.permissions import Scope

M = TypeVar("M", bound=models.Model, covariant=True)

_lock = threading.Lock()
_last = 0


def uuid7() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562): milliseconds first, so ids sort by creation, rising in this process.

    The 12 bits after the milliseconds count up within one millisecond, so that rows made together keep
    their order in lists that page by id.
    """
    global _last
    with _lock:
        tick = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
        _last = tick
    milliseconds, fraction = tick >> 12, tick & 0xFFF
    random = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return uuid.UUID(int=(milliseconds & ((1 << 48) - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random)


class ScopedQuerySet(models.QuerySet[M]):
    """Rows that a caller may see. `scope_paths` says where the tenant and the project of a row are found."""

    def in_scope(self, scope: "Scope") -> Self:
        if scope.is_everything:
            return self
        paths = self.model.scope_paths  # type: ignore[attr-defined]  # every scoped model declares it
        found = Q(pk__in=[])
        if (tenant := paths.get("tenant")) and scope.tenants:
            found |= Q(**{f"{tenant}__in": scope.tenants})
        if (project := paths.get("project")) and scope.projects:
            found |= Q(**{f"{project}__in": scope.projects})
        if holding := paths.get("holding"):  # what a tenant held once is no longer its business
            found &= Q(**{f"{holding}__in": self.model.scope_states})  # type: ignore[attr-defined]  # as scope_paths
        rows = self.filter(found)
        return rows.distinct() if paths.get("many") else rows


class Row(models.Model):
    """`version` rises with each change and is the ETag; `scope_paths` lead to tenant and project."""

    scope_paths: ClassVar[Mapping[str, str]] = {}

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[Any] = ScopedQuerySet.as_manager()

    class Meta:
        abstract = True


class StatefulRow(Row):
    """A row with a life cycle. `portal.transitions.move` is the only writer of `state`."""

    topic: ClassVar[str]
    arrows: ClassVar[Mapping[Any, frozenset[Any]]]

    reason = models.CharField(max_length=64, blank=True, default="")
    message = models.TextField(blank=True, default="")
    state_since = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True
