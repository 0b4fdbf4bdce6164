"""One cluster, one look: is it there, what has it, how does its work do, how busy are its devices."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from federation.drivers.abilities import BulkObserver, WorkLister
from federation.drivers.base import (
    NodeSeen,
    Observation,
    ObservedState,
    Rejected,
    SiteDriver,
    SiteInfo,
    Unavailable,
    UsageSample,
)
from federation.models import Allocation, Cluster, ClusterWatch
from federation.reconcile import figures, inventory, workloads
from federation.registry import driver_for
from federation.states import AllocationState as A
from federation.states import ClusterState as C
from federation.states import WorkloadState
from portal.audit import SYSTEM
from portal.errors import ConcurrentUpdate
from portal.leases import backoff_seconds, forgettable
from portal.transitions import explain, move

logger = logging.getLogger(__name__)
LOOK_SECONDS = 2.0
INVENTORY_SECONDS = 15.0
FOLLOWED_SECONDS = 15.0
SWEEP_SECONDS = 60.0  # while it is followed, its work is gone through so often, to make sure
FIGURES_SECONDS = 4.5  # with looks 2 s apart, figures come every 5 s or so
_LIVE = (C.PENDING, C.CONNECTED, C.DEGRADED, C.STALE, C.DISCONNECTED)


@dataclass
class Look:
    """What one look at a site brought."""

    info: SiteInfo | None = None
    no_answer: str = ""
    nodes: list[NodeSeen] | None = None
    complaints: list[str] = field(default_factory=list)
    work: list[Observation] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    usage: list[UsageSample] = field(default_factory=list)
    is_sweep: bool = True  # all of its work was asked about


def run(pk: str) -> None:
    token = Cluster.objects.claim(pk)
    if token is None:
        return
    cluster = Cluster.objects.select_related("site", "watch").get(pk=pk)
    if cluster.state == C.RETIRED:
        Cluster.objects.settle(pk, token, check_in=None)
        return
    live = list(Allocation.objects.filter(cluster=cluster, state__in=(A.STARTING, A.ACTIVE)).values_list("pk", "state"))
    look = _look(cluster, driver_for(cluster), dict(live))
    try:
        _apply(cluster, token, look, dict(live))
    except ConcurrentUpdate:
        Cluster.objects.settle(pk, token, check_in=0.0)


def _look(cluster: Cluster, driver: SiteDriver, live: dict[UUID, str]) -> Look:
    """Ask the site. No transaction is open; each call is short."""
    look = Look()
    followed = _followed(cluster)
    look.is_sweep = followed is None or _is_old(followed.swept_at, SWEEP_SECONDS)
    try:
        look.info = driver.check()
        # A list would only repeat what a watch has shown, and while changes pour in it would come too late each time.
        if (followed is None and _is_old(cluster.inventory_at, INVENTORY_SECONDS)) or cluster.state == C.PENDING:
            look.nodes, look.complaints = inventory.believable(driver.inventory())
        if isinstance(driver, WorkLister) and (look.nodes is not None or (followed and look.is_sweep)):
            look.unknown = _unknown(cluster, driver)
        if live and isinstance(driver, BulkObserver) and look.is_sweep:
            look.work = list(driver.observe_many([str(pk) for pk in live]))
        if _is_old(cluster.figures_at, FIGURES_SECONDS):
            now = timezone.now()
            look.usage = list(driver.usage(now - timedelta(seconds=FIGURES_SECONDS), now))
    except Unavailable as error:
        look.no_answer = str(error) or "The site did not answer."
        if look.info is not None:  # it answers, but not to everything
            look.info = SiteInfo(look.info.version, look.no_answer, is_degraded=True)
    except Rejected as error:
        look.no_answer = str(error)
    return look


def _followed(cluster: Cluster) -> ClusterWatch | None:
    """The watch by which somebody follows it live, and has missed nothing up to a moment ago."""
    watch: ClusterWatch | None = getattr(cluster, "watch", None)
    return watch if watch is not None and not _is_old(watch.whole_at, FOLLOWED_SECONDS) else None


def _unknown(cluster: Cluster, driver: WorkLister) -> list[str]:
    """Work of ours at the site that no grant holds any more: left over by a crash, to be removed."""
    there = {ref for ref in driver.refs() if _is_ours(ref)}
    held = {str(pk) for pk in Allocation.objects.filter(cluster=cluster).holding().values_list("pk", flat=True)}
    # A grant made after we asked is not in `there`, so the difference never names it.
    return sorted(there - held)


def _is_ours(ref: str) -> bool:
    """Our names are ids. Whatever else carries our label at a site was put there by hand, and stays."""
    try:
        return str(UUID(ref)) == ref
    except ValueError:
        return False


def _apply(cluster: Cluster, token: UUID, look: Look, live: dict[UUID, str]) -> None:
    answered = look.info is not None
    values: dict[str, object] = {}
    if look.info is not None:
        values = {"last_seen_at": Now(), "site_version": look.info.version}
    check_in = LOOK_SECONDS if answered else min(backoff_seconds(cluster.attempts), 10.0)
    if not Cluster.objects.settle(cluster.pk, token, check_in=check_in, is_good=answered, **values):
        return
    if answered and look.nodes is not None and inventory.store(cluster, look.nodes):
        workloads.wake_pools()
    with transaction.atomic():
        cluster.refresh_from_db()
        _follow_liveness(cluster, look)
    if answered:
        if look.is_sweep and _followed(cluster) is not None:
            ClusterWatch.objects.filter(cluster=cluster).update(swept_at=Now())
        _wake_work(live, look.work)
        for ref in look.unknown[:50]:
            _remove_leftover(cluster, ref)
        figures.store(cluster, look.usage)
    else:
        _give_up_if_overdue(cluster)


def _follow_liveness(cluster: Cluster, look: Look) -> None:
    if cluster.state not in _LIVE:
        return  # an operator's wish stands; the age of the last word is shown beside it
    if look.info is not None:
        was_away = cluster.state in (C.STALE, C.DISCONNECTED)
        complaint = look.info.message
        if look.complaints:
            complaint = f"Not believed: {', '.join(look.complaints[:5])}."
        to = C.DEGRADED if look.info.is_degraded or look.complaints else C.CONNECTED
        if cluster.state == C.PENDING and to == C.DEGRADED:
            move(cluster, C.CONNECTED, by=SYSTEM, reason="Answers")
        if not move(cluster, to, by=SYSTEM, reason="Degraded" if to == C.DEGRADED else "Answers", message=complaint):
            explain(cluster, reason="Degraded" if to == C.DEGRADED else "Answers", message=complaint)
        if was_away:
            Allocation.objects.filter(cluster=cluster, state=A.LOST).update(next_check_at=Now(), attempts=0)
            workloads.wake_pools()
        return
    silent = _silence(cluster)
    if cluster.state in (C.CONNECTED, C.DEGRADED) and silent > settings.FEDERATION_STALE_SECONDS:
        move(cluster, C.STALE, by=SYSTEM, reason="Silent", message=look.no_answer)
    elif cluster.state == C.STALE and silent > settings.FEDERATION_DISCONNECTED_SECONDS:
        move(cluster, C.DISCONNECTED, by=SYSTEM, reason="Silent", message=look.no_answer)
    else:
        explain(cluster, reason="Unavailable", message=look.no_answer)


def _silence(cluster: Cluster) -> float:
    return (timezone.now() - (cluster.last_seen_at or cluster.created_at)).total_seconds()


def _is_old(at: datetime | None, seconds: float) -> bool:
    return at is None or timezone.now() - at > timedelta(seconds=seconds)


def _wake_work(live: dict[UUID, str], seen: Sequence[Observation]) -> None:
    """Proof of life for what runs as expected; a closer look at everything else."""
    states = {observation.ref: observation.state for observation in seen}
    if not states:
        return
    running = [pk for pk, state in live.items() if state == A.ACTIVE and states.get(str(pk)) == ObservedState.RUNNING]
    with forgettable():
        Allocation.objects.filter(pk__in=running, state=A.ACTIVE).update(proof_at=Now())
    differing = [
        pk
        for pk, state in live.items()
        if not (state == A.ACTIVE and states.get(str(pk)) == ObservedState.RUNNING)
        and not (state == A.STARTING and states.get(str(pk)) == ObservedState.STARTING)
    ]
    Allocation.objects.wake(differing)


def _remove_leftover(cluster: Cluster, ref: str) -> None:
    """Only what is still held by no grant; asked again just before it is removed."""
    if Allocation.objects.filter(pk=ref).holding().exists():
        return
    try:
        driver_for(cluster).remove(ref)
    except (Unavailable, Rejected) as error:
        logger.info("Left-over work %s at %s stays for now: %s", ref, cluster.slug, error)


def _give_up_if_overdue(cluster: Cluster) -> None:
    """Silent beyond policy: raise the epoch, which fences what runs there, and let its work move elsewhere."""
    if cluster.state != C.DISCONNECTED or _silence(cluster) <= settings.FEDERATION_LOST_SECONDS:
        return
    # Work that is queued anew waits for what is still stopping here; nobody can be asked about that either.
    waited_for = Q(state=A.STOPPING, workload__state=WorkloadState.QUEUED)
    rows = Allocation.objects.filter(Q(state__in=(A.RESERVED, A.STARTING, A.ACTIVE)) | waited_for, cluster=cluster)
    workload_ids = list(rows.order_by("workload_id").values_list("workload_id", flat=True).distinct()[:200])
    if not workload_ids:
        return
    with transaction.atomic():
        Cluster.objects.filter(pk=cluster.pk).update(epoch=F("epoch") + 1)
    for workload_id in workload_ids:
        with transaction.atomic():
            workload = workloads.lock(workload_id)
            for allocation in rows.filter(workload=workload).order_by("pk"):
                inventory.lose(allocation, message=f"{cluster.name} has been silent for too long.")
            workloads.give_up_on(workload, reason="SiteLost", message=f"{cluster.name} has been silent for too long.")
