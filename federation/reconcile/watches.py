"""Sites that tell of changes by themselves, followed live: what changed is in the rows within moments.

A watch saves lists and waiting; it decides nothing that a list would not. Whatever it misses, the cluster's next look
finds. One process follows a cluster at a time, by a lease in the database; another takes over when it dies.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections, connection
from django.db.models.functions import Now

from federation.drivers.base import SiteChanges, Unavailable, Watch, Watchable
from federation.models import Allocation, Cluster, ClusterWatch
from federation.reconcile import inventory, workloads
from federation.registry import driver_for
from federation.states import AllocationState as A
from federation.states import ClusterState as C
from portal import hints
from portal.leases import forgettable

logger = logging.getLogger(__name__)
COALESCE_SECONDS = 0.05  # changes come in bursts: a pod that starts is five of them
PROOF_SECONDS = 10.0
RENEW_SECONDS = 5.0
_WATCHED = (C.PENDING, C.CONNECTED, C.DEGRADED, C.STALE, C.DISCONNECTED, C.DRAINING, C.MAINTENANCE)


class Follower:
    """One cluster, followed in threads of this process for as long as its lease is renewed."""

    def __init__(self, cluster_id: UUID, token: UUID, watch: Watch) -> None:
        self.cluster_id, self.token, self.watch = cluster_id, token, watch
        self.stop = threading.Event()
        self.changes = 0
        loops: list[Callable[[threading.Event], None]] = [*watch.loops(), self._apply_all]
        self.threads = [threading.Thread(target=self._run, args=(loop,), daemon=True) for loop in loops]
        for thread in self.threads:
            thread.start()

    def _run(self, loop: Callable[[threading.Event], None]) -> None:
        try:
            loop(self.stop)
        except Exception:
            logger.exception("Following cluster %s failed; it is begun anew", self.cluster_id)
            self.stop.set()
        finally:
            connection.close()

    def _apply_all(self, stop: threading.Event) -> None:
        proven = 0.0
        while not stop.is_set():
            if self.watch.wait(1.0):
                stop.wait(COALESCE_SECONDS)
                apply(self.cluster_id, changes := self.watch.changes())
                self.changes += len(changes.nodes) + len(changes.gone) + len(changes.refs)
            if time.monotonic() - proven >= PROOF_SECONDS and not self.watch.trouble():
                prove(self.cluster_id, self.watch.running())
                proven = time.monotonic()

    def renew(self) -> bool:
        trouble = self.watch.trouble()
        return not self.stop.is_set() and ClusterWatch.objects.renew(
            self.cluster_id, self.token, is_whole=not trouble, message=trouble[:1000], changes=self.changes
        )

    def end(self) -> None:
        """Stop the threads; those that wait for a silent server end with their process."""
        self.stop.set()
        ClusterWatch.objects.give_back(self.cluster_id, self.token)


def apply(cluster_id: UUID, changes: SiteChanges) -> None:
    """Into the rows, and wake whoever looks after what changed."""
    if changes.nodes or changes.gone or changes.is_complete:
        cluster = Cluster.objects.get(pk=cluster_id)
        nodes, complaints = inventory.believable(changes.nodes)
        if complaints:
            logger.warning("Cluster %s shows what cannot be: %s", cluster.slug, ", ".join(complaints[:5]))
        gone = None if changes.is_complete else {*changes.gone}
        if inventory.store(cluster, nodes, gone=gone):
            workloads.wake_pools()
    refs = [ref for ref in changes.refs if _is_id(ref)]
    if refs:
        live = Allocation.objects.holding().filter(cluster_id=cluster_id, pk__in=refs)
        for pk in live.values_list("pk", flat=True):
            hints.soon("federation.tasks.reconcile_allocation", pk)
        Allocation.objects.wake(refs)


def prove(cluster_id: UUID, refs: Sequence[str]) -> None:
    """Proof of life for what is seen running: bills rest on it while nobody asks about each piece of work."""
    ids = [ref for ref in refs if _is_id(ref)]
    if ids:
        with forgettable():
            Allocation.objects.filter(cluster_id=cluster_id, pk__in=ids, state=A.ACTIVE).update(proof_at=Now())


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

    def step(self) -> None:
        """Begin with what nobody follows, renew what we do, let go of what is lost or retired."""
        close_old_connections()
        wanted = Cluster.objects.filter(state__in=_WATCHED, driver__in=settings.FEDERATION_WATCHED)
        clusters = {cluster.pk: cluster for cluster in wanted}
        is_due = time.monotonic() - self._renewed >= RENEW_SECONDS
        for pk, follower in list(self.followers.items()):
            if pk not in clusters or follower.stop.is_set() or (is_due and not follower.renew()):
                del self.followers[pk]
                follower.end()
        if is_due:
            self._renewed = time.monotonic()
        for pk, cluster in clusters.items():
            if pk not in self.followers:
                self._begin(cluster)

    def _begin(self, cluster: Cluster) -> None:
        token = ClusterWatch.objects.take(cluster.pk)
        if token is None:
            return
        try:
            driver = driver_for(cluster)
            if isinstance(driver, Watchable):
                self.followers[cluster.pk] = Follower(cluster.pk, token, driver.watch())
        except Unavailable as error:
            ClusterWatch.objects.renew(cluster.pk, token, is_whole=False, message=str(error))
            ClusterWatch.objects.give_back(cluster.pk, token)

    def end(self) -> None:
        for follower in self.followers.values():
            follower.end()
        self.followers.clear()
