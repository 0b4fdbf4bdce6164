"""From an allocation's rows to what the site is to run."""

from django.db.models import Q

from federation.drivers.base import Boot, BootFrom, DeviceGrant, Volume, VolumeKind, WorkloadSpec
from federation.models import Allocation, Workload, WorkloadKind
from federation.states import AllocationState as A


def spec_of(allocation: Allocation) -> WorkloadSpec:
    """The allocation as its site is told of it. Loads workload, node and devices if they are not loaded."""
    workload = allocation.workload
    shares = allocation.shares.select_related("accelerator").order_by("accelerator__index")
    return WorkloadSpec(
        ref=str(allocation.pk),
        epoch=allocation.epoch,
        generation=allocation.generation,
        name=workload.name,
        tenant=workload.tenant.slug,
        project=workload.project.slug,
        kind=workload.kind,
        node=allocation.node.name,
        cpu_milli=allocation.cpu_milli,
        memory_mib=allocation.memory_mib,
        devices=tuple(DeviceGrant(s.accelerator.index, s.accelerator.uuid, s.milli, s.memory_mib) for s in shares),
        image=workload.image,
        command=tuple(workload.command),
        env=dict(workload.env),
        replica=allocation.replica,
        replicas=members_of(workload, allocation.attempt),
        run_seconds=workload.run_seconds,
        max_seconds=workload.max_seconds,
        grace_seconds=workload.grace_seconds,
        workload=str(workload.pk),
        attempt=allocation.attempt,
        hold=must_wait(workload, allocation.attempt),
        ports=tuple(workload.ports),
        volumes=tuple(
            Volume(v["path"], VolumeKind(v["kind"]), v["source"], v["size_mib"], v["is_read_only"])
            for v in workload.volumes
        ),
        secret_env=tuple(workload.secret_env),
        pull_secrets=tuple(workload.pull_secrets),
        boot=_boot(workload),
    )


def _boot(workload: Workload) -> Boot | None:
    """Of what starts as a machine: also when nothing was said about how."""
    if workload.kind not in (WorkloadKind.VM, WorkloadKind.SERVER):
        return None
    said = dict(workload.boot)
    keys = tuple(said.pop("ssh_keys", ()))
    return Boot(**{**said, "boot_from": BootFrom(said.get("boot_from", BootFrom.DISK)), "ssh_keys": keys})


def members_of(workload: Workload, attempt: int) -> int:
    """How many members an attempt has: those it was granted, where it may have fewer than it asks for."""
    if not workload.min_replicas or workload.min_replicas == workload.replicas:
        return workload.replicas
    return workload.allocations.filter(attempt=attempt).count()


def must_wait(workload: Workload, attempt: int) -> bool:
    """A gang begins together: while a member is not yet accepted by its site, the others are held."""
    if workload.replicas == 1:
        return False
    members = workload.allocations.filter(attempt=attempt)
    return members.filter(Q(state=A.RESERVED) | Q(state=A.LOST, started_at=None)).exists()
