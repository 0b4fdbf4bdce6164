"""From an allocation's rows to what the site is to run."""

from federation.drivers.base import DeviceGrant, WorkloadSpec
from federation.models import Allocation


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
        replicas=workload.replicas,
        run_seconds=workload.run_seconds,
        max_seconds=workload.max_seconds,
    )
