"""Gates: what an app above federation may refuse before work waits."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from federation import gates
from federation.actions import arrays, workloads
from federation.models import Workload
from federation.states import WorkloadState as W
from portal.audit import SYSTEM, Actor
from portal.errors import Conflict
from portal.models import AuditEntry, OutboxEvent
from tests import factories

pytestmark = pytest.mark.django_db


class Porter:
    def __init__(self) -> None:
        self.is_shut = False
        self.seen: list[tuple[str, Sequence[UUID]]] = []

    def __call__(self, *, by: Actor, work: Workload, ids: Sequence[UUID]) -> None:
        self.seen.append((work.name, ids))
        if self.is_shut:
            raise Conflict("Not today.")


@pytest.fixture
def porter(monkeypatch: pytest.MonkeyPatch) -> Porter:
    monkeypatch.setattr(gates, "_gates", [])
    one = Porter()
    gates.add(one)
    gates.add(one)
    return one


def test_new_work_and_work_that_is_queued_again_passes_the_gate_once(porter: Porter) -> None:
    project, pool = factories.project(), factories.pool()
    work = workloads.submit(by=SYSTEM, project=project, pool=pool, name="one")
    workloads.suspend(by=SYSTEM, workload=work)
    workloads.resume(by=SYSTEM, workload=work)
    workloads.cancel(by=SYSTEM, workload=work)
    workloads.retry(by=SYSTEM, workload=work)
    assert porter.seen == [("one", [work.pk])] * 3
    ids = arrays.submit_many(by=SYSTEM, project=project, pool=pool, name="many", count=3)
    assert porter.seen[-1] == ("many-0", ids)


def test_what_is_refused_leaves_nothing_and_changes_nothing(porter: Porter) -> None:
    project, pool = factories.project(), factories.pool()
    work = workloads.submit(by=SYSTEM, project=project, pool=pool, name="one")
    workloads.suspend(by=SYSTEM, workload=work)
    before = (AuditEntry.objects.count(), OutboxEvent.objects.count())
    porter.is_shut = True
    with pytest.raises(Conflict):
        workloads.submit(by=SYSTEM, project=project, pool=pool, name="two")
    with pytest.raises(Conflict):
        arrays.submit_many(by=SYSTEM, project=project, pool=pool, name="many", count=3)
    with pytest.raises(Conflict):
        workloads.resume(by=SYSTEM, workload=work)
    assert (AuditEntry.objects.count(), OutboxEvent.objects.count()) == before
    left = Workload.objects.get()
    assert (left.state, left.attempt) == (W.SUSPENDED, 2)
