"""The hub's half of a grant: reserve named devices in one transaction, or nothing.

The planner worked on a snapshot. Here the database decides: its triggers refuse what does not fit any
more (migration 0002), the transaction rolls back whole, and the workload is planned again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from federation.models import Accelerator, Allocation, Node, Share, Workload
from federation.placement.types import MemberPlacement, Placement
from federation.states import WorkloadState
from portal import bulk, hints
from portal.audit import SYSTEM
from portal.bulk import Values
from portal.crash import point
from portal.errors import OverCapacity
from portal.models import Quota, ResourceFlavor
from portal.models.base import uuid7
from portal.transitions import move_many

logger = logging.getLogger(__name__)
_MOST_HINTS = 16
_ALLOCATION = ("id", "workload", "tenant", "project", "cluster", "node", "flavor", "attempt", "replica", "epoch",
               "cpu_milli", "memory_mib", "held_milli", "reason", "next_check_at")  # fmt: skip
_READ = ("state", "version", "tenant", "project", "attempt", "cpu_milli", "memory_mib")
_SHARE = ("allocation", "accelerator", "milli", "memory_mib")
_RETRYABLE = {"40P01", "40001", "55P03"}  # deadlock, serialization, lock timeout: somebody else was first


@dataclass(frozen=True, slots=True)
class Grant:
    """What was planned for a workload, as it was at a version."""

    workload_id: UUID
    version: int
    placement: Placement


def commit(workload_id: UUID | str, version: int, placement: Placement) -> bool:
    """Reserve what was planned. False when the workload has changed since; raises OverCapacity when the loser."""
    return bool(_commit([Grant(UUID(str(workload_id)), version, placement)]))


def commit_all(grants: Sequence[Grant]) -> set[UUID]:
    """Reserve for as many as the database lets; the workloads that were granted.

    One transaction for all. When the books refuse, each half is tried alone, and so on: only losers lose.
    """
    if not grants:
        return set()
    try:
        return _commit(grants)
    except OverCapacity as error:
        if len(grants) == 1:
            logger.info("Workload %s lost a race and is planned again: %s", grants[0].workload_id, error)
            return set()
    half = len(grants) // 2
    return commit_all(grants[:half]) | commit_all(grants[half:])


def _commit(grants: Sequence[Grant]) -> set[UUID]:
    try:
        with transaction.atomic():
            wanted = {grant.workload_id: grant for grant in grants}
            rows = Workload.objects.select_for_update(of=("self",)).filter(pk__in=wanted).order_by("pk").only(*_READ)
            ours = [
                (w, wanted[w.pk].placement) for w in rows
                if w.state == WorkloadState.QUEUED and w.version == wanted[w.pk].version
            ]  # fmt: skip
            if ours:
                _reserve(ours)
                decisions = [_decision(placement) for _, placement in ours]
                move_many(
                    [w for w, _ in ours], WorkloadState.ADMITTED, by=SYSTEM, reason="Admitted",
                    each={"decision": decisions},
                )  # fmt: skip
            point("grant.before-commit")
    except IntegrityError as error:
        raise OverCapacity(str(error).splitlines()[0]) from error
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) in _RETRYABLE:
            raise OverCapacity("Somebody else was granting the same devices; trying again.") from error
        raise
    point("grant.after-commit")
    return {w.pk for w, _ in ours}


def _reserve(ours: Sequence[tuple[Workload, Placement]]) -> None:
    """Rows of the grants. Quotas, nodes, then devices, each in id order, as everywhere: two never wait in a ring."""
    members = [(w, replica, m) for w, placement in ours for replica, m in enumerate(placement.members)]
    members.sort(key=lambda one: one[2].node)  # so are ids of grants, and by these what they hold is released
    names = {m.flavor for _, _, m in members}
    flavors = dict(ResourceFlavor.objects.filter(name__in=names).values_list("name", "pk"))
    _lock_quotas(ours, {flavors[m.flavor] for _, _, m in members})
    locked = Node.objects.filter(pk__in={m.node for _, _, m in members}).order_by("pk")
    nodes = {
        str(pk): (cluster, epoch, name)
        for pk, cluster, epoch, name in locked.select_for_update(no_key=True, of=("self",)).values_list(
            "pk", "cluster_id", "cluster__epoch", "name"
        )
    }
    devices = {
        (str(node), index): (pk, memory)
        for node, index, pk, memory in Accelerator.objects.offered()
        .filter(node__in=list(nodes))
        .values_list("node_id", "index", "pk", "memory_mib")
    }
    # A hint for each where they are few; the sweep takes many at once, and takes what a lost hint leaves.
    is_few = len(members) <= _MOST_HINTS
    look_at = timezone.now() + timedelta(seconds=3 if is_few else 0)
    allocations: list[Values] = []
    shares: list[Values] = []
    for workload, replica, member in members:
        if (found := nodes.get(member.node)) is None:
            raise OverCapacity(f"Node {member.node} is gone.")
        cluster, epoch, name = found
        pk = uuid7()
        allocations.append((
            pk, workload.pk, workload.tenant_id, workload.project_id, cluster, member.node, flavors[member.flavor],
            workload.attempt, replica, epoch, workload.cpu_milli, workload.memory_mib,
            counted_milli(workload, member), "Reserved", look_at,
        ))  # fmt: skip
        for part in member.devices:
            if (device := devices.get((member.node, part.index))) is None:
                raise OverCapacity(f"{name} has no device {part.index} any more.")
            shares.append((pk, device[0], part.milli, part.memory_mib or device[1] * part.milli // 1000))
    bulk.insert(Allocation, _ALLOCATION, allocations)
    bulk.insert(Share, _SHARE, sorted(shares, key=lambda row: str(row[1])))
    if is_few:
        for row in allocations:
            hints.soon("federation.tasks.reconcile_allocation", row[0])
    else:
        transaction.on_commit(lambda: hints.send("federation.tasks.sweep_allocations"), robust=True)


def _lock_quotas(ours: Sequence[tuple[Workload, Placement]], flavors: set[UUID]) -> None:
    projects = Q(project_id__in={w.project_id for w, _ in ours}) | Q(project_id=None)
    rows = Quota.objects.filter(projects, tenant_id__in={w.tenant_id for w, _ in ours}, flavor_id__in=flavors)
    list(rows.order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk"))


def counted_milli(workload: Workload, member: MemberPlacement) -> int:
    """What one member counts against quota, and on the bill: what it takes of devices, or cores when it has none."""
    return member.milli if member.devices else workload.cpu_milli


def _decision(placement: Placement) -> dict[str, object]:
    """What is kept of a placement for those who ask why there."""
    return {
        "outcome": "placed",
        "policy": placement.policy,
        "candidates": [
            {"node": c.node, "name": c.name, "site": c.site, "score": c.score, "parts": dict(c.parts)}
            for c in placement.best
        ],
    }
