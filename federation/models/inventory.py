"""What there is: nodes and accelerators as the sites show them, and the pools work is sent to.

`held_*` columns are kept by database triggers from live allocations (migrations 0002 and 0006) and by nothing
else: growth beyond capacity is refused by the database itself. `generation` counts those changes, so the
history of each device can be replayed in commit order. `foreign_*` is what the site says that work of others
holds there: it is not to be had, and may at any time be more than what is left.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from federation.accelerators.catalogue import EXCLUSIVE
from federation.drivers.identities import machine_of
from federation.models.sites import Cluster
from federation.placement import policies
from federation.states import (
    ALLOCATION_HOLDING,
    CLUSTER_PLACEABLE,
    NODE_ARROWS,
    NODE_PLACEABLE,
    ClusterState,
    NodeState,
)
from portal.leases import Leased, LeasedQuerySet, lease_pair
from portal.models.base import Row, ScopedQuerySet, StatefulRow
from portal.models.quotas import ResourceFlavor
from portal.models.tenants import slug_rule


class AcceleratorModel(Row):
    """The capability record of one model, from the catalogue; unknown models are usable whole."""

    vendor = models.CharField(max_length=32)
    name = models.CharField(max_length=64)
    flavor = models.OneToOneField(ResourceFlavor, on_delete=models.PROTECT, related_name="accelerator_model")
    memory_mib = models.PositiveIntegerField(null=True, blank=True)
    peak_tflops = models.FloatField(null=True, blank=True, help_text="Dense FP16 or BF16.")
    power_watts = models.PositiveIntegerField(null=True, blank=True)
    slicing_modes = ArrayField(models.CharField(max_length=16), default=list)
    smallest_share_milli = models.PositiveIntegerField(default=1000)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["vendor", "name"], name="accelerator_model_once")]

    def __str__(self) -> str:
        return f"{self.vendor} {self.name}"

    @property
    def can_share(self) -> bool:
        return self.smallest_share_milli < 1000


class NodeQuerySet(ScopedQuerySet["Node"]):
    def placeable(self) -> "NodeQuerySet":
        return self.filter(state__in=NODE_PLACEABLE, cluster__state__in=CLUSTER_PLACEABLE)

    def standing(self) -> "NodeQuerySet":
        """Those that are there. Only they are inside of each other."""
        return self.exclude(state=NodeState.GONE).exclude(cluster__state=ClusterState.RETIRED)


class Node(StatefulRow):
    """`host`, `depth` and `host_problem` are found out from what both sides show; see reconcile/nesting.py."""

    topic = "node"
    arrows = NODE_ARROWS
    scope_paths: ClassVar = {"tenant": "allocations__tenant_id", "holding": "allocations__state", "many": "yes"}
    scope_states: ClassVar = ALLOCATION_HOLDING

    # No index of its own: it begins those below, and each costs a write whenever a row changes.
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="nodes", db_index=False)
    name = models.CharField(max_length=253)
    state = models.CharField(max_length=16, choices=[(s.value, s.value) for s in NodeState], default=NodeState.READY)
    rack = models.CharField(max_length=63, blank=True, default="")
    labels = models.JSONField(default=dict)
    cpu_milli = models.BigIntegerField()
    memory_mib = models.BigIntegerField()
    held_cpu_milli = models.BigIntegerField(default=0, editable=False)
    held_memory_mib = models.BigIntegerField(default=0, editable=False)
    foreign_cpu_milli = models.BigIntegerField(default=0)
    foreign_memory_mib = models.BigIntegerField(default=0)
    system_uuid = models.CharField(max_length=64, blank=True, default="", help_text="As the machine's firmware says.")
    guests = models.JSONField(default=list, help_text="System UUIDs of the virtual machines on it.")
    host = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, related_name="inside", db_index=False, editable=False,
        help_text="Whose virtual machine it is.",
    )  # fmt: skip
    depth = models.PositiveSmallIntegerField(default=0, editable=False, help_text="How many hosts it is inside of.")
    host_problem = models.CharField(max_length=64, blank=True, default="", editable=False)
    generation = models.BigIntegerField(default=0, editable=False)
    seen_at = models.DateTimeField(null=True)

    objects: ClassVar = NodeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "name"], name="node_name_in_cluster"),
            models.CheckConstraint(
                name="node_held_not_negative",
                condition=Q(held_cpu_milli__gte=0) & Q(held_memory_mib__gte=0),
            ),
        ]
        indexes = [
            models.Index(fields=["cluster", "state"], name="node_cluster_state"),
            models.Index(fields=["system_uuid"], name="node_system_uuid", condition=~Q(system_uuid="")),
            GinIndex(fields=["guests"], name="node_guests", condition=~Q(guests=[])),
            models.Index(fields=["host"], name="node_host", condition=Q(host__isnull=False)),
        ]

    tenant_id: ClassVar[None] = None

    def __str__(self) -> str:
        return self.name

    @property
    def problem_with_host(self) -> str:
        """Why it is linked to no host although something speaks for it, or which of its cards are not paired."""
        is_placeholder = bool(self.system_uuid) and not machine_of(self.system_uuid)
        return self.host_problem or ("SystemUuidIsPlaceholder" if is_placeholder else "")


class Health(models.TextChoices):
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class AcceleratorQuerySet(ScopedQuerySet["Accelerator"]):
    """Sums go over one of these: a card that is seen twice, or that is cut into parts, must not count twice."""

    def physical(self) -> "AcceleratorQuerySet":
        """Cards one could touch, each once."""
        return self.filter(is_present=True, parent=None, counted_at=None)

    def offered(self) -> "AcceleratorQuerySet":
        """What can be handed out: whole cards, and the parts of those that are cut."""
        return self.filter(is_present=True, counted_at=None, present_parts=0)


class Accelerator(Row):
    """One physical device, or one hardware partition of it (`parent` is its card). 1000 milli is the whole of it.

    `counted_at` is set on a card that is seen in two places (a host, and a virtual machine that it was passed
    through to): it is handed out and counted there, not here. See reconcile/twins.py. `passed_from` is the same card
    as the host shows it, where only their places in host and guest tell so; see reconcile/nesting.py.
    """

    scope_paths: ClassVar = {
        "tenant": "shares__allocation__tenant_id",
        "holding": "shares__allocation__state",
        "many": "yes",
    }
    scope_states: ClassVar = ALLOCATION_HOLDING

    # Indexes cost a write whenever a row changes: none that begins another, none of what is nearly always null.
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="accelerators", db_index=False)
    model = models.ForeignKey(AcceleratorModel, on_delete=models.PROTECT, related_name="accelerators")
    index = models.PositiveSmallIntegerField()
    uuid = models.CharField(max_length=300)
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="parts", db_index=False)
    counted_at = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="twins", db_index=False)
    passed_from = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, related_name="passed_on", db_index=False, editable=False
    )
    serial = models.CharField(max_length=64, blank=True, default="")
    pci = models.CharField(max_length=32, blank=True, default="", help_text="As its node sees it.")
    passed_to = models.CharField(max_length=64, blank=True, default="", help_text="The guest that has it.")
    guest_pci = models.CharField(max_length=32, blank=True, default="")
    is_identified = models.BooleanField(default=True, help_text="False: the site only counts its cards.")
    mode = models.CharField(max_length=16, default=EXCLUSIVE, help_text="How its site hands it out.")
    step_milli = models.PositiveSmallIntegerField(default=1000, help_text="Shares are multiples of this, or 1000.")
    most_shares = models.PositiveIntegerField(default=0, help_text="Holders at one time at most; 0: no such limit.")
    resource = models.CharField(max_length=253, blank=True, default="", help_text="The site's own word for it.")
    memory_mib = models.PositiveIntegerField()
    health = models.CharField(max_length=16, choices=Health.choices, default=Health.HEALTHY)
    is_present = models.BooleanField(default=True)
    held_milli = models.PositiveSmallIntegerField(default=0, editable=False)
    held_memory_mib = models.PositiveIntegerField(default=0, editable=False)
    held_shares = models.PositiveIntegerField(default=0, editable=False, help_text="Its live holders.")
    present_parts = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Its partitions that are there now."
    )
    foreign_milli = models.PositiveSmallIntegerField(default=0)
    foreign_memory_mib = models.PositiveIntegerField(default=0)
    generation = models.BigIntegerField(default=0, editable=False)

    objects: ClassVar = AcceleratorQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "uuid"], name="accelerator_uuid_on_node"),
            models.CheckConstraint(name="accelerator_never_over", condition=Q(held_milli__lte=1000)),
            models.CheckConstraint(name="accelerator_step", condition=Q(step_milli__gte=1, step_milli__lte=1000)),
        ]
        indexes = [
            models.Index(fields=["uuid"], name="accelerator_uuid"),
            models.Index(fields=["parent"], name="accelerator_parent", condition=Q(parent__isnull=False)),
            models.Index(fields=["counted_at"], name="accelerator_counted_at", condition=Q(counted_at__isnull=False)),
            models.Index(fields=["serial"], name="accelerator_serial", condition=~Q(serial="")),
            models.Index(
                fields=["passed_from"], name="accelerator_passed_from", condition=Q(passed_from__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.uuid}"


class Figures(models.Model):
    """The last figures of a device, with the time they were seen. Overwritten; history is kept elsewhere."""

    accelerator = models.OneToOneField(Accelerator, on_delete=models.CASCADE, primary_key=True, related_name="figures")
    busy_percent = models.FloatField(null=True)
    memory_used_mib = models.PositiveIntegerField(null=True)
    power_watts = models.FloatField(null=True)
    temperature_celsius = models.FloatField(null=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"figures of {self.accelerator_id}"


def policy_rule(value: str) -> None:
    """One of federation.placement.policies, or a combination of objectives."""
    try:
        policies.named(value)
    except ValueError as error:
        raise ValidationError(str(error), code="unknown-policy") from None


class QueueOrder(models.TextChoices):
    """Which of federation.placement.orders a pool looks at its work by."""

    PRIORITY = "priority"
    FIFO = "fifo"
    FAIR_SHARE = "fair-share"
    EARLIEST_DEADLINE = "earliest-deadline"
    SHORTEST_PREDICTED = "shortest-predicted"


class Pool(Row, Leased):
    """A named set of nodes over one or many clusters, homogeneous by rule; work is queued per pool.

    No clusters: all of them. No model names: any, CPU-only nodes too.
    """

    topic: ClassVar = "pool"

    slug = models.CharField(max_length=63, unique=True, validators=[slug_rule])
    name = models.CharField(max_length=200)
    clusters = models.ManyToManyField(Cluster, blank=True, related_name="pools")
    model_names = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    policy = models.CharField(max_length=200, validators=[policy_rule], default=policies.DEFAULT)
    queue_order = models.CharField(max_length=32, choices=QueueOrder.choices, default=QueueOrder.PRIORITY)

    objects: ClassVar = LeasedQuerySet.as_manager()

    class Meta:
        constraints = [lease_pair("pool")]

    def __str__(self) -> str:
        return self.name
