"""A real cluster followed live: what changes at the API server is in the rows moments later, whatever goes wrong.

Every wait here is for a change to arrive; leases and clocks are moved in their rows.
"""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.utils import timezone

from federation.drivers.kubernetes.mirror import KubernetesWatch
from federation.drivers.kubernetes.names import LABEL_MANAGED, LABEL_REF, MANAGED_BY
from federation.drivers.kubernetes.transport import Api, Endpoint
from federation.models import Accelerator, Allocation, Cluster, ClusterWatch, Node
from federation.reconcile import admission, inventory, watches
from federation.reconcile.watches import Follower, Watchers
from federation.states import NodeState
from portal import hints
from tests import factories
from tests.kube import api as hands
from tests.kube import fleet
from tests.kube.plane import ControlPlane
from tests.kube.test_inventory import driver_of

pytestmark = [
    pytest.mark.processes, pytest.mark.timeout(300), pytest.mark.django_db(transaction=True),
]  # fmt: skip
HOUR = timedelta(hours=1)
ZONE = "topology.kubernetes.io/zone"


def until(is_so: Callable[[], Any], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def watch_of(plane: ControlPlane) -> KubernetesWatch:
    return KubernetesWatch(Api(Endpoint(plane.url, ca_pem=plane.ca_pem, token=plane.admin_token)))


class Site:
    """A cluster's row, its real API server and who follows it."""

    def __init__(self, plane: ControlPlane, hand: hands.Api) -> None:
        self.plane, self.hand, self.prefix = plane, hand, f"f{uuid4().hex[:6]}-"
        self.cluster = factories.cluster()
        Accelerator.objects.filter(node__cluster=self.cluster).delete()  # the factory's own node
        Node.objects.filter(cluster=self.cluster).delete()
        Cluster.objects.filter(pk=self.cluster.pk).update(driver="kubernetes", last_seen_at=timezone.now())
        self.followers: list[Follower] = []

    def follow(self) -> Follower:
        token = ClusterWatch.objects.take(self.cluster.pk)
        assert token is not None
        self.followers.append(Follower(self.cluster.pk, token, watch_of(self.plane)))
        until(lambda: not self.followers[-1].behind, "the first picture")
        return self.followers[-1]

    def add(self, name: str, kind: str = "nvidia", **facts: Any) -> str:
        fleet.add(self.hand, kind, self.prefix + name, **facts)
        return self.prefix + name

    def node(self, name: str) -> Node | None:
        return Node.objects.filter(cluster=self.cluster, name=name).first()

    def is_in(self, name: str, state: str) -> bool:
        return Node.objects.filter(cluster=self.cluster, name=name, state=state).exists()

    def foreign(self, name: str) -> int:
        cards = Accelerator.objects.filter(node__cluster=self.cluster, node__name=name)
        return sum(cards.values_list("foreign_milli", flat=True))

    def close(self) -> None:
        for follower in self.followers:
            follower.end()
        names = [one["metadata"]["name"] for one in self.hand.items("/api/v1/nodes")]
        if mine := [name for name in names if name.startswith(self.prefix)]:
            fleet.remove(self.hand, *mine)
        for follower in self.followers:
            follower.threads[-1].join(10)


@pytest.fixture
def site(plane: ControlPlane) -> Iterator[Site]:
    with plane.api() as hand:
        made = Site(plane, hand)
        yield made
        made.close()


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Allocations that somebody was told to look at."""
    told: list[str] = []
    monkeypatch.setattr(hints, "send", lambda task, *args: told.append(args[0]) if "allocation" in task else None)
    return told


def test_a_node_comes_changes_is_cordoned_and_goes(site: Site) -> None:
    site.follow()
    name = site.add("one")
    until(lambda: site.is_in(name, NodeState.READY), "the new node")
    cards = Accelerator.objects.filter(node__cluster=site.cluster, node__name=name)
    assert cards.physical().count() == 8
    site.hand.patch(f"/api/v1/nodes/{name}", {"metadata": {"labels": {ZONE: "blue"}}})
    until(lambda: Node.objects.get(name=name).labels.get(ZONE) == "blue", "its label")
    site.hand.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})
    until(lambda: site.is_in(name, NodeState.NOT_READY), "cordoned")
    site.hand.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": None}})
    until(lambda: site.is_in(name, NodeState.READY), "open again")
    site.hand.delete(f"/api/v1/nodes/{name}")
    until(lambda: site.is_in(name, NodeState.GONE), "gone")
    assert not cards.physical().exists()


def test_what_others_run_counts_as_used_and_is_left_alone(site: Site) -> None:
    name = site.add("one")
    site.follow()
    pods = "/api/v1/namespaces/default/pods"
    made = site.hand.post(pods, fleet.pod(f"{site.prefix}pod", node=name, resources={"nvidia.com/gpu": 2}))
    until(lambda: site.foreign(name) == 2000, "two cards of somebody else")
    found = site.hand.get(f"{pods}/{site.prefix}pod")
    assert (found["metadata"]["uid"], found["spec"]) == (made["metadata"]["uid"], made["spec"])
    site.hand.delete(f"{pods}/{site.prefix}pod", gracePeriodSeconds=0)
    until(lambda: site.foreign(name) == 0, "free again")


def granted(site: Site, woken: list[str]) -> Allocation:
    """Something that we hold at this cluster, looked at a moment ago and not due for an hour."""
    pool, project = factories.pool(Cluster.objects.get(pk=site.cluster.pk)), factories.project()
    model = Accelerator.objects.filter(node__cluster=site.cluster).select_related("model__flavor")[0].model
    factories.quota(project, model.flavor.name)
    factories.workload(project, pool, image="i")
    admission.run(str(pool.pk))
    found = Allocation.objects.get(cluster=site.cluster)
    Allocation.objects.filter(pk=found.pk).update(next_check_at=timezone.now() + HOUR)
    woken.clear()
    return found


def job(ref: str) -> dict[str, Any]:
    labels = {LABEL_MANAGED: MANAGED_BY, LABEL_REF: ref}
    container = {"name": "main", "image": "localhost/busybox:1"}
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    return {"metadata": {"name": f"w-{ref}", "labels": labels}, "spec": {"suspend": True, "template": template}}


def test_our_work_changed_by_hand_wakes_who_looks_after_it(site: Site, woken: list[str]) -> None:
    name = site.add("one")
    site.follow()
    until(lambda: site.is_in(name, NodeState.READY), "the node")
    grant = granted(site, woken)
    ref = str(grant.pk)

    def is_woken() -> bool:
        return ref in woken and Allocation.objects.get(pk=ref).next_check_at < timezone.now() + HOUR / 2

    jobs = "/apis/batch/v1/namespaces/default/jobs"
    site.hand.post(jobs, job(ref))
    until(is_woken, "made")
    for step, what in (
        (lambda: site.hand.patch(f"{jobs}/w-{ref}", {"spec": {"parallelism": 0}}), "scaled"),
        (lambda: site.hand.patch(f"{jobs}/w-{ref}", {"metadata": {"annotations": {"by": "hand"}}}), "edited"),
        (lambda: site.hand.delete(f"{jobs}/w-{ref}", propagationPolicy="Background"), "deleted"),
    ):
        Allocation.objects.filter(pk=ref).update(next_check_at=timezone.now() + HOUR)
        woken.clear()
        step()
        until(is_woken, what)


def test_work_that_is_looked_at_just_now_is_woken_once_more(site: Site, woken: list[str]) -> None:
    """That look may have been before the change, and says when the next is due."""
    name = site.add("one")
    follower = site.follow()
    until(lambda: site.is_in(name, NodeState.READY), "the node")
    grant = granted(site, woken)
    token = Allocation.objects.claim(grant.pk)
    assert token is not None
    assert watches.wake(site.cluster.pk, [str(grant.pk)]) == [str(grant.pk)]
    assert woken == []
    follower._refs.add(str(grant.pk))
    Allocation.objects.settle(grant.pk, token, check_in=3600)
    until(lambda: str(grant.pk) in woken, "woken after the look")
    assert Allocation.objects.get(pk=grant.pk).next_check_at < timezone.now() + HOUR / 2


def test_changes_that_could_not_be_written_are_told_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    first = site.add("first")
    follower = site.follow()
    store, failures = inventory.store, []

    def fail(*args: Any, **more: Any) -> bool:
        failures.append(1)
        raise OperationalError("the database is away")

    monkeypatch.setattr(inventory, "store", fail)
    second = site.add("second")
    site.hand.delete(f"/api/v1/nodes/{first}")
    until(lambda: len(failures) >= 2, "two failures")
    assert follower.renew()
    assert "OperationalError" in ClusterWatch.objects.get(cluster=site.cluster).message
    monkeypatch.setattr(inventory, "store", store)
    until(lambda: site.is_in(second, NodeState.READY) and site.is_in(first, NodeState.GONE), "both changes")
    until(lambda: not follower.behind, "in step again")
    assert not follower.stop.is_set()


def test_who_lost_the_lease_writes_nothing(site: Site) -> None:
    name = site.add("one")
    follower = site.follow()
    until(lambda: site.is_in(name, NodeState.READY), "the node")
    ClusterWatch.objects.filter(cluster=site.cluster).update(token=uuid4())
    site.hand.patch(f"/api/v1/nodes/{name}", {"metadata": {"labels": {ZONE: "late"}}})
    until(follower.stop.is_set, "its end")
    assert Node.objects.get(name=name).labels[ZONE] == "test-a"
    assert not follower.renew()


def test_another_takes_over_when_one_dies(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    class Driver:
        def watch(self) -> KubernetesWatch:
            return watch_of(site.plane)

    monkeypatch.setattr(watches, "driver_for", lambda cluster: Driver())
    one, other = Watchers(), Watchers()
    one.step()
    dead = one.followers[site.cluster.pk]
    other.step()
    assert not other.followers
    until(lambda: not dead.behind, "the first picture")
    dead.stop.set()  # killed: nothing is given back
    lease = ClusterWatch.objects.get(cluster=site.cluster)
    assert lease.expires_at is not None and lease.expires_at <= timezone.now() + timedelta(seconds=20)
    other.step()
    assert not other.followers, "not before the lease has run out"
    ClusterWatch.objects.filter(cluster=site.cluster).update(expires_at=timezone.now())
    other.step()
    site.followers.append(other.followers[site.cluster.pk])
    name = site.add("one")
    until(lambda: site.is_in(name, NodeState.READY), "seen by the other")


def test_a_spoiled_cluster_does_not_keep_others_from_being_followed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled = factories.cluster()
    Cluster.objects.filter(pk=spoiled.pk).update(driver="kubernetes")

    class Driver:
        def watch(self) -> KubernetesWatch:
            return watch_of(site.plane)

    def driver_for(cluster: Cluster) -> Driver:
        if cluster.pk == spoiled.pk:
            raise ValueError("no such setting")
        return Driver()

    monkeypatch.setattr(watches, "driver_for", driver_for)
    watchers = Watchers()
    watchers.step()
    assert set(watchers.followers) == {site.cluster.pk}
    assert ClusterWatch.objects.get(cluster=spoiled).message == "no such setting"
    site.followers += watchers.followers.values()


def test_a_list_begun_before_a_change_does_not_undo_it(site: Site) -> None:
    name = site.add("one")
    site.follow()
    until(lambda: site.is_in(name, NodeState.READY), "the node")
    asked = Cluster.objects.get(pk=site.cluster.pk)
    old, _ = inventory.believable(driver_of(site.plane).inventory())
    site.hand.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})
    until(lambda: site.is_in(name, NodeState.NOT_READY), "cordoned")
    assert not inventory.store(asked, old)
    assert site.is_in(name, NodeState.NOT_READY)


def test_a_forgotten_place_and_a_restart_lose_nothing(make_plane: Callable[..., ControlPlane]) -> None:
    plane = make_plane(watch_cache=False, compaction_seconds=0)
    with plane.api() as hand:
        site = Site(plane, hand)
        kept, gone = site.add("kept"), site.add("gone")
        follower = site.follow()
        reflector = follower.watch.reflectors["nodes"]  # type: ignore[attr-defined]  # of Kubernetes' own watch
        lists = reflector.health.lists
        plane.stop_apiserver()
        plane.compact()
        reflector._place = "1"  # thrown away just now
        plane.start_apiserver()
        hand.close()  # its connection was to the one before
        hand.delete(f"/api/v1/nodes/{gone}")
        hand.patch(f"/api/v1/nodes/{kept}", {"metadata": {"labels": {ZONE: "blue"}}})
        until(lambda: site.is_in(gone, NodeState.GONE), "what went meanwhile", 60)
        until(lambda: Node.objects.get(name=kept).labels.get(ZONE) == "blue", "what changed meanwhile", 60)
        assert reflector.health.gone and reflector.health.lists > lists
        site.close()
