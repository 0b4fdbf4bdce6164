"""Where accelerators are: a site is a place with a price of power; a cluster is one control endpoint there."""

from decimal import Decimal
from typing import ClassVar

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from federation.states import ALLOCATION_HOLDING, CLUSTER_ARROWS, CLUSTER_PLACEABLE, ClusterState
from portal.leases import Leased, LeasedQuerySet, lease_pair
from portal.models.base import Row, ScopedQuerySet, StatefulRow, uuid7
from portal.models.tenants import slug_rule


class Site(Row):
    """A place with its network, trust, power tariff and carbon figure."""

    scope_paths: ClassVar = {
        "tenant": "clusters__allocations__tenant_id",
        "holding": "clusters__allocations__state",
        "many": "yes",
    }
    scope_states: ClassVar = ALLOCATION_HOLDING

    slug = models.CharField(max_length=63, unique=True, validators=[slug_rule])
    name = models.CharField(max_length=200)
    region = models.CharField(max_length=100, blank=True, default="")
    power_price_per_kwh = models.DecimalField(max_digits=12, decimal_places=6, default=Decimal(0))
    carbon_grams_per_kwh = models.DecimalField(max_digits=9, decimal_places=3, default=Decimal(0))
    weight = models.DecimalField(
        max_digits=7,
        decimal_places=3,
        default=Decimal(1),
        validators=[MinValueValidator(Decimal("0.001"))],
        help_text="How much of the work it is to get beside other sites, where a policy goes by that.",
    )
    is_demo = models.BooleanField(default=False)

    class Meta:
        constraints = [models.CheckConstraint(name="site_weight_above_zero", condition=Q(weight__gt=0))]

    def __str__(self) -> str:
        return self.name


class ClusterKind(models.TextChoices):
    KUBERNETES = "kubernetes"
    KVM = "kvm"
    OPENSTACK = "openstack"
    VMWARE = "vmware"
    BAREMETAL = "baremetal"
    DOCKER = "docker"
    SLURM = "slurm"


class ClusterQuerySet(LeasedQuerySet["Cluster"]):
    def placeable(self) -> "ClusterQuerySet":
        return self.filter(state__in=CLUSTER_PLACEABLE)


class Cluster(StatefulRow, Leased):
    """One control endpoint. `kind` is what it is; `driver` is how we speak to it (a fake can be any kind).

    `epoch` rises when the hub gives up on a silent cluster: what it ran before is fenced off by it.
    `generation` rises with each inventory applied, so an older one is never put over a newer.
    """

    topic = "cluster"
    arrows = CLUSTER_ARROWS
    scope_paths: ClassVar = {"tenant": "allocations__tenant_id", "holding": "allocations__state", "many": "yes"}
    scope_states: ClassVar = ALLOCATION_HOLDING

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="clusters")
    slug = models.CharField(max_length=63, validators=[slug_rule])
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=ClusterKind.choices)
    driver = models.CharField(max_length=16)
    settings = models.JSONField(default=dict, blank=True)
    state = models.CharField(
        max_length=16, choices=[(s.value, s.value) for s in ClusterState], default=ClusterState.PENDING
    )
    epoch = models.PositiveIntegerField(default=1)
    generation = models.BigIntegerField(default=0)
    site_version = models.CharField(max_length=100, blank=True, default="")
    last_seen_at = models.DateTimeField(null=True, blank=True)
    inventory_at = models.DateTimeField(null=True, blank=True)
    figures_at = models.DateTimeField(null=True, blank=True)
    sight = models.CharField(max_length=200, default="", editable=False, help_text="See reconcile/sights.py.")

    objects: ClassVar = ClusterQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["site", "slug"], name="cluster_slug_in_site"),
            lease_pair("cluster"),
        ]
        indexes = [models.Index(fields=["next_check_at"], name="cluster_due")]

    tenant_id: ClassVar[None] = None

    def __str__(self) -> str:
        return self.name


class JoinToken(Row):
    """Lets one agent enrol one cluster, once."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="join_tokens")
    prefix = models.CharField(max_length=16)
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar = ScopedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.prefix}…"


class Agent(Row):
    """The program that dials out from a cluster. `boot_id` and `seq` keep reports in order."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="agent")
    digest = models.CharField(max_length=64, unique=True)
    machine_id = models.CharField(max_length=100)
    hostname = models.CharField(max_length=253)
    agent_version = models.CharField(max_length=32)
    boot_id = models.UUIDField(null=True)
    seq = models.BigIntegerField(default=0)
    reported_at = models.DateTimeField(null=True)
    clock_skew_seconds = models.FloatField(null=True)
    inventory = models.JSONField(null=True)
    figures = models.JSONField(default=list)
    site = models.JSONField(null=True, help_text="How the cluster does, of which it is the agent.")
    nodes_stamp = models.CharField(max_length=64, default="", help_text="Of what its AgentNode rows were last told.")
    nodes_whole = models.CharField(max_length=64, default="", help_text="Of the last picture that was complete.")
    release = models.JSONField(null=True, help_text="How it goes with another release of the agent.")
    clash_at = models.DateTimeField(null=True, help_text="When another process with this identity was last refused.")
    twin_at = models.DateTimeField(null=True, help_text="When this one reported after that: both are alive.")
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.hostname


class AgentNode(models.Model):
    """A node as the agent of a cluster told it: `seen` in the last complete picture, `next` in the coming one."""

    objects: ClassVar[models.Manager["AgentNode"]]

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="agent_nodes")
    name = models.CharField(max_length=253)
    digest = models.CharField(max_length=64, help_text="The agent's, of what it said last; empty: it is gone.")
    seen = models.JSONField(null=True)
    next = models.JSONField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="agentnode_once")]

    def __str__(self) -> str:
        return self.name


class AgentOrder(models.Model):
    """The mailbox between hub and agent: what the hub wants of one allocation, and what the agent last said.

    A wish for absence is kept for a while after it is fulfilled: it refuses a late wish to run.
    """

    class Desired(models.TextChoices):
        RUN = "run"
        ABSENT = "absent"

    ref = models.UUIDField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="orders")
    generation = models.PositiveIntegerField()
    epoch = models.PositiveIntegerField()
    desired = models.CharField(max_length=8, choices=Desired.choices)
    desired_at = models.DateTimeField(db_default=Now())
    spec = models.JSONField(null=True)
    observed = models.JSONField(null=True)
    observed_at = models.DateTimeField(null=True)
    log_offset = models.BigIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["cluster", "desired"], name="agentorder_wishes")]

    def __str__(self) -> str:
        return f"{self.desired} {self.ref}"


class AgentCall(models.Model):
    """Something that only an agent can reach, and somebody waits for just now. Lost with whoever waits; never work."""

    class Kind(models.TextChoices):
        SHELL = "shell"
        PORT = "port"
        EVENTS = "events"
        ASK = "ask"  # to do something at once, or to tell something

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="calls")
    ref = models.UUIDField(help_text="The allocation that it is about; of a question about a node, the cluster.")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    detail = models.JSONField(default=dict)
    reply_to = models.CharField(max_length=200, blank=True, help_text="Where in the channel layer somebody waits.")
    answer = models.JSONField(null=True)
    asked_at = models.DateTimeField(db_default=Now())
    taken_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["cluster", "asked_at"], condition=models.Q(taken_at=None), name="agentcall_waiting")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.ref}"


class LogPart(models.Model):
    """A piece of a workload's output, sent by an agent or kept before it went; `start` is its byte offset."""

    id = models.BigAutoField(primary_key=True)
    allocation_id = models.UUIDField()
    start = models.BigIntegerField()
    size = models.IntegerField(help_text="Bytes of the log that this piece stands for.")
    text = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["allocation_id", "start"], name="logpart_once")]

    def __str__(self) -> str:
        return f"{self.allocation_id}@{self.start}"
