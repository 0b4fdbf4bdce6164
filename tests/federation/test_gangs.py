"""The members of a gang begin together: each is held at its site until all of them are accepted."""

from datetime import timedelta

import pytest
from django.utils import timezone

from federation.drivers.base import Observation, Unavailable, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.fake import FakeDriver
from federation.models import Allocation, Cluster, Workload
from federation.reconcile import admission, allocations
from federation.reconcile.specs import spec_of
from federation.registry import driver_for
from federation.states import AllocationState as A
from federation.states import WorkloadState as W
from portal import hints
from tests import factories
from tests.checker import books, sites

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(hints, "soon", lambda task, pk: told.append(str(pk)))
    return told


@pytest.fixture
def gang(sent: list[str]) -> Workload:
    """Three members on three nodes of two sites, reserved."""
    nodes = [factories.node_seen(name, devices=1) for name in ("one", "two", "three")]
    pool = factories.pool(factories.cluster(*nodes[:2]), factories.cluster(nodes[2]))
    project = factories.project()
    factories.quota(project)
    made = factories.workload(project, pool, replicas=3, topology="any")
    admission.run(str(pool.pk))
    return made


def members(gang: Workload) -> list[Allocation]:
    return list(gang.allocations.order_by("attempt", "replica"))


def states(gang: Workload) -> list[str]:
    return [member.state for member in members(gang)]


def seen(member: Allocation) -> O:
    return driver_for(Cluster.objects.get(pk=member.cluster_id)).observe(str(member.pk)).state


def test_nobody_runs_until_the_last_is_accepted_and_then_all_are_told_at_once(gang: Workload, sent: list[str]) -> None:
    first, second, third = members(gang)
    for member in (first, second, first, second):
        allocations.run(str(member.pk))
    assert states(gang) == [A.STARTING, A.STARTING, A.RESERVED]
    assert [seen(first), seen(second)] == [O.STARTING, O.STARTING], "their sites have them and hold them"
    gang.refresh_from_db()
    assert (gang.state, gang.reason) == (W.ADMITTED, "WaitingForSite")
    sent.clear()
    allocations.run(str(third.pk))
    assert set(sent) >= {str(member.pk) for member in members(gang)}
    assert not Allocation.objects.filter(workload=gang, next_check_at__gt=timezone.now() + timedelta(seconds=1))
    for member in members(gang):
        allocations.run(str(member.pk))
    assert states(gang) == [A.ACTIVE] * 3
    gang.refresh_from_db()
    assert gang.state == W.RUNNING
    assert books.problems() + sites.billed() == []


def test_a_gang_of_which_a_member_is_refused_never_ran(gang: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = members(gang)
    for member in (first, second):
        allocations.run(str(member.pk))
    Cluster.objects.filter(pk=third.cluster_id).update(settings={**third.cluster.settings, "reject_rate": 1})
    allocations.run(str(third.pk))
    gang.refresh_from_db()
    assert (gang.state, gang.attempt, states(gang)) == (W.QUEUED, 2, [A.STOPPING] * 3)
    for member in members(gang):
        allocations.run(str(member.pk))
    assert states(gang) == [A.RELEASED] * 3
    assert not gang.allocations.exclude(started_at=None).exists()
    assert sites.billed() == []


def test_a_member_that_is_lost_before_it_was_accepted_holds_the_others(gang: Workload) -> None:
    first, second, third = members(gang)
    for member in (first, second):
        allocations.run(str(member.pk))
    Allocation.objects.filter(pk=third.pk).update(state=A.LOST)
    allocations.run(str(first.pk))
    assert seen(first) == O.STARTING


def test_a_member_that_ended_early_does_not_hold_the_others(gang: Workload) -> None:
    """Its run was so short that it was over before the rest were told."""
    first, second, third = members(gang)
    for member in (first, second, third, first):
        allocations.run(str(member.pk))
    Allocation.objects.filter(pk=first.pk).update(state=A.STOPPING, exit_code=0, ended_at=timezone.now())
    allocations.run(str(second.pk))
    assert states(gang)[1] == A.ACTIVE


def test_work_of_one_member_is_never_held(sent: list[str]) -> None:
    pool, project = factories.pool(factories.cluster()), factories.project()
    factories.quota(project)
    single = factories.workload(project, pool)
    admission.run(str(pool.pk))
    assert spec_of(members(single)[0]).hold is False


def test_until_it_is_seen_to_run_it_is_told_again(gang: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    for member in members(gang):
        allocations.run(str(member.pk))
    told: list[WorkloadSpec] = []
    really = FakeDriver.ensure

    def lost(driver: FakeDriver, spec: WorkloadSpec) -> Observation:
        told.append(spec)
        raise Unavailable("The connection was lost.")

    monkeypatch.setattr(FakeDriver, "ensure", lost)
    first = members(gang)[0]
    allocations.run(str(first.pk))
    monkeypatch.setattr(FakeDriver, "ensure", really)
    allocations.run(str(first.pk))
    assert [spec.hold for spec in told] == [False]
    assert states(gang)[0] == A.ACTIVE
