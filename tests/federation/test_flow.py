"""From the queue to released, step by step, on a simulated site: each test is one story."""

import pytest

from federation.actions import nodes, sites, workloads
from federation.drivers.base import Observation, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.fake import FakeDriver
from federation.models import Accelerator, Allocation, Cluster, Node, Pool, Site, Workload
from federation.reconcile import admission, allocations, clusters
from federation.registry import driver_for
from federation.states import AllocationState as A
from federation.states import ClusterState, NodeState
from federation.states import WorkloadState as W
from portal.audit import SYSTEM
from portal.models import Quota, StateChange
from portal.permissions import Scope
from tests import factories

pytestmark = pytest.mark.django_db


def admit(pool: Pool) -> None:
    admission.run(str(pool.pk))


def step(workload: Workload, times: int = 1) -> Allocation:
    """Reconcile the latest allocation of a workload a few times."""
    found = workload.allocations.order_by("-attempt", "replica").first()
    assert found is not None
    for _ in range(times):
        allocations.run(str(found.pk))
    found.refresh_from_db()
    workload.refresh_from_db()
    return found


@pytest.fixture
def place() -> tuple[Workload, Cluster, Pool]:
    cluster = factories.cluster()
    pool = factories.pool(cluster)
    project = factories.project()
    factories.quota(project)
    return factories.workload(project, pool), cluster, pool


def test_work_runs_to_its_end_and_gives_everything_back(place: tuple[Workload, Cluster, Pool]) -> None:
    workload, _, pool = place
    Workload.objects.filter(pk=workload.pk).update(run_seconds=0)
    admit(pool)
    workload.refresh_from_db()
    assert (workload.state, workload.reason) == (W.ADMITTED, "Admitted")
    held = Accelerator.objects.get(held_milli=1000)
    assert step(workload).state == A.STOPPING, "accepted, seen running and ended within one look"
    assert (workload.state, workload.exit_code) == (W.SUCCEEDED, 0)
    assert step(workload, 2).state == A.RELEASED
    held.refresh_from_db()
    assert held.held_milli == 0
    assert Quota.objects.get().held_milli == 0
    assert Node.objects.get().held_cpu_milli == 0
    path = [c.to_state for c in StateChange.objects.filter(object_type="allocation").order_by("id")]
    assert path == ["starting", "active", "stopping", "released"]


def test_cancel_holds_the_hardware_until_the_site_has_let_go(place: tuple[Workload, Cluster, Pool]) -> None:
    workload, cluster, pool = place
    Cluster.objects.filter(pk=cluster.pk).update(settings={**cluster.settings, "stop_seconds": 3600})
    admit(pool)
    assert step(workload, 2).state == A.ACTIVE
    assert workload.state == W.RUNNING
    workloads.cancel(by=SYSTEM, workload=workload)
    held = step(workload, 3)
    assert (workload.state, held.state) == (W.CANCELLED, A.STOPPING)
    assert held.ended_at is not None, "the bill stops with the wish"
    assert Accelerator.objects.filter(held_milli=1000).count() == 1


def test_without_quota_it_waits_and_says_so(place: tuple[Workload, Cluster, Pool]) -> None:
    workload, _, pool = place
    Quota.objects.update(nominal_milli=0)
    admit(pool)
    workload.refresh_from_db()
    assert workload.state == W.QUEUED
    assert workload.reason == "QuotaExhausted"
    assert workload.message
    Quota.objects.update(nominal_milli=1000)
    admit(pool)
    workload.refresh_from_db()
    assert workload.state == W.ADMITTED


def test_a_drained_node_sends_its_work_elsewhere_only_after_release() -> None:
    first, second = factories.node_seen("one", devices=1), factories.node_seen("two", devices=1)
    cluster = factories.cluster(first, second)
    pool, project = factories.pool(cluster), factories.project()
    factories.quota(project)
    workload = factories.workload(project, pool)
    admit(pool)
    old = step(workload, 2)
    nodes.drain(by=SYSTEM, node=old.node)
    admit(pool)
    workload.refresh_from_db()
    assert (workload.state, workload.attempt) == (W.QUEUED, 2), "not placed while the first copy may still run"
    allocations.run(str(old.pk))
    allocations.run(str(old.pk))
    old.refresh_from_db()
    assert old.state == A.RELEASED
    assert Node.objects.get(pk=old.node_id).state == NodeState.DRAINED
    admit(pool)
    new = step(workload, 2)
    assert new.node_id != old.node_id
    assert workload.state == W.RUNNING


def test_a_paused_cluster_takes_no_new_work(place: tuple[Workload, Cluster, Pool]) -> None:
    workload, cluster, pool = place
    sites.pause(by=SYSTEM, cluster=cluster)
    admit(pool)
    workload.refresh_from_db()
    assert (workload.state, workload.reason) == (W.QUEUED, "NoOpenNodes")
    sites.resume(by=SYSTEM, cluster=Cluster.objects.get(pk=cluster.pk))
    clusters.run(str(cluster.pk))
    assert Cluster.objects.get(pk=cluster.pk).state == ClusterState.CONNECTED
    admit(pool)
    workload.refresh_from_db()
    assert workload.state == W.ADMITTED


def test_work_removed_by_hand_at_the_site_is_queued_again(place: tuple[Workload, Cluster, Pool]) -> None:
    workload, cluster, pool = place
    admit(pool)
    old = step(workload, 2)
    driver = driver_for(cluster)
    assert isinstance(driver, FakeDriver)
    driver.remove(str(old.pk))
    driver.remove(str(old.pk))
    assert step(workload).state == A.STOPPING
    assert (workload.state, workload.reason) == (W.QUEUED, "VanishedAtSite")


def test_a_gang_is_all_or_nothing() -> None:
    cluster = factories.cluster(factories.node_seen("one", devices=2))
    pool, project = factories.pool(cluster), factories.project()
    factories.quota(project)
    gang = factories.workload(project, pool, replicas=3)
    admit(pool)
    gang.refresh_from_db()
    assert gang.state == W.QUEUED
    assert not Accelerator.objects.filter(held_milli__gt=0).exists()
    smaller = factories.workload(project, pool, replicas=2)
    admit(pool)
    assert smaller.allocations.count() == 2


def test_a_tenant_sees_hardware_only_while_it_holds_it(place: tuple[Workload, Cluster, Pool]) -> None:
    workload, _, pool = place
    Workload.objects.filter(pk=workload.pk).update(run_seconds=0)
    scope = Scope(False, frozenset({workload.tenant_id}), frozenset())
    models = (Accelerator, Node, Cluster, Site)
    assert not any(model.objects.in_scope(scope).exists() for model in models)
    admit(pool)
    assert [model.objects.in_scope(scope).count() for model in models] == [1, 1, 1, 1]
    step(workload, 3)
    assert not any(model.objects.in_scope(scope).exists() for model in models)


def test_what_a_site_does_before_it_takes_work_on_is_shown(
    place: tuple[Workload, Cluster, Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    workload, _, pool = place
    admit(pool)

    def fetching(driver: FakeDriver, spec: WorkloadSpec) -> Observation:
        return Observation(spec.ref, O.PENDING, reason="ImagePulling", message="3 of 9 MiB are here.")

    with monkeypatch.context() as patch:
        patch.setattr(FakeDriver, "ensure", fetching)
        found = step(workload, 2)
        assert (found.state, found.reason, found.message) == (A.RESERVED, "ImagePulling", "3 of 9 MiB are here.")
        patch.setattr(FakeDriver, "ensure", lambda driver, spec: Observation(spec.ref, O.PENDING))
        assert step(workload).reason == "WaitingForSite"
    assert step(workload, 2).state in (A.STARTING, A.ACTIVE)
