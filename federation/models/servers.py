"""Bare servers that are leased whole: what their management controllers cannot keep. See drivers/redfish/ledger.py."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from federation.models.sites import Cluster


class Server(models.Model):
    """One server of a cluster: what it was last seen to be, and who may do something to it just now."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="servers", db_index=False)
    name = models.CharField(max_length=253)
    seen = models.JSONField(null=True)
    seen_at = models.FloatField(null=True, help_text="Seconds since 1970 by the database's clock.")
    step_token = models.CharField(max_length=32, blank=True, default="")
    step_until = models.FloatField(default=0.0)
    off_asked_at = models.FloatField(null=True)

    objects: ClassVar = models.Manager["Server"]()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="server_name_in_cluster")]

    def __str__(self) -> str:
        return self.name


class ServerLease(models.Model):
    """One server in the hands of one allocation; once it is gone, the mark that its ref is never taken again."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="server_leases", db_index=False)
    ref = models.CharField(max_length=64)
    server = models.CharField(max_length=253, blank=True, default="")
    epoch = models.BigIntegerField()
    kept = models.JSONField()
    gone_at = models.FloatField(null=True)

    objects: ClassVar = models.Manager["ServerLease"]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "ref"], name="server_lease_ref"),
            # Whatever the driver believes: a server that one tenant has is never another's.
            models.UniqueConstraint(fields=["cluster", "server"], condition=Q(gone_at=None), name="server_leased_once"),
        ]
        indexes = [models.Index(fields=["cluster", "-epoch"], name="server_lease_epoch")]

    def __str__(self) -> str:
        return f"lease {self.ref} of {self.server}"
