"""Sites and nodes that fall silent and come back: work moves once it may, and never counts twice."""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from federation.actions import nodes as node_actions
from federation.actions import workloads as workload_actions
from federation.drivers.base import Rejected, WorkloadSpec
from federation.drivers.fake import FakeDriver
from federation.drivers.fake_store import set_control
from federation.models import Allocation, Cluster, Node, Pool
from federation.reconcile import admission, allocations, clusters
from federation.reconcile import workloads as flow
from federation.reconcile.specs import spec_of
from federation.registry import driver_for
from federation.states import AllocationState as A
from federation.states import ClusterState as C
from federation.states import WorkloadState as W
from portal.audit import SYSTEM
from tests import factories
from tests.checker import books, sites
from tests.checker.meddler import Crash, Meddler

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


class World:
    """Two sites of one device each, and work that runs at the first."""

    def __init__(self, **spec: Any) -> None:
        self.here = factories.cluster(factories.node_seen("here", devices=1))
        self.pool = factories.pool(self.here)
        self.project = factories.project()
        factories.quota(self.project)
        self.work = factories.workload(self.project, self.pool, **spec)
        self.admit()
        self.old = self.only()
        self.there = factories.cluster(factories.node_seen("there", devices=1))
        Pool.objects.get(pk=self.pool.pk).clusters.add(self.there)

    def only(self) -> Allocation:
        found: Allocation = self.work.allocations.order_by("-attempt").first()
        return found

    def admit(self) -> None:
        admission.run(str(self.pool.pk))
        self.work.refresh_from_db()

    def step(self, allocation: Allocation) -> Allocation:
        allocations.run(str(allocation.pk))
        self.work.refresh_from_db()
        return Allocation.objects.get(pk=allocation.pk)

    def runs(self) -> "World":
        assert self.step(self.old).state == A.ACTIVE
        return self

    def site(self, cluster: Cluster | None = None) -> FakeDriver:
        driver = driver_for(Cluster.objects.get(pk=(cluster or self.here).pk))
        assert isinstance(driver, FakeDriver)
        return driver

    def control(self, **changes: Any) -> None:
        set_control(self.site().store, **changes)

    def look(self) -> Cluster:
        clusters.run(str(self.here.pk))
        self.work.refresh_from_db()
        return Cluster.objects.get(pk=self.here.pk)

    def silent_beyond_policy(self) -> Cluster:
        """Nothing is heard of the site for an hour."""
        self.control(down=True)
        self.look()
        Cluster.objects.filter(pk=self.here.pk).update(last_seen_at=timezone.now() - HOUR)
        self.look()
        return self.look()

    def inventory(self) -> None:
        Cluster.objects.filter(pk=self.here.pk).update(inventory_at=None)
        self.look()

    def check(self) -> None:
        assert books.problems() == []
        assert sites.billed() == []


def test_a_site_silent_beyond_policy_is_fenced_and_its_work_moves() -> None:
    world = World().runs()
    proof = world.only().proof_at
    cluster = world.silent_beyond_policy()
    assert (cluster.state, cluster.epoch) == (C.DISCONNECTED, 2)
    lost = world.only()
    assert (lost.state, lost.ended_at, lost.proof_at) == (A.LOST, proof, proof), "billed to the last proof of life"
    assert (world.work.state, world.work.reason, world.work.attempt) == (W.QUEUED, "SiteLost", 2)
    world.admit()
    new = world.step(world.only())
    assert (new.state, new.node.name, world.work.state) == (A.ACTIVE, "there", W.RUNNING)
    world.check()

    Allocation.objects.update(next_check_at=timezone.now() + HOUR)
    world.control(down=None)  # both copies run now; the first is stopped before anything else happens to it
    assert world.look().state == C.CONNECTED
    assert Allocation.objects.due().get() == lost, "it is looked at before the next sweep is over"
    assert world.site().store.look(()).epoch == 2, "the site now refuses what is of the old epoch"
    assert world.step(lost).state == A.STOPPING
    assert world.step(lost).state == A.RELEASED
    assert list(world.site().refs()) == []
    assert (world.work.state, world.only()) == (W.RUNNING, new)
    assert Allocation.objects.get(pk=lost.pk).ended_at == proof, "what it ran in the dark is nobody's bill"
    world.check()
    assert sites.problems() == []


def test_a_silence_within_policy_moves_nothing() -> None:
    world = World().runs()
    world.control(down=True)
    world.look()
    for seconds in (100, 400, 899):
        Cluster.objects.filter(pk=world.here.pk).update(last_seen_at=timezone.now() - timedelta(seconds=seconds))
        assert world.look().epoch == 1
    assert world.only().state == A.ACTIVE
    world.control(down=None)
    world.look()
    assert world.step(world.old).state == A.ACTIVE
    world.check()


def test_a_crash_between_fence_and_move_is_made_up_for(meddler: type[Meddler], monkeypatch: Any) -> None:
    world = World().runs()
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(flow, "give_up_on", _crash)
        world.silent_beyond_policy()
    assert world.work.state == W.RUNNING
    world.look()
    assert world.only().state == A.LOST
    assert world.work.state == W.QUEUED
    world.check()


def _crash(*_: Any, **__: Any) -> None:
    raise Crash


def test_a_site_that_returns_before_its_work_found_a_place_starts_it_anew_only_after_the_old_has_gone() -> None:
    world = World().runs()
    Node.objects.filter(name="there").update(state="draining")
    world.silent_beyond_policy()
    world.admit()
    assert world.work.state == W.QUEUED
    world.control(down=None, stop_seconds=3600)
    world.look()
    assert world.step(world.old).state == A.STOPPING
    Node.objects.filter(name="there").update(state="ready")
    world.admit()
    assert world.work.state == W.QUEUED, "the old copy may still run"
    time_passes_at_the_site(world, gone_at=1.0)
    assert world.step(world.old).state == A.RELEASED
    world.admit()
    assert world.step(world.only()).state == A.ACTIVE
    world.check()


def time_passes_at_the_site(world: World, **course: float) -> None:
    """What was to happen at these moments has happened."""
    with world.site().store.turn() as turn:
        found = turn.get(str(world.old.pk))
        assert found is not None
        turn.put(replace(found, **course))


def test_a_frozen_worker_that_wakes_after_the_fence_starts_nothing() -> None:
    """It read the grant, froze, and sends it when the site is back under a new epoch."""
    world = World()
    late = spec_of(world.old)
    world.silent_beyond_policy()
    world.admit()
    world.step(world.only())
    world.control(down=None)
    world.look()
    with pytest.raises(Rejected) as caught:
        world.site().ensure(late)
    assert caught.value.reason == "OldGeneration"
    assert world.step(world.old).state == A.STOPPING
    assert world.step(world.old).state == A.RELEASED
    assert world.work.state == W.RUNNING
    world.check()


def test_a_frozen_worker_that_wakes_after_a_cancel_starts_nothing() -> None:
    world = World()
    late = spec_of(world.old)
    flow.stop_allocations(flow.lock(world.work.pk), by=factories.user(), reason="CancelledByUser")
    assert world.step(world.old).state == A.RELEASED
    with pytest.raises(Rejected) as caught:
        world.site().ensure(late)
    assert caught.value.reason == "OldGeneration"
    assert list(world.site().refs()) == []


def test_work_that_was_leaving_a_site_when_it_fell_silent_moves_as_well() -> None:
    """Drained, so it waits for its old hardware to be let go; then nobody can be asked any more."""
    world = World().runs()
    world.control(stop_seconds=3600)
    node_actions.drain(by=SYSTEM, node=world.old.node)
    ended = world.step(world.old).ended_at
    world.admit()
    assert (world.only().state, world.work.state) == (A.STOPPING, W.QUEUED)
    world.silent_beyond_policy()
    world.admit()
    assert world.step(world.only()).node.name == "there"
    lost = Allocation.objects.get(pk=world.old.pk)
    assert (lost.state, lost.ended_at) == (A.LOST, ended)
    world.check()
    world.control(down=None, stop_seconds=0)
    time_passes_at_the_site(world, gone_at=1.0)
    world.look()
    world.step(world.old)
    assert world.step(world.old).state == A.RELEASED
    assert (world.work.state, world.work.attempt) == (W.RUNNING, 2)
    world.check()


def test_cancelled_work_at_a_silent_site_goes_on_holding_its_hardware() -> None:
    world = World().runs()
    world.control(stop_seconds=3600)
    workload_actions.cancel(by=SYSTEM, workload=world.work)
    world.step(world.old)
    assert world.silent_beyond_policy().epoch == 1
    assert world.only().state == A.STOPPING
    world.check()


# -- a node ----------------------------------------------------------------------------------------


def test_a_node_gone_and_back_keeps_its_work() -> None:
    world = World().runs()
    world.look()
    world.control(missing_nodes=["here"])
    world.inventory()
    lost = world.only()
    proof = lost.proof_at
    assert (lost.state, lost.ended_at, lost.node.state) == (A.LOST, proof, "gone")
    assert (world.work.state, world.work.reason) == (W.RUNNING, "SiteLost")
    world.look()
    assert world.step(lost).state == A.LOST, "not to be seen is not gone"
    assert world.only().ended_at == proof
    world.check()  # the bill ends at the last proof

    Allocation.objects.update(next_check_at=timezone.now() + HOUR)
    world.control(missing_nodes=None)
    world.inventory()
    assert Allocation.objects.due().get() == lost
    back = world.step(lost)
    assert (back.state, back.reason, back.ended_at) == (A.ACTIVE, "Adopted", None)
    assert (world.work.state, world.work.attempt, world.work.allocations.count()) == (W.RUNNING, 1, 1)
    world.check()  # one unbroken interval: its own clock proves that it ran on


def test_a_node_that_returns_under_a_newer_epoch_has_its_old_work_stopped() -> None:
    """Meanwhile its whole site was given up for other work: nothing of before the fence is adopted."""
    world = World().runs()
    world.control(missing_nodes=["here"])
    world.inventory()
    Cluster.objects.filter(pk=world.here.pk).update(epoch=2)
    world.control(missing_nodes=None)
    world.inventory()
    assert world.step(world.old).state == A.STOPPING
    assert world.step(world.old).state == A.RELEASED
    assert world.work.state == W.QUEUED
    world.check()


def test_a_look_at_the_work_before_the_inventory_knows_changes_nothing() -> None:
    """The node has just gone; whoever looks first must not take its work for broken."""
    world = World().runs()
    world.control(missing_nodes=["here"])
    assert world.step(world.old).state == A.ACTIVE
    world.inventory()
    assert world.only().state == A.LOST


def test_a_node_gone_for_good_gives_up_its_work_and_takes_nothing_back() -> None:
    world = World().runs()
    world.control(missing_nodes=["here"])
    world.inventory()
    flow.sweep()
    world.work.refresh_from_db()
    assert world.work.state == W.RUNNING, "not before its time"
    Allocation.objects.filter(pk=world.old.pk).update(state_since=timezone.now() - HOUR)
    flow.sweep()
    world.admit()
    assert world.step(world.only()).node.name == "there"
    assert world.work.state == W.RUNNING
    world.check()
    world.control(missing_nodes=None)
    world.inventory()
    assert world.step(world.old).state == A.STOPPING
    assert world.step(world.old).state == A.RELEASED
    assert (world.work.state, world.work.attempt) == (W.RUNNING, 2)
    world.check()
    assert sites.problems() == []


def test_work_that_ended_while_its_node_was_away_has_its_result() -> None:
    world = World(run_seconds=3600).runs()
    world.control(missing_nodes=["here"])
    world.inventory()
    assert world.only().state == A.LOST
    time_passes_at_the_site(world, ends_at=time.time())
    world.control(missing_nodes=None)
    world.inventory()
    world.step(world.old)
    assert (world.work.state, world.work.exit_code) == (W.SUCCEEDED, 0)
    world.check()


# -- what nobody remembers -------------------------------------------------------------------------


def test_what_no_grant_holds_is_removed_at_the_site() -> None:
    world = World().runs()
    orphan = str(uuid4())
    spec = spec_of(Allocation.objects.get(pk=world.old.pk))
    world.site(world.there).ensure(_spec(spec, orphan, world.there))
    assert orphan in world.site(world.there).refs()
    Cluster.objects.filter(pk=world.there.pk).update(inventory_at=None)
    clusters.run(str(world.there.pk))
    assert list(world.site(world.there).refs()) == []
    assert list(world.site().refs()) == [str(world.old.pk)]


@pytest.mark.parametrize("state", [A.RESERVED, A.STARTING, A.ACTIVE, A.STOPPING, A.LOST])
def test_what_a_grant_holds_is_never_taken_for_left_over(state: A) -> None:
    world = World().runs()
    Allocation.objects.filter(pk=world.old.pk).update(state=state)
    world.inventory()
    assert list(world.site().refs()) == [str(world.old.pk)]


@pytest.mark.parametrize("moment", ["refs", "usage"])
def test_a_grant_made_during_the_look_is_not_taken_for_left_over(meddler: type[Meddler], moment: str) -> None:
    """The site was asked, then the work was granted and started, then the look compares."""
    world = World()
    meddler.before[moment] = lambda: allocations.run(str(world.old.pk))
    world.inventory()
    assert list(world.site().refs()) == [str(world.old.pk)]
    assert world.only().state == A.ACTIVE


def test_names_that_are_not_ours_are_left_alone(meddler: type[Meddler]) -> None:
    """Somebody put our label on an object of his own."""
    world = World().runs()
    spec = spec_of(Allocation.objects.get(pk=world.old.pk))
    world.site(world.there).ensure(_spec(spec, "by-hand", world.there))
    Cluster.objects.filter(pk=world.there.pk).update(inventory_at=None)
    clusters.run(str(world.there.pk))
    assert list(world.site(world.there).refs()) == ["by-hand"]
    assert "usage" in meddler.calls
    assert Cluster.objects.get(pk=world.there.pk).figures_at is not None, "the look went on to its end"


def _spec(like: WorkloadSpec, ref: str, cluster: Cluster) -> WorkloadSpec:
    node = Node.objects.get(cluster=cluster)
    device = node.accelerators.get()
    grant = like.devices[0]
    return type(like)(
        ref=ref, epoch=1, generation=1, name="orphan", tenant=like.tenant, project=like.project, kind=like.kind,
        node=node.name, cpu_milli=100, memory_mib=100,
        devices=(type(grant)(device.index, device.uuid, 1000, 1),),
    )  # fmt: skip
