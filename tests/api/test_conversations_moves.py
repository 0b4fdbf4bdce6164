"""A plan of moves carried out: stopped, queued with its place, started where the plan says."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from federation.actions import workloads
from federation.models import Allocation, Node, Workload
from federation.reconcile import admission, allocations
from federation.states import AllocationState as A
from federation.states import NodeState
from federation.states import WorkloadState as W
from portal.audit import SYSTEM
from portal.models import AuditEntry, StateChange
from tests import factories
from tests.api.test_conversations_defragmentation import Desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Desk:
    """Half full, with one that waits for a whole node."""
    made = Desk()
    made.half_full()
    made.work("big", 4)
    made.run()
    return made


def apply(desk: Desk, *moves: dict[str, Any], status: int = 202) -> dict[str, Any]:
    address = f"/api/v1/pools/{desk.pool.pk}/defragmentation/apply"
    answer = desk.client.post(address, {"moves": moves}, content_type="application/json")
    assert answer.status_code == status, answer.content
    found: dict[str, Any] = answer.json()
    return found


def planned(desk: Desk) -> dict[str, Any]:
    (move,) = desk.ask()["moves"]
    return {"workload": move["workload"], "source": move["source"]["id"], "target": move["target"]["id"]}


def admit(desk: Desk) -> None:
    admission.run(str(desk.pool.pk))


def state(name: str) -> str:
    return str(Workload.objects.get(name=name).state)


def test_it_stops_and_starts_where_the_plan_says(desk: Desk) -> None:
    wish = planned(desk)
    before = Workload.objects.get(pk=wish["workload"])
    assert apply(desk, wish) == {"moved": [wish["workload"]], "skipped": []}
    moved = Workload.objects.get(pk=wish["workload"])
    assert (moved.state, moved.reason, moved.attempt) == (W.QUEUED, "Moved", before.attempt + 1)
    assert moved.queued_at == before.queued_at and moved.started_at is None and moved.retries == before.retries
    assert moved.message == f"From {desk.where()[moved.name]} to {Node.objects.get(pk=wish['target']).name}."
    assert moved.allocations.get().state == A.STOPPING
    assert AuditEntry.objects.filter(what="workload.move", target_id=str(moved.pk)).exists()
    assert StateChange.objects.filter(object_id=moved.pk, reason="Moved").exists()
    for _ in range(2):
        desk.run()
    where = desk.where()
    assert where[moved.name] == Node.objects.get(pk=wish["target"]).name
    assert where["big"] == Node.objects.get(pk=wish["source"]).name
    moved.refresh_from_db()
    assert (moved.state, state("big"), moved.preferred_node) == (W.RUNNING, W.RUNNING, None)


def test_its_new_place_is_kept_for_it_while_it_stops(desk: Desk) -> None:
    wish = planned(desk)
    apply(desk, wish)
    for number in range(2):
        desk.work(f"quick{number}", 2, priority=10)  # there are two free cards on each node
    admit(desk)
    assert [state("quick0"), state("quick1")] == [W.ADMITTED, W.QUEUED]
    assert desk.where()["quick0"] == Node.objects.get(pk=wish["source"]).name
    # Not for ever.
    Workload.objects.filter(pk=wish["workload"]).update(state_since=timezone.now() - timedelta(minutes=11))
    admit(desk)
    assert state("quick1") == W.ADMITTED


def test_it_comes_before_those_who_waited(desk: Desk) -> None:
    wish = planned(desk)
    apply(desk, wish)
    for number in range(4):
        desk.work(f"quick{number}", 2, priority=10)  # enough to take all that is free
    for allocation in Allocation.objects.filter(state=A.STOPPING):
        for _ in range(3):
            allocations.run(str(allocation.pk))
    assert not Allocation.objects.filter(state=A.STOPPING).exists()
    admit(desk)
    assert desk.where()[Workload.objects.get(pk=wish["workload"]).name] == Node.objects.get(pk=wish["target"]).name


def test_where_its_new_place_is_gone_it_waits_like_others(desk: Desk) -> None:
    wish = planned(desk)
    apply(desk, wish)
    Node.objects.filter(pk=wish["target"]).update(state=NodeState.DRAINED)
    for _ in range(2):
        desk.run()
    moved = Workload.objects.get(pk=wish["workload"])
    # Its old node has room for both or for the one that waits longer: it was queued first.
    assert desk.where()[moved.name] == Node.objects.get(pk=wish["source"]).name


def test_it_counts_against_quota_as_any_other(desk: Desk) -> None:
    wish = planned(desk)
    apply(desk, wish)
    type(desk.quota).objects.filter(pk=desk.quota.pk).update(nominal_milli=2000)  # what the other holds
    desk.run()
    admit(desk)
    moved = Workload.objects.get(pk=wish["workload"])
    assert (moved.state, moved.reason) == (W.QUEUED, "QuotaExhausted")


def test_a_users_word_ends_the_journey(desk: Desk) -> None:
    wish = planned(desk)
    apply(desk, wish)
    moved = workloads.suspend(by=SYSTEM, workload=Workload.objects.get(pk=wish["workload"]))
    moved.refresh_from_db()
    assert moved.preferred_node is None


def test_what_has_changed_since_is_skipped_in_words(desk: Desk) -> None:
    wish = planned(desk)
    other = Workload.objects.get(name="big")
    gone = Workload.objects.get(name="w0")
    elsewhere = factories.workload(desk.project, factories.pool())
    told = apply(
        desk,
        {**wish, "source": wish["target"], "target": wish["source"]},
        {**wish, "workload": str(other.pk)},
        {**wish, "workload": str(gone.pk)},
        {**wish, "workload": str(elsewhere.pk)},
    )
    words = {one["workload"]: one["why"] for one in told["skipped"]}
    assert told["moved"] == [] and words == {
        wish["workload"]: "It does not run on that node.",
        str(other.pk): "It may not be moved.",
        str(gone.pk): "It does not run: cancelled.",
        str(elsewhere.pk): "There is no such workload in this pool.",
    }
    place = "Its new place is not open to new work of this pool."
    for target in (str(uuid4()), wish["source"]):
        assert [one["why"] for one in apply(desk, {**wish, "target": target})["skipped"]] == [place]
    Workload.objects.filter(pk=wish["workload"]).update(replicas=2)
    assert apply(desk, wish)["skipped"][0]["why"] == "It may not be moved."
    assert Workload.objects.get(pk=wish["workload"]).state == W.RUNNING


def test_one_that_cannot_go_does_not_keep_the_others(desk: Desk) -> None:
    wish = planned(desk)
    told = apply(desk, {**wish, "workload": str(uuid4())}, wish)
    assert told["moved"] == [wish["workload"]] and len(told["skipped"]) == 1


def test_what_makes_no_sense_is_refused(desk: Desk) -> None:
    wish = planned(desk)
    assert apply(desk, status=422)["errors"][0]["pointer"] == "/moves"
    assert "once" in apply(desk, wish, wish, status=422)["detail"]
    assert apply(desk, {**wish, "target": "there"}, status=422)["errors"][0]["pointer"].startswith("/moves")
