"""One allocation, one step: compare what the hub wants with what the site shows, and write down the outcome.

load (claim the lease, read), act (ask the site, no transaction open), apply (one short transaction,
guarded by the lease). The reference for every reconciler.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from federation import outputs
from federation.drivers.base import Observation, Rejected, SiteDriver, Unavailable
from federation.drivers.base import ObservedState as O
from federation.models import Allocation, Node, Workload
from federation.reconcile import inventory, workloads
from federation.reconcile.specs import must_wait, spec_of
from federation.registry import driver_for
from federation.states import WORKLOAD_HOLDING, NodeState
from federation.states import AllocationState as A
from portal import hints
from portal.audit import SYSTEM
from portal.crash import point
from portal.errors import ConcurrentUpdate
from portal.leases import backoff_seconds, forgettable
from portal.transitions import explain, move

logger = logging.getLogger(__name__)
_ENDED = (O.SUCCEEDED, O.FAILED)
NODE_MISSING = "NodeMissing"
ACCEPTED, WAITING = "AcceptedBySite", "WaitingForSite"
# A site may get over these by itself; after FEDERATION_START_SECONDS of them the attempt ends.
START_FAILURES = frozenset({"Unschedulable", "ImagePullFailed", "BadConfiguration", "RefusedAtSite"})
SOON, LATER = 1.0, 60.0  # while something is under way; while the cluster's own look covers it


@dataclass(frozen=True, slots=True)
class Outcome:
    """What acting on the site brought: an observation, a refusal, or no answer."""

    seen: Observation | None = None
    refusal: Rejected | None = None
    no_answer: str = ""
    retry_after: float = 0.0  # the site asked not to be asked again sooner


def run(pk: str) -> None:
    token = Allocation.objects.claim(pk)
    if token is None:
        return  # somebody is at it
    allocation = Allocation.objects.select_related("cluster", "node", "workload__tenant", "workload__project").get(
        pk=pk
    )
    if allocation.state == A.RELEASED:
        Allocation.objects.settle(pk, token, check_in=None)
        return
    outcome = _act(allocation, driver_for(allocation.cluster))
    was = A(allocation.state)
    try:
        _apply(allocation, token, outcome)
    except ConcurrentUpdate:  # somebody asked for something meanwhile: look again at once
        Allocation.objects.settle(pk, token, check_in=0.0)
        hints.soon("federation.tasks.reconcile_allocation", pk)
    if was in (A.RESERVED, A.STOPPING):
        point("ensure.settled" if was == A.RESERVED else "remove.settled")


def _act(allocation: Allocation, driver: SiteDriver) -> Outcome:
    """Ask the site. May be slow, may fail, may be run twice."""
    ref = str(allocation.pk)
    try:
        if allocation.state == A.RESERVED:
            spec = spec_of(allocation)
            point("ensure.before")
            seen = driver.ensure(spec)
            point("ensure.after")
        elif allocation.state == A.STOPPING:
            outputs.keep(ref, driver, has_ended=allocation.exit_code is not None)
            point("remove.before")
            seen = driver.remove(ref)
            point("remove.after")
        elif allocation.state == A.STARTING and _may_go(allocation):
            seen = driver.ensure(spec_of(allocation))
        else:
            seen = driver.observe(ref)
            point("observe.after")
    except Unavailable as error:
        return Outcome(no_answer=str(error) or "The site did not answer.", retry_after=error.retry_after or 0.0)
    except Rejected as error:
        return Outcome(refusal=error)
    return Outcome(seen=seen)


def _may_go(allocation: Allocation) -> bool:
    """Its gang is complete, so a site that holds it is told to let it run, until it is seen to."""
    workload = allocation.workload
    return workload.replicas > 1 and not must_wait(workload, allocation.attempt)


def _apply(allocation: Allocation, token: UUID, outcome: Outcome) -> None:
    quiet = _quiet_values(allocation, outcome)
    if quiet is not None:  # nothing to move: one statement, no locks on the workload
        check_in, values = quiet
        with forgettable():
            # Only as it was read: who asked for something meanwhile is not to wait for `check_in`.
            same = Allocation.objects.filter(version=allocation.version)
            if not same.settle(allocation.pk, token, check_in=check_in, is_good=not outcome.no_answer, **values):
                raise ConcurrentUpdate
        return
    with transaction.atomic():
        workload = workloads.lock(allocation.workload_id)
        check_in = _check_in(allocation, outcome)
        if not Allocation.objects.settle(allocation.pk, token, check_in=check_in, is_good=not outcome.no_answer):
            return  # the lease was lost: somebody newer owns the row
        _move(allocation, workload, outcome)
        workloads.follow(workload)


def _quiet_values(allocation: Allocation, outcome: Outcome) -> tuple[float, dict[str, Any]] | None:
    """How to settle when nothing moves: when to look again, and what to note. None when something moves."""
    seen = outcome.seen
    if seen is None or outcome.refusal:
        return None
    state = allocation.state
    if state == A.ACTIVE and seen.state == O.RUNNING:
        return LATER, {"proof_at": timezone.now()}
    if state == A.STARTING and seen.state in (O.STARTING, O.PENDING):
        is_known = _why_not_yet(seen) == (allocation.reason, allocation.message)
        is_failing = seen.reason in START_FAILURES
        if is_known and is_failing == (allocation.failing_since is not None) and not _has_failed(allocation):
            return _patience(allocation), {}
        return None
    if state == A.STOPPING and seen.state != O.ABSENT:
        return _patience(allocation), {}
    if seen.state == O.BROKEN and (seen.reason == NODE_MISSING or state == A.LOST):
        # Its node cannot be seen, so neither can it. The inventory decides about nodes that are gone: LOST, and back.
        # One that is there and silent is given as long as a silent site is before we tell.
        return None if _is_silent(allocation) else (_patience(allocation), {})
    if state == A.RESERVED and seen.state in (O.PENDING, O.ABSENT):
        is_told = _why_not_taken(seen) == (allocation.reason, allocation.message)
        return (SOON, {}) if is_told else None
    return None


def _is_silent(allocation: Allocation) -> bool:
    """Has nothing been heard of this running work for too long?"""
    heard = allocation.proof_at or allocation.state_since
    limit = timedelta(seconds=settings.FEDERATION_DISCONNECTED_SECONDS)
    return allocation.state in (A.STARTING, A.ACTIVE) and timezone.now() - heard > limit


def _why_not_taken(seen: Observation) -> tuple[str, str]:
    """What the site says of work that it has not accepted yet."""
    return (seen.reason, seen.message) if seen.reason else (WAITING, "The site has not taken it on yet.")


def _why_not_yet(seen: Observation) -> tuple[str, str]:
    """What the site says of work that it has accepted and that does not run."""
    return (seen.reason, seen.message) if seen.reason else (ACCEPTED, "")


def _has_failed(allocation: Allocation) -> bool:
    """Has the site been unable to start it for too long?"""
    since = allocation.failing_since
    return since is not None and timezone.now() - since > timedelta(seconds=settings.FEDERATION_START_SECONDS)


def _patience(allocation: Allocation) -> float:
    """The longer it takes, the less often we ask; the cluster's own look wakes what has changed meanwhile."""
    age = (timezone.now() - allocation.state_since).total_seconds()
    return min(max(age / 2, 0.5), 10.0)


def _check_in(allocation: Allocation, outcome: Outcome) -> float:
    if outcome.no_answer:
        return max(backoff_seconds(allocation.attempts), outcome.retry_after)
    if outcome.seen and outcome.seen.state == O.RUNNING:
        return LATER
    return SOON


def _move(allocation: Allocation, workload: Workload, outcome: Outcome) -> None:
    if outcome.no_answer:
        explain(allocation, reason="SiteUnavailable", message=outcome.no_answer)
    elif outcome.refusal is not None:
        if allocation.state != A.STOPPING:
            refusal = outcome.refusal
            workloads.stop(allocation, by=SYSTEM, reason=refusal.reason, message=refusal.message)
    elif outcome.seen is not None:
        _STEPS[A(allocation.state)](allocation, workload, outcome.seen)


def _from_reserved(allocation: Allocation, workload: Workload, seen: Observation) -> None:
    if seen.state in (O.PENDING, O.ABSENT):
        reason, message = _why_not_taken(seen)
        explain(allocation, reason=reason, message=message)
        return
    move(allocation, A.STARTING, by=SYSTEM, reason=ACCEPTED)
    if workload.replicas > 1 and not must_wait(workload, allocation.attempt):
        _let_go(workload, allocation.attempt)
    _from_starting(allocation, workload, seen)


def _let_go(workload: Workload, attempt: int) -> None:
    """The last member is accepted: have all of them told at once."""
    held = list(workload.allocations.filter(attempt=attempt, state=A.STARTING).order_by("pk"))
    Allocation.objects.filter(pk__in=[member.pk for member in held]).update(next_check_at=Now())
    for member in held:
        hints.soon("federation.tasks.reconcile_allocation", member.pk)


def _from_starting(allocation: Allocation, workload: Workload, seen: Observation) -> None:
    if seen.state in (O.STARTING, O.PENDING):
        _wait_for_start(allocation, seen)
        return
    if seen.state in (O.RUNNING, *_ENDED):
        started = _began(allocation, seen)
        move(
            allocation, A.ACTIVE, by=SYSTEM, reason="Running", effective_at=started, started_at=started,
            proof_at=timezone.now(), failing_since=None,
        )  # fmt: skip
    _from_active(allocation, workload, seen)


def _wait_for_start(allocation: Allocation, seen: Observation) -> None:
    """Say why it does not run yet; end the attempt when its site has been unable to start it for too long."""
    reason, message = _why_not_yet(seen)
    if seen.reason not in START_FAILURES:
        if allocation.failing_since is not None:
            explain(allocation, reason=reason, message=message, failing_since=None)
        else:
            explain(allocation, reason=reason, message=message)
    elif _has_failed(allocation):
        workloads.stop(allocation, by=SYSTEM, reason=reason, message=message)
    elif allocation.failing_since is None:
        explain(allocation, reason=reason, message=message, failing_since=timezone.now())
    else:
        explain(allocation, reason=reason, message=message)


def _from_active(allocation: Allocation, workload: Workload, seen: Observation) -> None:
    if seen.state in _ENDED:
        _end(allocation, seen)
    elif seen.state == O.ABSENT:
        workloads.stop(
            allocation, by=SYSTEM, reason="VanishedAtSite", message="Somebody removed it at the site.",
            ended_at=allocation.proof_at or allocation.started_at,
        )  # fmt: skip
    elif seen.state == O.BROKEN and seen.reason == NODE_MISSING:
        inventory.lose(allocation, message=seen.message or "Its node does not answer.")
    elif seen.state == O.BROKEN:
        workloads.stop(allocation, by=SYSTEM, reason=seen.reason or "BrokenAtSite", message=seen.message)


def _from_stopping(allocation: Allocation, workload: Workload, seen: Observation) -> None:
    """The one way to RELEASED: the driver saw ABSENT."""
    if seen.state != O.ABSENT:
        return
    move(allocation, A.RELEASED, by=SYSTEM, reason=allocation.reason, message=allocation.message, next_check_at=None)
    _finish_drain(allocation.node_id)
    workloads.wake_pool(workload.pool_id)


def _from_lost(allocation: Allocation, workload: Workload, seen: Observation) -> None:
    """The site is back. Adopt what is still wanted, stop the rest."""
    is_wanted = workload.state in WORKLOAD_HOLDING and workload.attempt == allocation.attempt
    if seen.state == O.RUNNING and is_wanted and allocation.epoch == allocation.cluster.epoch:
        started = allocation.started_at or _began(allocation, seen)
        move(
            allocation, A.ACTIVE, by=SYSTEM, reason="Adopted", effective_at=timezone.now(), started_at=started,
            ended_at=None, proof_at=timezone.now(),
        )  # fmt: skip
    elif seen.state in _ENDED and is_wanted:
        _end(allocation, seen)
    else:
        workloads.stop(allocation, by=SYSTEM, reason="FoundAgain", message="Its work was moved elsewhere meanwhile.")


_STEPS = {
    A.RESERVED: _from_reserved,
    A.STARTING: _from_starting,
    A.ACTIVE: _from_active,
    A.STOPPING: _from_stopping,
    A.LOST: _from_lost,
}


def _began(allocation: Allocation, seen: Observation) -> datetime:
    """When it began, by the site's monotonic run time counted back from now: the site's wall clock may be wrong."""
    return max(timezone.now() - timedelta(seconds=seen.ran_seconds or 0.0), allocation.created_at)


def _end(allocation: Allocation, seen: Observation) -> None:
    started = allocation.started_at or _began(allocation, seen)
    ended = timezone.now()
    if seen.ran_seconds is not None:
        ended = min(started + timedelta(seconds=seen.ran_seconds), ended)
    exit_code = seen.exit_code if seen.exit_code is not None else (0 if seen.state == O.SUCCEEDED else 1)
    reason = seen.reason or ("Finished" if exit_code == 0 else "NonZeroExit")
    move(
        allocation, A.STOPPING, by=SYSTEM, reason=reason, message=seen.message, effective_at=ended,
        started_at=started, ended_at=ended, proof_at=timezone.now(), exit_code=exit_code,
    )  # fmt: skip


def _finish_drain(node_id: UUID) -> None:
    """The last work has left a node that is being emptied."""
    node = Node.objects.get(pk=node_id)
    if node.state == NodeState.DRAINING and not node.allocations.holding().exists():
        move(node, NodeState.DRAINED, by=SYSTEM, reason="Empty")
