"""Sites that tell of changes by themselves, followed live: what changed is in the rows within moments.

A watch saves lists and waiting; it decides nothing that a list would not. Whatever it misses, the cluster's next look
finds. One process follows a cluster at a time, by a lease in the database; another takes over when it dies.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections, connection
from django.db.models import Exists
from django.db.models.functions import Now

from federation.drivers.abilities import SiteChanges, Watch, Watchable
from federation.models import Allocation, Cluster, ClusterWatch
from federation.reconcile import inventory, workloads
from federation.reconcile.inventory import LeaseLost
from federation.registry import driver_for
from federation.states import AllocationState as A
from federation.states import ClusterState as C
from portal import hints
from portal.leases import forgettable, seconds_from_now

logger = logging.getLogger(__name__)
COALESCE_SECONDS = 0.05  # changes come in bursts: a pod that starts is five of them
PROOF_SECONDS = 10.0
RENEW_SECONDS = 5.0
FRESH_SECONDS = 20.0  # a site that has not answered for longer proves nothing, whatever was last seen of it
LONGEST_WAIT = 60.0
_ATTEMPTS = 8  # beyond this many failures in a row, waiting grows no longer
_WATCHED = (C.PENDING, C.CONNECTED, C.DEGRADED, C.STALE, C.DISCONNECTED, C.DRAINING, C.MAINTENANCE)


class Follower:
    """One cluster, followed in threads of this process for as long as its lease is renewed."""

    def __init__(self, cluster_id: UUID, token: UUID, watch: Watch) -> None:
        self.cluster_id, self.token, self.watch = cluster_id, token, watch
        self.stop = threading.Event()
        self.has_failed = False
        self.behind = "not yet read as a whole"  # why the rows are not known to be as the watch is; empty when they are
        self.changes = 0
        self._refs: set[str] = set()  # work that has changed, and that nobody could be woken for yet
        self._failures = 0
        self._proven = 0.0
        loops: list[Callable[[threading.Event], None]] = [*watch.loops(), self._apply_all]
        self.threads = [threading.Thread(target=self._run, args=(loop,), daemon=True) for loop in loops]
        for thread in self.threads:
            thread.start()

    def _run(self, loop: Callable[[threading.Event], None]) -> None:
        try:
            loop(self.stop)
        except Exception:
            logger.exception("Following cluster %s failed; it is begun anew", self.cluster_id)
            self.has_failed = True
            self.stop.set()
        finally:
            connection.close()

    def _apply_all(self, stop: threading.Event) -> None:
        while not stop.is_set():
            has_news = self.watch.wait(1.0)
            if has_news:
                stop.wait(COALESCE_SECONDS)
            self.step(has_news)

    def step(self, has_news: bool = True) -> None:
        """Bring what has changed into the rows. What fails is not lost: the next step tells all there is."""
        changes = self.watch.changes() if has_news else SiteChanges()
        self._refs.update(changes.refs)
        try:
            close_old_connections()
            apply(self.cluster_id, self.token, changes)
            if changes.is_complete:
                self.behind = ""
            self._refs = set(wake(self.cluster_id, self._refs))
            if time.monotonic() - self._proven >= PROOF_SECONDS and not self.watch.trouble() and not self.behind:
                prove(self.cluster_id, self.token, self.watch.running())
                self._proven = time.monotonic()
        except LeaseLost:
            self.stop.set()
        except Exception as error:
            # The database is away, a deadlock, a row that somebody moved meanwhile: all pass.
            logger.warning("What changed at cluster %s waits: %s", self.cluster_id, error, exc_info=self._failures == 1)
            self.behind = f"Not in the rows yet: {type(error).__name__}"
            self.watch.again()
            self._failures = min(self._failures + 1, _ATTEMPTS)
            self.stop.wait(min(0.25 * 2**self._failures, LONGEST_WAIT))
        else:
            self._failures = 0
            self.changes += len(changes.nodes) + len(changes.gone) + len(changes.refs)

    def renew(self) -> bool:
        trouble = self.watch.trouble() or self.behind
        return not self.stop.is_set() and ClusterWatch.objects.renew(
            self.cluster_id, self.token, is_whole=not trouble, message=trouble[:1000], changes=self.changes
        )

    def end(self) -> None:
        """Stop the threads; those that wait for a silent server end with their process."""
        self.stop.set()
        ClusterWatch.objects.give_back(self.cluster_id, self.token)


def apply(cluster_id: UUID, token: UUID, changes: SiteChanges) -> None:
    """Into the rows. Raises LeaseLost when somebody else follows this cluster now."""
    if not (changes.nodes or changes.gone or changes.is_complete):
        return
    cluster = Cluster.objects.get(pk=cluster_id)
    nodes, complaints = inventory.believable(changes.nodes)
    if complaints:
        logger.warning("Cluster %s shows what cannot be: %s", cluster.slug, ", ".join(complaints[:5]))
    gone = None if changes.is_complete else {*changes.gone}
    if inventory.store(cluster, nodes, gone=gone, follower=token):
        workloads.wake_pools()


def wake(cluster_id: UUID, refs: Iterable[str]) -> list[str]:
    """Whoever looks after work that has changed. Returns that which is looked at just now: that look may have come
    before the change, and settles when the next is due, so it has to be woken again."""
    ids = [ref for ref in refs if _is_id(ref)]
    if not ids:
        return []
    live = Allocation.objects.holding().filter(cluster_id=cluster_id, pk__in=ids)
    rows = list(live.values_list("pk", "lease_token"))
    for pk, lease in rows:
        if lease is None:
            hints.soon("federation.tasks.reconcile_allocation", pk)
    Allocation.objects.wake([pk for pk, _ in rows])
    return [str(pk) for pk, lease in rows if lease is not None]


def prove(cluster_id: UUID, token: UUID, refs: Sequence[str]) -> None:
    """Proof of life for what is seen running: bills rest on it while nobody asks about each piece of work.

    Not by a process that slept while another took over, and not while the site does not answer.
    """
    ids = [ref for ref in refs if _is_id(ref)]
    if ids:
        sure = ClusterWatch.objects.held(cluster_id, token).filter(
            cluster__last_seen_at__gt=seconds_from_now(-FRESH_SECONDS)
        )
        with forgettable():
            running = Allocation.objects.filter(cluster_id=cluster_id, pk__in=ids, state=A.ACTIVE)
            running.filter(Exists(sure)).update(proof_at=Now())


def _is_id(ref: str) -> bool:
    try:
        return str(UUID(ref)) == ref
    except ValueError:
        return False


class Watchers:
    """All clusters that this process follows."""

    def __init__(self) -> None:
        self.followers: dict[UUID, Follower] = {}
        self._renewed = 0.0
        self._rests: dict[UUID, tuple[int, float]] = {}  # what failed: how often, and until when it is left alone

    def step(self) -> None:
        """Begin with what nobody follows, renew what we do, let go of what is lost or retired."""
        close_old_connections()
        wanted = Cluster.objects.filter(state__in=_WATCHED, driver__in=settings.FEDERATION_WATCHED)
        clusters = {cluster.pk: cluster for cluster in wanted}
        is_due = time.monotonic() - self._renewed >= RENEW_SECONDS
        for pk, follower in list(self.followers.items()):
            if pk not in clusters or follower.stop.is_set() or (is_due and not follower.renew()):
                if follower.has_failed:
                    self._rest(pk)
                del self.followers[pk]
                follower.end()
            elif not follower.behind:
                self._rests.pop(pk, None)
        if is_due:
            self._renewed = time.monotonic()
        for pk, cluster in clusters.items():
            if pk not in self.followers and time.monotonic() >= self._rests.get(pk, (0, 0.0))[1]:
                self._begin(cluster)

    def _rest(self, pk: UUID) -> None:
        """To list a large cluster anew every second would be no help to it."""
        failures = min(self._rests.get(pk, (0, 0.0))[0] + 1, _ATTEMPTS)
        self._rests[pk] = (failures, time.monotonic() + min(0.5 * 2**failures, LONGEST_WAIT))

    def _begin(self, cluster: Cluster) -> None:
        token = ClusterWatch.objects.take(cluster.pk)
        if token is None:
            return
        try:
            driver = driver_for(cluster)
            if isinstance(driver, Watchable):
                self.followers[cluster.pk] = Follower(cluster.pk, token, driver.watch())
        except Exception as error:  # one cluster with a spoiled setting must not keep the others from being followed
            logger.warning("Cluster %s cannot be followed: %s", cluster.slug, error)
            self._rest(cluster.pk)
            ClusterWatch.objects.renew(cluster.pk, token, is_whole=False, message=str(error)[:1000])
            ClusterWatch.objects.give_back(cluster.pk, token)

    def end(self) -> None:
        for follower in self.followers.values():
            follower.stop.set()
        for follower in self.followers.values():
            follower.end()
        self.followers.clear()
