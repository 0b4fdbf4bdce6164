"""The queue of one pool: plan who goes where in one global view, then reserve, one workload at a time.

Planning is pure and may be outdated; committing is exact (grants.py). A workload that must wait is told why.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils import timezone

from federation.models import Allocation, Pool, QueueOrder, Workload
from federation.models.workloads import WorkloadQuerySet
from federation.placement.plan import Planner
from federation.placement.types import Placement, Refusal
from federation.reconcile import grants
from federation.reconcile.snapshot import QuotaRoom, fleet_of, mix_of, request_of
from federation.states import AllocationState as A
from federation.states import WorkloadState
from portal.errors import ConcurrentUpdate, OverCapacity
from portal.transitions import explain

logger = logging.getLogger(__name__)
BATCH = 400  # workloads looked at in one step; the rest follow in the next
_IDLE_SECONDS, _BUSY_SECONDS = 10.0, 0.0


def run(pk: str) -> bool:
    """One step over the head of the queue. True when there is more to do at once."""
    token = Pool.objects.claim(pk)
    if token is None:
        return False
    pool = Pool.objects.get(pk=pk)
    if (wait := _too_soon(pool)) > 0:
        Pool.objects.settle(pk, token, check_in=wait)
        return False
    queue = list(waiting(pool)[:BATCH])
    placed = admit(pool, queue) if queue else 0
    # All of a full batch waits: the next look begins behind it only when something has changed.
    has_more = placed > 0 and len(queue) == BATCH
    # Woken while we were planning: what was submitted or released meanwhile is not in this plan.
    was_woken = Pool.objects.values_list("next_check_at", flat=True).get(pk=pk) != pool.next_check_at
    check_in = _BUSY_SECONDS if has_more or was_woken else _IDLE_SECONDS
    Pool.objects.settle(pk, token, check_in=check_in, admitted_at=Now())
    return has_more


def _too_soon(pool: Pool) -> float:
    """Seconds until the next look at this queue. Each look reads the whole fleet, so releases and submissions
    that come close together share one; after a quiet second the first is looked at immediately."""
    if pool.admitted_at is None:
        return 0.0
    return settings.FEDERATION_ADMIT_SECONDS - (timezone.now() - pool.admitted_at).total_seconds()


def waiting(pool: Pool) -> WorkloadQuerySet:
    """The queue in its order. Work whose earlier attempt still holds hardware waits until that is released."""
    order = ("queued_at", "id") if pool.queue_order == QueueOrder.FIFO else ("-priority", "queued_at", "id")
    still_there = Allocation.objects.filter(workload=OuterRef("pk")).exclude(state__in=(A.RELEASED, A.LOST))
    rows: WorkloadQuerySet = (
        Workload.objects.waiting()
        .filter(pool=pool)
        .exclude(tenant__state="suspended")
        .filter(~Exists(still_there))
        .order_by(*order)
    )
    return rows


def admit(pool: Pool, queue: "Sequence[Workload]") -> int:
    """Plan and reserve for each workload in turn; how many were placed."""
    planner = Planner(fleet_of(pool), pool.policy, mix=mix_of(pool))
    room = QuotaRoom((w.tenant_id, w.project_id) for w in queue)
    placed = 0
    refused: dict[object, Refusal] = {}  # equal requests of one project share one refusal
    for workload in queue:
        request = request_of(workload, room.of(workload.tenant_id, workload.project_id))
        same = (workload.project_id, workload.cpu_milli, workload.memory_mib, workload.accelerators,
                workload.accelerator_milli, workload.accelerator_memory_mib, tuple(workload.model_names),
                tuple(workload.site_slugs), workload.replicas)  # fmt: skip
        # Capacity and quota only shrink within one step, so what was refused stays refused.
        outcome = refused.get(same) or planner.place(request)
        if isinstance(outcome, Refusal):
            refused[same] = outcome
            _tell(workload, outcome)
            continue
        if _commit(workload, outcome):
            placed += 1
            for member in outcome.members:
                counted = grants.counted_milli(workload, member)
                room.take(workload.tenant_id, workload.project_id, member.flavor, counted)
    return placed


def _commit(workload: Workload, placement: Placement) -> bool:
    try:
        return grants.commit(workload.pk, workload.version, placement)
    except OverCapacity as error:
        logger.info("Workload %s lost a race and is planned again: %s", workload.pk, error)
        return False


def _tell(workload: Workload, refusal: Refusal) -> None:
    """Write down why it waits, if that has changed."""
    message = refusal.message if not refusal.nearest else f"{refusal.message} {refusal.nearest}"
    if (workload.reason, workload.message) == (refusal.reason, message):
        return
    decision = {"outcome": "refused", **asdict(refusal)}
    try:
        with transaction.atomic():
            if workload.state == WorkloadState.QUEUED:
                explain(workload, reason=refusal.reason, message=message, decision=decision)
    except ConcurrentUpdate:
        pass  # the user acted meanwhile; the next step sees it
