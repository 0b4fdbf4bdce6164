"""The queue of one pool: plan who goes where in one global view, then reserve.

Planning is pure and may be outdated; committing is exact (grants.py). A workload that must wait is told why.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils import timezone

from federation.models import Allocation, Pool, QueueOrder, Workload
from federation.models.workloads import WorkloadQuerySet
from federation.placement.types import Placement, Refusal
from federation.reconcile import desks, grants
from federation.reconcile.snapshot import ASKED, QuotaRoom, request_of
from federation.states import AllocationState as A
from federation.states import WorkloadState
from portal.transitions import explain_many

MOST_WAITING = 50_000  # of a queue, from its head; what is behind them has to wait for its turn anyway
_READ, _COMMIT, _TELL = 500, 200, 1000  # how many at once
_IDLE_SECONDS, _BUSY_SECONDS = 10.0, 0.0


def run(pk: str) -> bool:
    """One look at the queue. True when there is more to do at once."""
    token = Pool.objects.claim(pk)
    if token is None:
        return False
    pool = Pool.objects.get(pk=pk)
    if (wait := _too_soon(pool)) > 0:
        Pool.objects.settle(pk, token, check_in=wait)
        return False
    is_done = admit(pool)
    # Woken while we were planning: what was submitted or released meanwhile is not in this plan.
    was_woken = Pool.objects.values_list("next_check_at", flat=True).get(pk=pk) != pool.next_check_at
    check_in = _IDLE_SECONDS if is_done and not was_woken else _BUSY_SECONDS
    Pool.objects.settle(pk, token, check_in=check_in, admitted_at=Now())
    return not is_done


def _too_soon(pool: Pool) -> float:
    """Seconds until the next look at this queue: a look that takes long is not taken often, so that releases and
    submissions that come close together share one. After a quiet second the first is looked at immediately."""
    if pool.admitted_at is None:
        return 0.0
    rest = min(2 * desks.cost_of(pool), settings.FEDERATION_ADMIT_SECONDS)
    return rest - (timezone.now() - pool.admitted_at).total_seconds()


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


def admit(pool: Pool) -> bool:
    """Plan and reserve for each workload of the queue in turn. False when there is reason to look again at once:
    somebody else was quicker somewhere, or there was no time for all."""
    started = time.monotonic()
    queue = waiting(pool).values_list("pk", "version", "reason", "message", "tenant_id", *ASKED, named=True)
    rows: Iterator[Any] = queue[:MOST_WAITING].iterator(_READ)
    if (first := next(rows, None)) is None:
        return True
    look = _Look(desks.of(pool))
    rows = chain([first], rows)
    while some := list(islice(rows, _READ)):
        look.take(some)
        if time.monotonic() - started > settings.LEASE_SECONDS / 4:
            look.is_done = False
            break
    look.close()
    look.desk.cost = time.monotonic() - started
    return look.is_done


@dataclass(slots=True)
class _Look:
    """One look in the making."""

    desk: desks.Desk
    room: QuotaRoom = field(default_factory=lambda: QuotaRoom(()))
    refused: dict[str, Refusal] = field(default_factory=dict)  # equal requests of one project share one
    planned: list[grants.Grant] = field(default_factory=list)
    told: list[tuple[UUID, int, str, str, dict[str, Any]]] = field(default_factory=list)
    is_done: bool = True

    def take(self, rows: Iterable[Any]) -> None:
        rows = list(rows)
        self.room.know((row.tenant_id, row.project_id) for row in rows)
        for row in rows:
            # Capacity and quota only shrink within one look, so what was refused stays refused.
            same = repr(row[5:])
            outcome = self.refused.get(same)
            if outcome is None:
                found = self.desk.planner.place(request_of(row, self.room.of(row.tenant_id, row.project_id)))
                if isinstance(found, Placement):
                    self._plan(row, found)
                    continue
                outcome = self.refused[same] = found
            self._tell(row, outcome)

    def _plan(self, row: Any, placement: Placement) -> None:
        self.desk.note(placement)
        for member in placement.members:
            counted = grants.counted_milli(row, member)
            self.room.take(row.tenant_id, row.project_id, member.flavor, counted)
        self.planned.append(grants.Grant(row.pk, row.version, placement))
        if len(self.planned) >= _COMMIT:
            self._commit()

    def _commit(self) -> None:
        if len(grants.commit_all(self.planned)) < len(self.planned):
            self.is_done = False
        self.planned.clear()

    def _tell(self, row: Any, refusal: Refusal) -> None:
        """Write down why it waits, if that has changed."""
        message = refusal.message if not refusal.nearest else f"{refusal.message} {refusal.nearest}"
        if (row.reason, row.message) == (refusal.reason, message):
            return
        decision = {"outcome": "refused", **asdict(refusal), "request": str(row.pk)}
        self.told.append((row.pk, row.version, refusal.reason, message, decision))
        if len(self.told) >= _TELL:
            self._write()

    def _write(self) -> None:
        if self.told:
            with transaction.atomic():  # who acted on one of them meanwhile is seen by the next look
                explain_many(Workload, self.told, state=WorkloadState.QUEUED, document="decision")
        self.told.clear()

    def close(self) -> None:
        self._commit()
        self._write()
