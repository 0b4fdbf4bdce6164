"""How a cluster that is asked directly is reached, and the sealed credential for it."""

import json
from typing import ClassVar

from django.db import models
from django.db.models.functions import MD5, Now

from federation.connections import Way
from federation.models.sites import Cluster
from portal.models.base import Row


class ClusterCredential(Row):
    """Server (or the machines), name in its certificate, and what lets us in, replaced only together.

    `sealed` holds token, certificate, key and authority. It opens for this cluster, version and server alone: whoever
    can write to the database cannot send a credential elsewhere, or use one cluster's for another.
    """

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="credential")
    server = models.CharField(max_length=2000)
    tls_server_name = models.CharField(max_length=253, blank=True, default="")
    sealed = models.TextField()
    fingerprint = models.CharField(max_length=16)
    way = models.CharField(max_length=16, choices=[(w.value, w.value) for w in Way], help_text="By what one is let in.")
    machines = models.JSONField(default=list, help_text="Of bare metal: name, server, system, fingerprint of each.")
    has_authority = models.BooleanField(help_text="Its own certificate authority; otherwise the public ones.")
    expires_at = models.DateTimeField(null=True, blank=True)
    replaced_at = models.DateTimeField(db_default=Now())

    scope_paths: ClassVar = {}

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~models.Q(sealed=""), name="credential_is_sealed"),
            # Two clusters at one server would each take the other's work for left over. A hash: addresses may be long.
            models.UniqueConstraint(MD5("server"), name="credential_server_once"),
        ]

    def __str__(self) -> str:
        return f"credential {self.fingerprint}"

    @property
    def place(self) -> tuple[str, ...]:
        """What the credential is sealed for."""
        where = f"{self.server} {self.tls_server_name}"
        if self.machines:
            where += " " + json.dumps(self.machines, sort_keys=True)
        return (str(self.cluster_id), "connection", str(self.version), where)
