"""The grant: named devices or fractions of one node, held for one member of one workload."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from federation.models.inventory import Accelerator, Node
from federation.models.sites import Cluster
from federation.models.workloads import Workload
from federation.states import ALLOCATION_ARROWS, ALLOCATION_HOLDING, AllocationState, ServiceClass
from portal.leases import Leased, LeasedQuerySet, lease_pair
from portal.models.base import StatefulRow
from portal.models.quotas import ResourceFlavor
from portal.models.tenants import Project, Tenant


class AllocationQuerySet(LeasedQuerySet["Allocation"]):
    def holding(self) -> "AllocationQuerySet":
        """All that holds hardware: everything but released, the lost too."""
        return self.filter(state__in=ALLOCATION_HOLDING)


class Allocation(StatefulRow, Leased):
    """Two phases: `reserved` (the hub holds the capacity), `starting` (the site has accepted), `active`.

    Its id is the name of the work at the site. `epoch` and `generation` let the site refuse what is old.
    """

    topic = "allocation"
    arrows = ALLOCATION_ARROWS
    scope_paths: ClassVar = {"tenant": "tenant_id", "project": "project_id"}

    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="allocations")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="allocations")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="allocations")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="allocations")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="allocations")
    flavor = models.ForeignKey(ResourceFlavor, on_delete=models.PROTECT, related_name="allocations")
    attempt = models.PositiveIntegerField()
    replica = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(
        max_length=16, choices=[(s.value, s.value) for s in AllocationState], default=AllocationState.RESERVED
    )
    epoch = models.PositiveIntegerField()
    generation = models.PositiveIntegerField(default=1)
    cpu_milli = models.PositiveIntegerField()
    memory_mib = models.PositiveIntegerField()
    held_milli = models.PositiveIntegerField(help_text="Counted against quota, in 1/1000 of the flavor's unit.")
    service_class = models.CharField(
        max_length=16, choices=[(c.value, c.value) for c in ServiceClass], default=ServiceClass.GUARANTEED,
        help_text="By what it was granted, at that moment.",
    )  # fmt: skip
    started_at = models.DateTimeField(null=True, help_text="When it began to run, as proven by the site.")
    ended_at = models.DateTimeField(null=True, help_text="When it stopped running, as proven by the site.")
    proof_at = models.DateTimeField(null=True, help_text="When the site last showed it running.")
    exit_code = models.IntegerField(null=True)
    failing_since = models.DateTimeField(null=True, help_text="Since when the site says that it cannot be started.")
    used_cpu_milli = models.PositiveIntegerField(null=True)
    used_memory_mib = models.PositiveIntegerField(null=True)
    used_disk_read_kibps = models.PositiveIntegerField(null=True, help_text="KiB in a second, as the next three.")
    used_disk_write_kibps = models.PositiveIntegerField(null=True)
    used_net_in_kibps = models.PositiveIntegerField(null=True)
    used_net_out_kibps = models.PositiveIntegerField(null=True)

    objects: ClassVar = AllocationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workload", "attempt", "replica"], name="allocation_member_once"),
            lease_pair("allocation"),
        ]
        indexes = [
            models.Index(fields=["next_check_at"], name="allocation_due", condition=~Q(state="released")),
            models.Index(fields=["cluster", "state"], name="allocation_cluster", condition=~Q(state="released")),
            models.Index(fields=["node"], name="allocation_node", condition=~Q(state="released")),
            models.Index(fields=["tenant", "-id"], name="allocation_tenant"),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class Share(models.Model):
    """The part of one device that an allocation holds: 1/1000 and MiB."""

    id = models.BigAutoField(primary_key=True)
    allocation = models.ForeignKey(Allocation, on_delete=models.CASCADE, related_name="shares")
    accelerator = models.ForeignKey(Accelerator, on_delete=models.PROTECT, related_name="shares")
    milli = models.PositiveSmallIntegerField()
    memory_mib = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["allocation", "accelerator"], name="share_once"),
            models.CheckConstraint(name="share_of_one_device", condition=Q(milli__gte=1, milli__lte=1000)),
        ]

    def __str__(self) -> str:
        return f"{self.milli}/1000 of {self.accelerator_id}"


class LedgerEntry(models.Model):
    """What each grant and release changed on each device, numbered under the device's row lock.

    Written by the triggers alone. Replaying it in order of `generation` per device proves that no commit
    ever held more than the device has.
    """

    id = models.BigAutoField(primary_key=True)
    accelerator_id = models.UUIDField()
    allocation_id = models.UUIDField()
    generation = models.BigIntegerField()
    delta_milli = models.SmallIntegerField()
    held_milli = models.SmallIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["accelerator_id", "generation"], name="ledger_in_order")]

    def __str__(self) -> str:
        return f"{self.accelerator_id}#{self.generation}: {self.delta_milli:+d}"
