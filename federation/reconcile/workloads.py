"""A workload follows its allocations: running when all of them are, ended when they have, queued anew when lost.

Whoever calls these holds the workload's row lock, taken before any lock on its allocations.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from federation.models import Allocation, Pool, Workload
from federation.models.allocations import AllocationQuerySet
from federation.states import WORKLOAD_HOLDING
from federation.states import AllocationState as A
from federation.states import WorkloadState as W
from portal import hints
from portal.audit import SYSTEM, Actor
from portal.leases import seconds_from_now
from portal.transitions import explain, move

WOKEN = "aquifer_pool_woken"  # the channel on which Postgres says so
MOST_REFUSALS = 5  # a site that keeps refusing is not asked for ever
_LIVE = (A.RESERVED, A.STARTING, A.ACTIVE)


def lock(workload_id: UUID | str) -> Workload:
    """The row, locked until the transaction ends."""
    return Workload.objects.select_for_update(of=("self",)).get(pk=workload_id)


def lock_all(allocations: AllocationQuerySet) -> None:
    """Lock the workloads of these, before a node is written: the order is workload, quota, node, device."""
    ids = list(allocations.values_list("workload_id", flat=True))
    list(Workload.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk"))


def stop_allocations(
    workload: Workload, *, by: Actor, reason: str, message: str = "", states: tuple[A, ...] = (*_LIVE, A.LOST)
) -> int:
    """Ask for the end of all that runs for this workload. The hardware stays held until the site has let go."""
    rows = list(workload.allocations.filter(state__in=states).order_by("pk").select_for_update())
    for allocation in rows:
        stop(allocation, by=by, reason=reason, message=message)
    return len(rows)


def stop(allocation: Allocation, *, by: Actor, reason: str, message: str = "", **values: Any) -> None:
    """One allocation to STOPPING. What was running counts as run until now, unless the site proved less."""
    if allocation.state == A.LOST:
        values.setdefault("ended_at", allocation.ended_at or allocation.proof_at or allocation.started_at)
    elif allocation.started_at is not None:
        values.setdefault("ended_at", timezone.now())
    move(allocation, A.STOPPING, by=by, reason=reason, message=message, next_check_at=seconds_from_now(2), **values)
    hints.soon("federation.tasks.reconcile_allocation", allocation.pk)


def wake_pool(pool_id: UUID | str) -> None:
    """Something may fit now: look at the queue soon. Where that is wanted already nothing is written, so that many
    who submit do not wait for each other."""
    if Pool.objects.filter(pk=pool_id).exclude(next_check_at__lte=Now()).update(next_check_at=Now()):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [WOKEN, str(pool_id)])


def wake_pools() -> None:
    """Something changed that any queue may wait for."""
    for pk in Pool.objects.values_list("pk", flat=True):
        wake_pool(pk)


def follow(workload: Workload) -> None:
    """Bring a workload's state in line with the allocations of its present attempt."""
    if workload.state not in WORKLOAD_HOLDING:
        return
    members = list(workload.allocations.filter(attempt=workload.attempt))
    ended = [m for m in members if m.state in (A.STOPPING, A.RELEASED)]
    failed = [m for m in ended if m.exit_code not in (None, 0)]
    gone = [m for m in ended if m.exit_code is None]  # ended without a result: refused, drained, vanished
    lost = [m for m in members if m.state == A.LOST]
    if failed:
        _fail(workload, failed[0])
    elif gone:
        _requeue_or_fail(workload, gone[0])
    elif members and len(ended) == len(members):
        move(workload, W.SUCCEEDED, by=SYSTEM, reason="Finished", finished_at=Now(), exit_code=0)
    elif lost:
        explain(workload, reason="SiteLost", message=lost[0].message)
    elif members and all(m.state == A.ACTIVE or m in ended for m in members):
        if workload.state == W.ADMITTED:
            move(workload, W.RUNNING, by=SYSTEM, reason="Running", started_at=Now())
        else:
            explain(workload, reason="Running")
    else:
        _explain_start(workload, members)


def _explain_start(workload: Workload, members: list[Allocation]) -> None:
    """Between admission and running: which step are the members at?"""
    if workload.state != W.ADMITTED:
        return
    waiting = sum(m.state == A.RESERVED for m in members)
    if waiting:
        explain(workload, reason="WaitingForSite", message=f"{waiting} of {len(members)} not yet accepted by the site.")
        return
    hindered = [m for m in members if m.state == A.STARTING and m.reason != "AcceptedBySite"]
    if hindered:
        explain(workload, reason=hindered[0].reason, message=hindered[0].message)
    else:
        explain(workload, reason="Starting")


def _fail(workload: Workload, member: Allocation) -> None:
    """One member failed, so the whole has; try again while retries are left."""
    stop_allocations(workload, by=SYSTEM, reason="GangMemberFailed")
    if workload.retries < workload.max_retries:
        _requeue(workload, reason="Retrying", message=member.message, retries=workload.retries + 1)
        return
    move(
        workload,
        W.FAILED,
        by=SYSTEM,
        reason=member.reason or "NonZeroExit",
        message=member.message,
        finished_at=Now(),
        exit_code=member.exit_code,
    )


def _requeue_or_fail(workload: Workload, member: Allocation) -> None:
    stop_allocations(workload, by=SYSTEM, reason="GangMemberGone")
    refusals = workload.allocations.filter(reason=member.reason, exit_code=None).count()
    if refusals >= MOST_REFUSALS and member.reason not in {"NodeDrained", "ClusterDrained", "SiteLost"}:
        move(workload, W.FAILED, by=SYSTEM, reason=member.reason, message=member.message, finished_at=Now())
        return
    _requeue(workload, reason=member.reason, message=member.message)


def _requeue(workload: Workload, *, reason: str, message: str = "", **values: Any) -> None:
    move(
        workload,
        W.QUEUED,
        by=SYSTEM,
        reason=reason,
        message=message,
        attempt=F("attempt") + 1,
        started_at=None,
        exit_code=None,
        preferred_node=None,
        **values,
    )
    workload.refresh_from_db(fields=["attempt"])
    wake_pool(workload.pool_id)


def give_up_on(workload: Workload, *, reason: str, message: str) -> None:
    """Its site is lost beyond policy: queue it anew elsewhere. The lost allocations go on holding what they hold."""
    if workload.state in WORKLOAD_HOLDING:
        stop_allocations(workload, by=SYSTEM, reason="GangMemberLost", states=_LIVE)
        _requeue(workload, reason=reason, message=message)


def sweep(limit: int = 200) -> None:
    """What fell between two steps: workloads whose allocations moved on, and losses that lasted too long."""
    grace = timezone.now() - timedelta(seconds=settings.FEDERATION_LOST_SECONDS)
    overdue = Allocation.objects.filter(state=A.LOST, state_since__lt=grace, workload__state__in=WORKLOAD_HOLDING)
    for workload_id in set(overdue.values_list("workload_id", flat=True)[:limit]):
        with transaction.atomic():
            workload = lock(workload_id)
            if workload.allocations.filter(attempt=workload.attempt, state=A.LOST, state_since__lt=grace).exists():
                give_up_on(workload, reason="SiteLost", message="Its node or site has been silent for too long.")
    settled = Workload.objects.filter(state__in=WORKLOAD_HOLDING).exclude(
        allocations__state__in=(A.RESERVED, A.STARTING, A.ACTIVE, A.LOST)
    )
    for workload_id in settled.values_list("pk", flat=True)[:limit]:
        with transaction.atomic():
            follow(lock(workload_id))
