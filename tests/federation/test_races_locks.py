"""Locks are taken in one order everywhere (workload, quota, node, device), so nobody ends in a ring.

Each test holds a workload as a reconciler does that is about to release, lets another process begin the change
that touches the same node, and then goes on to the node itself.
"""

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction

from federation.actions import nodes
from federation.models import Accelerator, Allocation, Cluster, Node
from federation.reconcile import admission, inventory
from federation.reconcile import workloads as flow
from federation.states import AllocationState as A
from federation.states import NodeState
from portal import hints
from portal.audit import SYSTEM
from portal.transitions import move
from tests import factories
from tests.checker import books

pytestmark = pytest.mark.django_db(transaction=True)
_fork = multiprocessing.get_context("fork")


def drain(node: Node) -> None:
    nodes.drain(by=SYSTEM, node=node)


def gone(node: Node) -> None:
    """The next inventory does not show it."""
    inventory.store(Cluster.objects.get(pk=node.cluster_id), [factories.node_seen("two")])


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Allocation:
    """The first member of a gang of two on one node; the hub has seen it end."""
    monkeypatch.setattr(hints, "send", lambda *_: None)
    pool = factories.pool(factories.cluster(factories.node_seen("one"), factories.node_seen("two", devices=0)))
    project = factories.project()
    factories.quota(project)
    gang = factories.workload(project, pool, replicas=2)
    admission.run(str(pool.pk))
    first: Allocation = gang.allocations.get(replica=0)
    with transaction.atomic():
        flow.stop(first, by=SYSTEM, reason="Finished")
    return first


@pytest.mark.parametrize("change", [drain, gone])
def test_a_release_and_a_change_of_its_node_never_wait_for_each_other(
    stopping: Allocation, change: Callable[[Node], None]
) -> None:
    begin, failed = _fork.Event(), _fork.Event()

    def work() -> None:
        begin.wait(60)
        try:
            change(Node.objects.get(pk=stopping.node_id))
        except BaseException:
            failed.set()
            raise
        connections.close_all()

    connections.close_all()
    other = _fork.Process(target=work, daemon=True)
    other.start()
    with transaction.atomic():
        flow.lock(stopping.workload_id)
        begin.set()
        _until(lambda: _waiting() or not other.is_alive())
        move(stopping, A.RELEASED, by=SYSTEM, reason="Finished", next_check_at=None)
    other.join(60)
    assert not failed.is_set()
    assert other.exitcode == 0
    node = Node.objects.get(pk=stopping.node_id)
    assert node.state == (NodeState.DRAINING if change is drain else NodeState.GONE)
    assert node.held_cpu_milli == 1000, "the other member is held until its site has let go"
    assert books.held() == []


def test_an_inventory_locks_nodes_as_a_grant_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The site names its nodes in another order than ours; a gang is being granted on both of them."""
    monkeypatch.setattr(hints, "send", lambda *_: None)
    cluster = factories.cluster(factories.node_seen("one"), factories.node_seen("two"))
    first, last = Node.objects.order_by("pk")
    shown = [factories.node_seen(node.name, is_ready=False) for node in (last, first)]
    begin = _fork.Event()

    def work() -> None:
        begin.wait(60)
        assert inventory.store(Cluster.objects.get(pk=cluster.pk), shown)
        connections.close_all()

    connections.close_all()
    other = _fork.Process(target=work, daemon=True)
    other.start()
    with transaction.atomic():
        _take(first)
        begin.set()
        _until(lambda: _waiting() or not other.is_alive())
        _take(last)
    other.join(60)
    assert other.exitcode == 0
    assert set(Node.objects.values_list("state", "held_cpu_milli")) == {("not-ready", 1)}


def _take(node: Node) -> None:
    Node.objects.filter(pk=node.pk).update(held_cpu_milli=1)


def test_a_card_that_two_sites_show_at_the_same_moment_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "send", lambda *_: None)
    factories.cluster(factories.node_seen("other", devices=1))  # so that the model is known
    empty = factories.node_seen("one", devices=0)
    host, guest = factories.cluster(empty, kind="kvm"), factories.cluster(empty, kind="kubernetes")
    begin = _fork.Event()
    shown = [factories.node_seen("one", devices=1)]

    def work() -> None:
        begin.wait(60)
        assert inventory.store(Cluster.objects.get(pk=guest.pk), shown)
        connections.close_all()

    connections.close_all()
    other = _fork.Process(target=work, daemon=True)
    other.start()
    with transaction.atomic():
        assert inventory.store(Cluster.objects.get(pk=host.pk), shown)
        begin.set()
        _until(lambda: _waiting() or not other.is_alive())
    other.join(60)
    assert other.exitcode == 0
    (counted,) = Accelerator.objects.physical().exclude(node__name="other")
    assert counted.node.cluster_id == guest.pk
    assert Accelerator.objects.exclude(counted_at=None).get().counted_at == counted


def _waiting() -> bool:
    """Does another connection wait for a lock?"""
    with connection.cursor() as cursor:
        # Not pg_stat_activity, which a transaction sees as it was at first.
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        found: Any = cursor.fetchone()
    return bool(found[0])


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, "the other process neither waits nor ends"
        time.sleep(0.02)
