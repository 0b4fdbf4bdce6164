"""The one writer of states: every arrow there is, none that is not, and two at once are one."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from billing.states import INVOICE_ARROWS
from federation import states
from federation.models import Workload
from federation.states import WORKLOAD_ARROWS, WorkloadState
from portal.audit import SYSTEM
from portal.errors import ConcurrentUpdate, IllegalTransition
from portal.models import AuditEntry, OutboxEvent, StateChange
from portal.states import TENANT_ARROWS
from portal.transitions import explain, move
from tests import factories

pytestmark = pytest.mark.django_db
MACHINES = {
    "cluster": states.CLUSTER_ARROWS,
    "node": states.NODE_ARROWS,
    "workload": WORKLOAD_ARROWS,
    "allocation": states.ALLOCATION_ARROWS,
    "tenant": TENANT_ARROWS,
    "invoice": INVOICE_ARROWS,
}


@pytest.mark.parametrize("arrows", MACHINES.values(), ids=MACHINES)
def test_every_state_has_its_arrows_and_can_be_reached(arrows: dict[Any, frozenset[Any]]) -> None:
    enum = type(next(iter(arrows)))
    assert set(arrows) == set(enum), "a state without a line here could never be left"
    first = next(iter(enum))
    reached, waiting = {first}, [first]
    while waiting:
        fresh = arrows[waiting.pop()] - reached
        reached |= fresh
        waiting += fresh
    assert reached == set(enum)
    assert all(state not in arrows[state] for state in arrows)


def test_only_the_site_leads_to_released() -> None:
    A = states.AllocationState
    assert {state for state, to in states.ALLOCATION_ARROWS.items() if A.RELEASED in to} == {A.STOPPING}
    assert states.ALLOCATION_ARROWS[A.RELEASED] == frozenset()


@pytest.fixture
def workload() -> Workload:
    return factories.workload(factories.project(), factories.pool())


@pytest.mark.parametrize("was", WorkloadState)
def test_each_arrow_is_taken_and_nothing_else(workload: Workload, was: WorkloadState) -> None:
    for to in WorkloadState:
        Workload.objects.filter(pk=workload.pk).update(state=was)
        workload.refresh_from_db()
        version, changes = workload.version, StateChange.objects.count()
        if to in WORKLOAD_ARROWS[was]:
            assert move(workload, to, by=SYSTEM) is True
        elif to == was:
            assert move(workload, to, by=SYSTEM) is False
        else:
            with pytest.raises(IllegalTransition, match=f"is {was}, and cannot become {to}"):
                move(workload, to, by=SYSTEM)
        moved = to in WORKLOAD_ARROWS[was]
        workload.refresh_from_db()
        assert (workload.state, workload.version) == ((to, version + 1) if moved else (was, version))
        assert StateChange.objects.count() == changes + moved


def test_a_move_is_written_down_and_told(workload: Workload) -> None:
    OutboxEvent.objects.all().delete()
    user, when = factories.user(), datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert move(workload, "suspended", by=user, reason="Lunch", message="Back at 13:00", effective_at=when, retries=2)
    fresh = Workload.objects.get()
    for row in (workload, fresh):
        assert (row.state, row.reason, row.message, row.retries, row.version) == (
            "suspended", "Lunch", "Back at 13:00", 2, 2,
        )  # fmt: skip
    change = StateChange.objects.get()
    assert (change.object_type, change.object_id, change.tenant_id) == ("workload", workload.pk, workload.tenant_id)
    assert (change.from_state, change.to_state, change.by, change.version) == ("queued", "suspended", user.username, 2)
    assert change.effective_at == when
    assert change.at > when
    event = OutboxEvent.objects.get()
    assert (event.topic, event.object_id, event.tenant_id) == ("workload", workload.pk, workload.tenant_id)


def test_of_two_at_one_moment_one_is_told_to_look_again(workload: Workload) -> None:
    mine, theirs = Workload.objects.get(), Workload.objects.get()
    assert move(mine, "suspended", by=SYSTEM)
    with pytest.raises(ConcurrentUpdate):
        move(theirs, "cancelled", by=SYSTEM)
    with pytest.raises(ConcurrentUpdate):
        explain(theirs, reason="Waiting")
    assert Workload.objects.get().state == "suspended"
    assert StateChange.objects.count() == 1


def test_what_fails_afterwards_leaves_no_trace(workload: Workload) -> None:
    OutboxEvent.objects.all().delete()
    with pytest.raises(RuntimeError), transaction.atomic():
        move(workload, "suspended", by=SYSTEM)
        raise RuntimeError
    assert Workload.objects.get().state == "queued"
    assert not StateChange.objects.exists()
    assert not OutboxEvent.objects.exists()


def test_why_is_said_anew_only_when_it_differs(workload: Workload) -> None:
    OutboxEvent.objects.all().delete()
    assert explain(workload, reason="WaitingForQuota", message="2 of 4") is True
    assert explain(workload, reason="WaitingForQuota", message="2 of 4") is False
    assert explain(workload, reason="WaitingForQuota", message="3 of 4") is True
    fresh = Workload.objects.get()
    assert (fresh.state, fresh.message, fresh.version) == ("queued", "3 of 4", workload.version)
    assert not StateChange.objects.exists(), "a reason is no arrow"
    assert OutboxEvent.objects.count() == 2


def test_history_cannot_be_rewritten(workload: Workload) -> None:
    move(workload, "suspended", by=SYSTEM)
    for rows in (StateChange.objects.all(), AuditEntry.objects.all()):
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.update(at=datetime(2020, 1, 1, tzinfo=UTC))
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.delete()


@pytest.mark.django_db(transaction=True)
def test_a_move_outside_of_a_transaction_is_a_fault() -> None:
    workload = factories.workload(factories.project(), factories.pool())
    with pytest.raises(AssertionError, match="transaction"):
        move(workload, "suspended", by=SYSTEM)
