"""The hub's half of a grant: reserve named devices in one transaction, or nothing.

The planner worked on a snapshot. Here the database decides: its triggers refuse what does not fit any
more (migration 0002), the transaction rolls back whole, and the workload is planned again.
"""

from uuid import UUID

from django.db import IntegrityError, OperationalError, transaction

from federation.models import Accelerator, Allocation, Node, Share, Workload
from federation.placement.types import MemberPlacement, Placement
from federation.reconcile.workloads import lock
from federation.states import WorkloadState
from portal import hints
from portal.audit import SYSTEM
from portal.crash import point
from portal.errors import OverCapacity
from portal.leases import seconds_from_now
from portal.models import ResourceFlavor
from portal.transitions import move

_RETRYABLE = {"40P01", "40001", "55P03"}  # deadlock, serialization, lock timeout: somebody else was first


def commit(workload_id: UUID | str, version: int, placement: Placement) -> bool:
    """Reserve what was planned. False when the workload has changed since; raises OverCapacity when the loser."""
    try:
        with transaction.atomic():
            workload = lock(workload_id)
            if workload.state != WorkloadState.QUEUED or workload.version != version:
                return False
            _reserve(workload, placement)
            move(workload, WorkloadState.ADMITTED, by=SYSTEM, reason="Admitted", decision=_decision(placement))
            point("grant.before-commit")
    except IntegrityError as error:
        raise OverCapacity(str(error).splitlines()[0]) from error
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) in _RETRYABLE:
            raise OverCapacity("Somebody else was granting the same devices; trying again.") from error
        raise
    point("grant.after-commit")
    return True


def _reserve(workload: Workload, placement: Placement) -> None:
    """Rows of the grant. Nodes, then devices, in id order, as everywhere: two grants never wait in a ring."""
    nodes = {
        str(n.pk): n for n in Node.objects.filter(pk__in={m.node for m in placement.members}).select_related("cluster")
    }
    flavors = dict(ResourceFlavor.objects.values_list("name", "pk"))
    numbered: list[tuple[int, MemberPlacement]] = sorted(enumerate(placement.members), key=lambda m: m[1].node)
    devices = {
        (str(node), index): (pk, memory)
        for node, index, pk, memory in Accelerator.objects.offered()
        .filter(node__in=list(nodes))
        .values_list("node_id", "index", "pk", "memory_mib")
    }
    allocations, shares = [], []
    for replica, member in numbered:
        node = nodes[member.node]
        allocation = Allocation(
            workload=workload,
            tenant_id=workload.tenant_id,
            project_id=workload.project_id,
            cluster_id=node.cluster_id,
            node=node,
            flavor_id=flavors[member.flavor],
            attempt=workload.attempt,
            replica=replica,
            epoch=node.cluster.epoch,
            cpu_milli=workload.cpu_milli,
            memory_mib=workload.memory_mib,
            held_milli=counted_milli(workload, member),
            reason="Reserved",
            next_check_at=seconds_from_now(3),  # the hint below comes first; this is for when it is lost
        )
        allocations.append(allocation)
        for part in member.devices:
            if (found := devices.get((member.node, part.index))) is None:
                raise OverCapacity(f"{node.name} has no device {part.index} any more.")
            pk, memory = found
            shares.append(
                Share(
                    allocation=allocation,
                    accelerator_id=pk,
                    milli=part.milli,
                    memory_mib=part.memory_mib or memory * part.milli // 1000,
                )
            )
    Allocation.objects.bulk_create(allocations)
    Share.objects.bulk_create(sorted(shares, key=lambda s: str(s.accelerator_id)))
    for allocation in allocations:
        hints.soon("federation.tasks.reconcile_allocation", allocation.pk)


def counted_milli(workload: Workload, member: MemberPlacement) -> int:
    """What one member counts against quota, and on the bill: what it takes of devices, or cores when it has none."""
    return member.milli if member.devices else workload.cpu_milli


def _decision(placement: Placement) -> dict[str, object]:
    """What is kept of a placement for those who ask why there."""
    return {
        "outcome": "placed",
        "policy": placement.policy,
        "candidates": [{"node": c.node, "score": c.score} for c in placement.best],
    }
