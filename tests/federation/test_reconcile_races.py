"""What may happen to a reconciler between its reading, its call to the site and its writing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from federation.actions import sites as site_actions
from federation.actions import workloads
from federation.drivers.base import Unavailable
from federation.drivers.fake import FakeDriver
from federation.drivers.fake_store import set_control
from federation.models import Allocation, Cluster, Node, Workload
from federation.reconcile import admission, allocations, clusters
from federation.registry import driver_for
from federation.states import AllocationState as A
from federation.states import ClusterState as C
from federation.states import WorkloadState as W
from portal import hints
from portal.audit import SYSTEM
from tests import factories
from tests.checker import books, sites
from tests.checker.meddler import Crash, Meddler

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
CALL = {A.RESERVED: "ensure", A.ACTIVE: "observe", A.STOPPING: "remove"}


@pytest.fixture
def work(meddler: type[Meddler]) -> Workload:
    """Granted on a simulated site, and reserved."""
    cluster = factories.cluster()
    pool, project = factories.pool(cluster), factories.project()
    factories.quota(project)
    made = factories.workload(project, pool)
    admission.run(str(pool.pk))
    return made


def only(work: Workload) -> Allocation:
    found: Allocation = work.allocations.order_by("-attempt").first()
    return found


def run(work: Workload) -> Allocation:
    allocations.run(str(only(work).pk))
    work.refresh_from_db()
    return only(work)


def bring_to(work: Workload, state: A) -> Allocation:
    if state != A.RESERVED:
        assert run(work).state == A.ACTIVE
    if state == A.STOPPING:
        workloads.cancel(by=SYSTEM, workload=work)
    found = only(work)
    assert found.state == state
    return found


def take_over(row: Allocation | Cluster) -> Callable[[], Any]:
    """The lease has run out meanwhile, and another worker has the row."""
    return lambda: (
        type(row).objects.filter(pk=row.pk).update(lease_token=uuid4(), lease_expires_at=timezone.now() + HOUR)
    )


def run_out(row: Allocation | Cluster) -> None:
    """Ninety seconds pass."""
    type(row).objects.filter(pk=row.pk).update(lease_expires_at=timezone.now() - HOUR)


def at_the_site(cluster: Cluster) -> list[str]:
    driver = driver_for(cluster)
    assert isinstance(driver, FakeDriver)
    return list(driver.refs())


def control(cluster: Cluster, **changes: Any) -> None:
    driver = driver_for(cluster)
    assert isinstance(driver, FakeDriver)
    set_control(driver.store, **changes)


def is_due(row: Allocation | Cluster) -> bool:
    """At once, or within the second or two that a hint is given."""
    soon = timezone.now() + timedelta(seconds=3)
    return type(row).objects.filter(pk=row.pk, next_check_at__lt=soon, lease_token=None).exists()


# -- an allocation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", CALL)
def test_a_busy_row_is_left_alone(work: Workload, state: A) -> None:
    row = bring_to(work, state)
    token = Allocation.objects.claim(row.pk)
    Meddler.forget()
    assert run(work).version == row.version
    assert Meddler.calls == []
    assert only(work).lease_token == token


@pytest.mark.parametrize("state", CALL)
def test_who_has_lost_the_lease_writes_nothing(work: Workload, state: A) -> None:
    row = bring_to(work, state)
    Meddler.after[CALL[state]] = take_over(row)
    after = run(work)
    assert Meddler.calls[-1] == CALL[state]
    assert (after.state, after.version, after.next_check_at) == (row.state, row.version, row.next_check_at)
    assert after.lease_token is not None
    run_out(row)
    assert run(work).lease_token is None, "once that lease has run out as well, it goes on"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("state", [A.RESERVED, A.ACTIVE])
def test_a_cancel_meanwhile_wins_and_is_acted_on_soon(work: Workload, state: A, when: str) -> None:
    bring_to(work, state)
    getattr(Meddler, when)[CALL[state]] = lambda: workloads.cancel(by=SYSTEM, workload=work)
    row = run(work)
    assert (row.state, work.state) == (A.STOPPING, W.CANCELLED)
    assert is_due(row), f"looked at only at {row.next_check_at}"
    assert run(work).state == A.RELEASED
    assert at_the_site(row.cluster) == []
    assert books.problems() + sites.billed() == []


def test_a_cancel_while_it_is_seen_to_end_is_not_undone(work: Workload) -> None:
    row = bring_to(work, A.ACTIVE)
    Meddler.before["observe"] = lambda: driver_for(row.cluster).remove(str(row.pk))  # absent when we look
    Meddler.after["observe"] = lambda: workloads.cancel(by=SYSTEM, workload=work)
    run(work)
    assert (work.state, work.attempt) == (W.CANCELLED, 1)


@pytest.mark.parametrize("state", CALL)
def test_a_crash_after_the_call_is_made_up_for(work: Workload, state: A) -> None:
    row = bring_to(work, state)
    Meddler.after[CALL[state]] = _crash
    with pytest.raises(Crash):
        run(work)
    assert run(work).state == state, "still leased to the dead"
    run_out(row)
    done = run(work)
    assert done.state == (A.RELEASED if state == A.STOPPING else A.ACTIVE)
    assert done.lease_token is None
    assert at_the_site(row.cluster) == ([] if state == A.STOPPING else [str(row.pk)])
    assert work.allocations.count() == 1


def _crash() -> None:
    raise Crash


@pytest.mark.parametrize("state", CALL)
def test_a_site_that_is_down_is_asked_again_ever_more_rarely(work: Workload, state: A) -> None:
    row = bring_to(work, state)
    control(row.cluster, down=True)
    gaps = []
    for attempt in range(1, 12):
        down = run(work)
        assert (down.state, down.reason, down.attempts) == (state, "SiteUnavailable", attempt)
        assert down.next_check_at is not None
        gaps.append((down.next_check_at - timezone.now()).total_seconds())
    assert gaps[0] == pytest.approx(2.2, abs=1.0)
    assert gaps[:9] == sorted(gaps[:9])
    assert all(600 <= round(gap) <= 720 for gap in gaps[9:]), "and never more rarely than that"
    assert down.is_stuck
    control(row.cluster, down=None)
    back = run(work)
    assert back.state == (A.RELEASED if state == A.STOPPING else A.ACTIVE)
    assert back.attempts == 0


@pytest.mark.parametrize("state", [A.RESERVED, A.STOPPING])
def test_a_lost_answer_is_asked_for_again(work: Workload, state: A) -> None:
    """The site did it, and the connection broke before it said so."""
    row = bring_to(work, state)
    control(row.cluster, lost_answer_rate=1.0)
    assert run(work).reason == "SiteUnavailable"
    assert at_the_site(row.cluster) == ([] if state == A.STOPPING else [str(row.pk)]), "it was done"
    control(row.cluster, lost_answer_rate=None)
    done = run(work)
    assert done.state == (A.RELEASED if state == A.STOPPING else A.ACTIVE)
    assert len(at_the_site(row.cluster)) == (0 if state == A.STOPPING else 1)
    assert books.problems() + sites.billed() == []


def test_work_that_sites_refuse_is_tried_five_times_and_fails_with_their_reason(work: Workload) -> None:
    control(only(work).cluster, reject_rate=1.0)
    for attempt in range(1, 6):
        assert work.attempt == attempt
        row = run(work)
        assert (row.state, row.reason) == (A.STOPPING, "AdmissionDenied")
        assert run(work).state == A.RELEASED
        admission.run(str(work.pool_id))
    work.refresh_from_db()
    assert (work.state, work.reason, work.attempt) == (W.FAILED, "AdmissionDenied", 5)
    assert books.problems() + sites.billed() == []


# -- a cluster -------------------------------------------------------------------------------------


@pytest.fixture
def cluster(meddler: type[Meddler]) -> Cluster:
    return factories.cluster(factories.node_seen("one"))


def look(cluster: Cluster, *, with_inventory: bool = False) -> Cluster:
    if with_inventory:
        Cluster.objects.filter(pk=cluster.pk).update(inventory_at=timezone.now() - HOUR)
    clusters.run(str(cluster.pk))
    cluster.refresh_from_db()
    return cluster


def test_a_busy_cluster_is_left_alone(cluster: Cluster) -> None:
    token = Cluster.objects.claim(cluster.pk)
    assert look(cluster).lease_token == token
    assert Meddler.calls == []


def test_a_look_that_lost_its_lease_changes_nothing(cluster: Cluster) -> None:
    control(cluster, missing_nodes=["one"])
    Meddler.after["usage"] = take_over(cluster)
    look(cluster, with_inventory=True)
    assert Meddler.calls == ["check", "inventory", "refs", "usage"]
    assert cluster.last_seen_at is None
    assert Node.objects.get().state == "ready"


def test_an_older_inventory_is_not_put_over_a_newer(cluster: Cluster) -> None:
    """This look has its answer; before it writes, another look finds the node gone and writes that."""

    def newer_look() -> None:
        run_out(cluster)
        control(cluster, missing_nodes=["one"])
        clusters.run(str(cluster.pk))
        # The lease comes back to the slow one by chance: only the generation tells it that it is late.
        Cluster.objects.filter(pk=cluster.pk).update(**mine)

    mine: dict[str, Any] = {}

    def remember() -> None:
        row = Cluster.objects.get(pk=cluster.pk)
        mine.update(lease_token=row.lease_token, lease_expires_at=timezone.now() + HOUR)

    Meddler.before["check"] = remember
    Meddler.after["usage"] = newer_look
    Cluster.objects.filter(pk=cluster.pk).update(inventory_at=None)
    look(cluster)
    assert Node.objects.get().state == "gone"


def test_a_pause_meanwhile_stays(cluster: Cluster) -> None:
    Meddler.after["check"] = lambda: site_actions.pause(by=SYSTEM, cluster=Cluster.objects.get(pk=cluster.pk))
    look(cluster)
    assert cluster.state == C.MAINTENANCE
    assert is_due(cluster)


@pytest.mark.parametrize("call", ["check", "inventory", "refs", "usage"])
def test_a_crash_in_a_look_is_made_up_for(cluster: Cluster, call: str) -> None:
    control(cluster, missing_nodes=["one"])
    Meddler.after[call] = _crash
    with pytest.raises(Crash):
        look(cluster, with_inventory=True)
    run_out(cluster)
    look(cluster, with_inventory=True)
    assert Node.objects.get().state == "gone"
    assert cluster.lease_token is None


def test_a_silent_site_is_stale_then_disconnected_and_comes_back_by_itself(cluster: Cluster) -> None:
    look(cluster)
    control(cluster, down=True)
    assert look(cluster).state == C.CONNECTED, "a moment of silence is nothing"
    for seconds, state in ((41, C.STALE), (299, C.STALE), (301, C.DISCONNECTED)):
        Cluster.objects.filter(pk=cluster.pk).update(last_seen_at=timezone.now() - timedelta(seconds=seconds))
        assert look(cluster).state == state
        assert cluster.lease_token is None
    assert cluster.attempts > 1
    control(cluster, down=None)
    assert look(cluster).state == C.CONNECTED
    assert cluster.attempts == 0


def test_a_site_that_refuses_to_talk_is_told_apart(cluster: Cluster) -> None:
    control(cluster, time_scale=0)
    assert look(cluster).reason == "Unavailable"
    assert "time_scale" in cluster.message
    assert cluster.lease_token is None


# -- both ------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_a_site_is_asked(work: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow site must not keep a lock, nor a snapshot, in the database."""
    monkeypatch.setattr(hints, "send", lambda *_: None)
    open_at = []
    for call in ("check", "inventory", "refs", "observe_many", "usage", "ensure", "observe", "remove"):
        Meddler.before[call] = lambda call=call: open_at.append((call, connection.in_atomic_block))
    bring_to(work, A.ACTIVE)
    run(work)
    look(only(work).cluster, with_inventory=True)
    workloads.cancel(by=SYSTEM, workload=work)
    run(work)
    assert len(open_at) == 8
    assert not any(is_open for _, is_open in open_at), open_at


def test_a_site_that_says_when_to_come_back_is_not_asked_sooner(work: Workload) -> None:
    def wait() -> None:
        raise Unavailable("Too many requests.", retry_after=90.0)

    Meddler.before["ensure"] = wait
    row = run(work)
    assert row.reason == "SiteUnavailable" and row.next_check_at is not None
    assert (row.next_check_at - timezone.now()).total_seconds() == pytest.approx(90, abs=5)


def test_work_on_a_node_that_is_there_and_silent_is_lost_after_five_minutes_and_found_again(work: Workload) -> None:
    """A cordoned node goes on working; a silent one is told by its work."""
    row = bring_to(work, A.ACTIVE)
    control(row.cluster, missing_nodes=[row.node.name])
    assert run(work).state == A.ACTIVE, "not at once"
    Allocation.objects.filter(pk=row.pk).update(proof_at=timezone.now() - timedelta(seconds=301))
    lost = run(work)
    assert lost.state == A.LOST and lost.ended_at == lost.proof_at
    control(row.cluster, missing_nodes=None)
    back = run(work)
    assert (back.state, back.reason) == (A.ACTIVE, "Adopted")
    assert books.problems() == []
