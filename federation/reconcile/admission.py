"""The queue of one pool: plan who goes where in one global view, then reserve.

Planning is pure and may be outdated; committing is exact (grants.py). A workload that must wait is told why.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum
from itertools import chain, islice
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from federation.models import Pool, Workload
from federation.placement.types import Placement, Refusal
from federation.reconcile import desks, grants, moves, waiting
from federation.reconcile.snapshot import ASKED, QuotaRoom, request_of
from federation.states import WorkloadState
from portal.leases import seconds_from_now
from portal.transitions import explain_many

MOST_WAITING = 50_000  # of a queue, from its head; what is behind them has to wait for its turn anyway
_READ, _COMMIT, _TELL = 500, 200, 1000  # how many at once
# Who submits just when another does may find the queue woken already, and come too late for that look: it is followed
# by one more.
_IDLE_SECONDS, _SOON_SECONDS, _BUSY_SECONDS = 10.0, 0.5, 0.0


class Found(Enum):
    NOTHING = "nothing"  # that was new
    WORK = "work"
    MORE = "more"  # reason to look again at once: somebody was quicker somewhere, or there was no time for all


def run(pk: str) -> bool:
    """One look at the queue. True when there is more to do at once."""
    # Whoever wakes it from here on finds it not due, and says so: what comes meanwhile may not be in this plan.
    token = Pool.objects.claim(pk, next_check_at=seconds_from_now(_IDLE_SECONDS))
    if token is None:
        return False
    pool = Pool.objects.get(pk=pk)
    found = admit(pool)
    is_done = found is not Found.MORE
    check_in = _BUSY_SECONDS if not is_done else _SOON_SECONDS if found is Found.WORK else _IDLE_SECONDS
    Pool.objects.settle_unless_woken(pk, token, was=pool.next_check_at, check_in=check_in)
    return not is_done


def admit(pool: Pool) -> Found:
    """Plan and reserve for each workload of the queue in turn."""
    started = time.monotonic()
    moved, kept = moves.first(pool)
    fields = ("pk", "version", "reason", "message", "tenant_id", "deadline_at", *ASKED)
    rows: Iterator[Any] = waiting.rows(pool, fields, MOST_WAITING, _READ)
    if (first := next(rows, None)) is None:
        desks.of(pool, kept)  # so that who comes next does not wait for the fleet to be read
        return Found.WORK if moved else Found.NOTHING
    look = _Look(desks.of(pool, kept))
    look.found = Found.WORK if moved else Found.NOTHING
    rows = chain([first], rows)
    while some := list(islice(rows, _READ)):
        look.take(some)
        if time.monotonic() - started > settings.LEASE_SECONDS / 4:
            look.found = Found.MORE
            break
    look.close()
    return look.found


@dataclass(slots=True)
class _Look:
    """One look in the making."""

    desk: desks.Desk
    room: QuotaRoom = field(default_factory=lambda: QuotaRoom(()))
    refused: dict[str, Refusal] = field(default_factory=dict)  # equal requests of one project share one
    planned: list[grants.Grant] = field(default_factory=list)
    told: list[tuple[UUID, int, str, str, dict[str, Any]]] = field(default_factory=list)
    found: Found = Found.NOTHING

    def take(self, rows: Iterable[Any]) -> None:
        rows = list(rows)
        self.room.know((row.tenant_id, row.project_id) for row in rows)
        for row in rows:
            # Capacity and quota only shrink within one look, so what was refused stays refused.
            same = repr(row[6:])
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
            self.found = Found.MORE
        elif self.planned and self.found is Found.NOTHING:
            self.found = Found.WORK
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
            if self.found is Found.NOTHING:
                self.found = Found.WORK
            with transaction.atomic():  # who acted on one of them meanwhile is seen by the next look
                explain_many(Workload, self.told, state=WorkloadState.QUEUED, document="decision")
        self.told.clear()

    def close(self) -> None:
        self._commit()
        self._write()
