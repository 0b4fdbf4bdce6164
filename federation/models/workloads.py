"""What people asked for."""

from typing import TYPE_CHECKING, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from federation.models.inventory import Pool
from federation.placement import terms
from federation.states import WORKLOAD_ARROWS, WORKLOAD_ENDED, WorkloadState
from portal.models.base import ScopedQuerySet, StatefulRow
from portal.models.tenants import Project, Tenant

if TYPE_CHECKING:
    from federation.models.allocations import Allocation


class WorkloadKind(models.TextChoices):
    TRAINING = "training"
    INFERENCE = "inference"
    NOTEBOOK = "notebook"
    BATCH = "batch"
    VM = "vm"
    SERVER = "server"


class Topology(models.TextChoices):
    """Where the members of a gang are together."""

    ANY = terms.ANY
    SITE = terms.SITE
    CLUSTER = terms.CLUSTER
    RACK = terms.RACK
    NETWORK = terms.NETWORK
    NODE = terms.NODE


class Spread(models.TextChoices):
    """Where no two members of a gang are."""

    NODE = terms.NODE
    RACK = terms.RACK
    SITE = terms.SITE


class Preference(models.TextChoices):
    """What comes before what the pool's policy prefers."""

    MONEY = terms.MONEY
    ENERGY = terms.ENERGY


class WorkloadQuerySet(ScopedQuerySet["Workload"]):
    def waiting(self) -> "WorkloadQuerySet":
        return self.filter(state=WorkloadState.QUEUED)


class Workload(StatefulRow):
    """`replicas` equal members, or at least `min_replicas` of them, or nothing; each wants accelerators, CPU and
    memory on one node. An attempt runs with the members that it was granted: they are its allocations.

    `accelerator_milli` below 1000 asks for a share of one device. `attempt` rises each time it returns to
    the queue; allocations belong to one attempt.
    """

    topic = "workload"
    arrows = WORKLOAD_ARROWS
    scope_paths: ClassVar = {"tenant": "tenant_id", "project": "project_id"}

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="workloads")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="workloads")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="workloads")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=WorkloadKind.choices, default=WorkloadKind.BATCH)
    state = models.CharField(
        max_length=16, choices=[(s.value, s.value) for s in WorkloadState], default=WorkloadState.QUEUED
    )
    priority = models.SmallIntegerField(default=0)
    replicas = models.PositiveSmallIntegerField(default=1)
    min_replicas = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="No fewer members than this, as many as fit; none: all."
    )
    topology = models.CharField(
        max_length=8, choices=Topology, default=Topology.SITE, help_text="Where members are together."
    )
    spread = models.CharField(
        max_length=8, choices=Spread, blank=True, default="", help_text="Where no two members are."
    )
    accelerators = models.PositiveSmallIntegerField(default=0, help_text="Devices of each member.")
    accelerator_milli = models.PositiveSmallIntegerField(default=1000, help_text="Of each device.")
    accelerator_memory_mib = models.PositiveIntegerField(default=0, help_text="Of each device; 0: its share.")
    model_names = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    site_slugs = ArrayField(models.CharField(max_length=63), default=list, blank=True)
    regions = ArrayField(
        models.CharField(max_length=100), default=list, blank=True, help_text="Of sites; CN takes CN-SH too."
    )
    slicing_modes = ArrayField(
        models.CharField(max_length=16), default=list, blank=True, help_text="How accelerators are handed out."
    )
    node_labels = models.JSONField(default=dict, blank=True, help_text="That a node must have, all of them.")
    network_class = models.CharField(max_length=63, blank=True, default="", help_text="Of nodes; empty: any.")
    prefer = models.CharField(
        max_length=8, choices=Preference, blank=True, default="", help_text="Before what the pool prefers."
    )
    cpu_milli = models.PositiveIntegerField(default=1000)
    memory_mib = models.PositiveIntegerField(default=1024)
    image = models.CharField(max_length=500, blank=True, default="")
    command = ArrayField(models.CharField(max_length=4000), default=list, blank=True)
    env = models.JSONField(default=dict, blank=True)
    run_seconds = models.FloatField(null=True, blank=True, help_text="Simulated sites run this long.")
    max_seconds = models.PositiveIntegerField(null=True, blank=True)
    grace_seconds = models.PositiveSmallIntegerField(default=10, help_text="Between the wish to end and the end.")
    ports = ArrayField(models.PositiveIntegerField(), default=list, blank=True)
    volumes = models.JSONField(default=list, blank=True)
    secret_env = ArrayField(models.CharField(max_length=253), default=list, blank=True)
    pull_secrets = ArrayField(models.CharField(max_length=253), default=list, blank=True)
    boot = models.JSONField(default=dict, blank=True, help_text="Of a virtual machine or a server.")
    is_movable = models.BooleanField(default=False, help_text="May be stopped and started again elsewhere.")
    max_retries = models.PositiveSmallIntegerField(default=0)
    retries = models.PositiveSmallIntegerField(default=0, editable=False)
    preferred_node = models.UUIDField(null=True, editable=False, help_text="Where a move sends it: tried first.")
    attempt = models.PositiveIntegerField(default=1, editable=False)
    submitted_by = models.CharField(max_length=150)
    queued_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)
    exit_code = models.IntegerField(null=True, editable=False)
    decision = models.JSONField(default=dict, editable=False)
    deadline_at = models.DateTimeField(null=True, blank=True)
    predicted_seconds = models.FloatField(
        null=True, editable=False, help_text="How long it will run, by what is known when it is submitted."
    )

    objects: ClassVar = WorkloadQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["pool", "-priority", "queued_at", "id"],
                name="workload_queue",
                condition=Q(state="queued"),
            ),
            models.Index(fields=["tenant", "-id"], name="workload_tenant"),
            models.Index(fields=["project", "state"], name="workload_project_state"),
            models.Index(fields=["state", "-id"], name="workload_state"),
            models.Index(fields=["project", "-finished_at"], name="workload_runs", condition=Q(state="succeeded")),
            models.Index(fields=["pool"], name="workload_moved", condition=Q(preferred_node__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(
                name="workload_share_of_one_device",
                condition=Q(accelerator_milli=1000)
                | Q(accelerator_milli__gte=1, accelerator_milli__lt=1000, accelerators=1),
            ),
            models.CheckConstraint(name="workload_has_members", condition=Q(replicas__gte=1)),
            models.CheckConstraint(
                name="workload_least_members",
                condition=Q(min_replicas=None) | Q(min_replicas__lte=models.F("replicas")),
            ),
        ]

    @property
    def has_ended(self) -> bool:
        return self.state in WORKLOAD_ENDED

    def latest(self, replica: int) -> "Allocation | None":
        """The grant of one member in its latest attempt, with its cluster."""
        grants = self.allocations.filter(replica=replica).select_related("cluster")
        found: Allocation | None = grants.order_by("-attempt").first()
        return found

    def __str__(self) -> str:
        return self.name
