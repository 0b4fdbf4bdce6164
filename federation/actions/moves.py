"""Carry out a plan of moves: each workload is stopped, and queued anew to start at its new place."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import F

from federation.models import Node, Pool, Workload
from federation.reconcile import workloads as flow
from federation.reconcile.snapshot import fleet_of
from federation.states import AllocationState as A
from federation.states import WorkloadState as W
from portal import audit
from portal.audit import Actor
from portal.transitions import move


@dataclass(frozen=True, slots=True)
class Wish:
    """A workload from one node to another."""

    workload: UUID
    source: UUID
    target: UUID


@dataclass(frozen=True, slots=True)
class Outcome:
    """`skipped` has why, in plain words, by workload: things have changed since the plan was made."""

    moved: Sequence[UUID]
    skipped: dict[UUID, str]


def carry_out(*, by: Actor, pool: Pool, wishes: Sequence[Wish]) -> Outcome:
    """Each on its own: what cannot be moved any more is left alone, and the others are moved."""
    open_nodes = {node.id for node in fleet_of(pool).nodes if node.is_open}
    names = dict(Node.objects.filter(pk__in={w.source for w in wishes} | {w.target for w in wishes})
                 .values_list("pk", "name"))  # fmt: skip
    moved, skipped = [], {}
    for wish in wishes:
        with transaction.atomic():
            why = _move(by, pool, wish, names, str(wish.target) in open_nodes)
        if why:
            skipped[wish.workload] = why
        else:
            moved.append(wish.workload)
    if moved:
        flow.wake_pool(pool.pk)
    return Outcome(moved, skipped)


def _move(by: Actor, pool: Pool, wish: Wish, names: dict[UUID, str], is_open: bool) -> str:
    """Empty when it was done, else why not."""
    workload = Workload.objects.select_for_update(of=("self",)).filter(pk=wish.workload, pool=pool).first()
    if workload is None:
        return "There is no such workload in this pool."
    if not workload.is_movable or workload.replicas > 1:
        return "It may not be moved."
    if workload.state != W.RUNNING:
        return f"It does not run: {workload.state}."
    if not is_open or wish.source == wish.target:
        return "Its new place is not open to new work of this pool."
    held = workload.allocations.filter(attempt=workload.attempt, state=A.ACTIVE, node_id=wish.source)
    if not held.exists():
        return "It does not run on that node."
    words = f"From {names[wish.source]} to {names[wish.target]}."
    move(
        workload, W.QUEUED, by=by, reason="Moved", message=words, attempt=F("attempt") + 1, started_at=None,
        exit_code=None, preferred_node=wish.target,
    )  # fmt: skip
    workload.refresh_from_db(fields=["attempt"])
    flow.stop_allocations(workload, by=by, reason="Moved", message=words)
    audit.record(by=by, what="workload.move", target=workload)
    return ""
