"""Who follows a site live, and how that goes."""

from typing import Any
from uuid import UUID, uuid4

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from federation.models.sites import Cluster
from portal.leases import forgettable, seconds_from_now

LEASE_SECONDS = 20.0


class ClusterWatchQuerySet(models.QuerySet["ClusterWatch"]):
    def take(self, cluster_id: UUID) -> UUID | None:
        """The right to follow a cluster, for 20 s unless renewed; None when somebody has it."""
        token = uuid4()
        with forgettable():
            self.get_or_create(cluster_id=cluster_id)
            free = self.filter(Q(cluster_id=cluster_id) & (Q(token=None) | Q(expires_at__lt=Now())))
            taken = free.update(token=token, expires_at=seconds_from_now(LEASE_SECONDS), whole_at=None)
        return token if taken else None

    def renew(self, cluster_id: UUID, token: UUID, *, is_whole: bool, **values: Any) -> bool:
        """False when it was lost: somebody else follows this cluster now. `is_whole`: nothing is missed just now."""
        if is_whole:
            values["whole_at"] = Now()
        with forgettable():
            mine = self.filter(cluster_id=cluster_id, token=token)
            return bool(mine.update(expires_at=seconds_from_now(LEASE_SECONDS), **values))

    def held(self, cluster_id: UUID, token: UUID) -> "ClusterWatchQuerySet":
        """The row, while that lease holds: what only the one who follows may write is written with this."""
        return self.filter(cluster_id=cluster_id, token=token, expires_at__gt=Now())

    def give_back(self, cluster_id: UUID, token: UUID) -> None:
        self.filter(cluster_id=cluster_id, token=token).update(token=None, expires_at=None, whole_at=None)

    def break_off(self, cluster_id: UUID) -> None:
        """Whoever follows this cluster has lost it, notes that within 5 s, and begins anew with what holds now."""
        self.filter(cluster_id=cluster_id).update(token=None, expires_at=None, whole_at=None)


class ClusterWatch(models.Model):
    """One for each cluster that can be followed. While `whole_at` is fresh, nobody needs to list that cluster."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, primary_key=True, related_name="watch")
    token = models.UUIDField(null=True, editable=False)
    expires_at = models.DateTimeField(null=True, editable=False)
    whole_at = models.DateTimeField(null=True, help_text="When the picture was last known to be whole and fresh.")
    swept_at = models.DateTimeField(null=True, help_text="When all of its work was last gone through one by one.")
    message = models.TextField(blank=True, default="")
    changes = models.BigIntegerField(default=0)

    objects = ClusterWatchQuerySet.as_manager()

    def __str__(self) -> str:
        return f"watch of {self.cluster_id}"
