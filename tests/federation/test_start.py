"""Why accepted work does not run yet is shown as its site says it; what cannot be started for too long ends."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from federation.drivers.base import Observation
from federation.drivers.base import ObservedState as O
from federation.drivers.fake import FakeDriver
from federation.models import Allocation, Workload
from federation.reconcile import admission, allocations
from federation.states import AllocationState as A
from federation.states import WorkloadState as W
from portal import hints
from tests import factories

pytestmark = pytest.mark.django_db


class Said:
    """What the site answers from now on to whoever looks."""

    def __init__(self, work: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
        self.work = work
        self.answer: dict[str, Any] = {}
        monkeypatch.setattr(FakeDriver, "observe", lambda driver, ref: Observation(ref, **self.answer))

    def look(self, state: O, reason: str = "", message: str = "") -> Allocation:
        self.answer = {"state": state, "reason": reason, "message": message}
        row: Allocation = self.work.allocations.order_by("-attempt")[0]
        allocations.run(str(row.pk))
        self.work.refresh_from_db()
        row.refresh_from_db()
        return row


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.setattr(hints, "soon", lambda *_: None)
    pool = factories.pool(factories.cluster(start_seconds=3600))
    project = factories.project()
    factories.quota(project)
    work = factories.workload(project, pool)
    admission.run(str(pool.pk))
    site = Said(work, monkeypatch)
    assert site.look(O.STARTING).state == A.STARTING  # ensured
    return site


def test_why_it_does_not_run_is_shown_and_forgotten_when_it_is_over(said: Said) -> None:
    row = said.look(O.STARTING, "PullingImage", "layer 3 of 9")
    assert (row.state, row.reason, row.message) == (A.STARTING, "PullingImage", "layer 3 of 9")
    assert (said.work.state, said.work.reason, said.work.message) == (W.ADMITTED, "PullingImage", "layer 3 of 9")
    version = row.version
    assert said.look(O.STARTING, "PullingImage", "layer 3 of 9").version == version, "said once"
    assert said.look(O.STARTING).reason == "AcceptedBySite"
    assert said.work.reason == "Starting"


@pytest.mark.parametrize("reason", ["Unschedulable", "ImagePullFailed"])
def test_what_cannot_be_started_for_too_long_ends_with_that_reason(said: Said, reason: str, settings: Any) -> None:
    settings.FEDERATION_START_SECONDS = 600
    row = said.look(O.STARTING, reason, "why")
    assert row.failing_since is not None
    Allocation.objects.filter(pk=row.pk).update(failing_since=timezone.now() - timedelta(seconds=590))
    assert said.look(O.STARTING, reason, "still").state == A.STARTING
    Allocation.objects.filter(pk=row.pk).update(failing_since=timezone.now() - timedelta(seconds=610))
    ended = said.look(O.STARTING, reason, "still")
    assert (ended.state, ended.reason, ended.message) == (A.STOPPING, reason, "still")
    assert (said.work.state, said.work.reason, said.work.attempt) == (W.QUEUED, reason, 2)


def test_slow_is_not_failing_and_trouble_that_passes_is_forgotten(said: Said) -> None:
    Allocation.objects.update(state_since=timezone.now() - timedelta(days=1))
    assert said.look(O.STARTING, "PullingImage").state == A.STARTING
    row = said.look(O.STARTING, "ImagePullFailed")
    Allocation.objects.filter(pk=row.pk).update(failing_since=timezone.now() - timedelta(days=1))
    assert said.look(O.STARTING, "PullingImage").failing_since is None
    assert said.look(O.STARTING, "ImagePullFailed").state == A.STARTING
    assert said.look(O.RUNNING).failing_since is None


@pytest.mark.parametrize(("reason", "kept"), [("ScaledAtSite", "ScaledAtSite"), ("", "BrokenAtSite")])
def test_what_drifted_is_kept_as_the_reason(said: Said, reason: str, kept: str) -> None:
    said.look(O.RUNNING)
    row = said.look(O.BROKEN, reason, "Somebody scaled it.")
    assert (row.state, row.reason, row.message) == (A.STOPPING, kept, "Somebody scaled it.")
    assert said.work.reason == kept
