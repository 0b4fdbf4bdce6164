"""Events to browsers: numbered without gaps whoever delivers them, told twice at most, lost never."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction
from django.utils import timezone

from portal import events, hints, streams, tasks
from portal.models import IdempotencyRecord, OneTimeLogin, OutboxEvent, StreamPosition
from portal.tasks import deliver_batch, relay_outbox, sweep_leftovers, sweep_outbox
from tests import factories

pytestmark = pytest.mark.django_db
Frames = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> Frames:
    """What goes out to the channel layer."""
    sent: Frames = []
    monkeypatch.setattr(streams, "send", lambda stream, message: sent.append((stream, message)))
    return sent


def numbers(frames: Frames, stream: str) -> list[int]:
    """The numbers of all events that went out on a stream."""
    return [
        message["first"] + offset
        for name, message in frames
        if name == stream
        for offset in range(len(message["events"]))
    ]


def test_a_tenants_event_goes_to_it_and_to_the_platform(frames: Frames) -> None:
    mine, theirs, thing = uuid4(), uuid4(), uuid4()
    events.publish("workload", thing, mine)
    events.publish("cluster", thing)
    events.publish("quota", thing, theirs)
    relay_outbox()
    assert dict(frames) == {
        str(mine): {"type": "events", "stream": str(mine), "first": 1, "events": [["workload", str(thing)]]},
        str(theirs): {"type": "events", "stream": str(theirs), "first": 1, "events": [["quota", str(thing)]]},
        "platform": {
            "type": "events",
            "stream": "platform",
            "first": 1,
            "events": [["workload", str(thing)], ["cluster", str(thing)], ["quota", str(thing)]],
        },
    }
    assert not OutboxEvent.objects.filter(delivered_at=None).exists()


def test_numbers_go_on_from_batch_to_batch(frames: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_BATCH", 7)
    tenant = uuid4()
    for _ in range(3):
        for _ in range(20):
            events.publish("workload", uuid4(), tenant)
        relay_outbox()
    assert len(frames) == 18
    assert numbers(frames, "platform") == numbers(frames, str(tenant)) == list(range(1, 61))
    assert dict(StreamPosition.objects.values_list("stream", "seq")) == {"platform": 60, str(tenant): 60}


def test_the_same_thing_twice_in_a_batch_is_once(frames: Frames) -> None:
    thing = uuid4()
    for _ in range(10):
        events.publish("workload", thing)
    relay_outbox()
    assert numbers(frames, "platform") == [1]


def test_a_relay_with_nothing_to_do_does_nothing(frames: Frames) -> None:
    events.publish("workload", uuid4())
    relay_outbox()
    before = list(StreamPosition.objects.values())
    relay_outbox()
    sweep_outbox()
    assert len(frames) == 1
    assert list(StreamPosition.objects.values()) == before


def test_a_hint_that_is_lost_costs_a_second_and_no_event(frames: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is gone: the change is made all the same, and the sweep delivers."""

    def gone(*_: Any, **__: Any) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(hints.current_app, "send_task", gone)
    monkeypatch.setattr(events, "_last_hint", 0.0)
    thing = uuid4()
    events.publish("workload", thing)
    events.hint()
    assert frames == []
    sweep_outbox()
    assert [message["events"] for _, message in frames] == [[["workload", str(thing)]]]


def test_a_hint_is_sent_after_the_commit_and_not_for_each_event(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(hints, "send", lambda task, *_: sent.append(task))
    monkeypatch.setattr(events, "_last_hint", -1000.0)
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(50):
            events.publish("workload", uuid4())
        assert sent == []
    assert sent == ["portal.tasks.relay_outbox"]


def test_an_event_of_a_change_that_failed_is_not_told(frames: Frames) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        events.publish("workload", uuid4())
        raise RuntimeError
    relay_outbox()
    assert frames == []


def test_a_layer_that_is_down_is_no_trouble_of_the_relays(monkeypatch: pytest.MonkeyPatch) -> None:
    class Down:
        async def group_send(self, *_: Any) -> None:
            raise ConnectionError("gone")

    monkeypatch.setattr(streams, "get_channel_layer", Down)
    events.publish("workload", uuid4())
    relay_outbox()
    assert not OutboxEvent.objects.filter(delivered_at=None).exists()


def test_what_nobody_needs_any_more_is_dropped_and_the_rest_is_kept() -> None:
    old = timezone.now() - timedelta(days=8)
    for delivered in (old, timezone.now(), None):
        OutboxEvent.objects.create(topic="t", object_id=uuid4(), delivered_at=delivered, created_at=old)
    for made in (old, timezone.now()):
        IdempotencyRecord.objects.create(actor_id=uuid4(), key="k", request_digest="d", created_at=made)
    user = factories.user()
    for ends in (old, timezone.now()):
        OneTimeLogin.objects.create(user=user, digest=uuid4().hex, expires_at=ends, created_at=old - timedelta(hours=1))
    sweep_leftovers()
    assert OutboxEvent.objects.filter(topic="t").count() == 2, "what is not delivered stays, however old"
    assert IdempotencyRecord.objects.count() == 1
    assert OneTimeLogin.objects.count() == 1


# -- more than one process --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_while_one_delivers_another_does_not(frames: Frames, database_dsn: str) -> None:
    events.publish("workload", uuid4())
    with psycopg.connect(database_dsn) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [tasks._RELAY_LOCK])
        assert deliver_batch() == 0
        assert frames == []
    assert deliver_batch() == 1


@pytest.mark.django_db(transaction=True)
def test_an_event_that_commits_late_is_delivered_late_and_not_lost(frames: Frames, database_dsn: str) -> None:
    """A younger row may come to light before an older one: numbers are given at delivery, not at writing."""
    late, thing = uuid4(), uuid4()
    with psycopg.connect(database_dsn) as other:
        other.execute("INSERT INTO portal_outboxevent (topic, object_id) VALUES ('workload', %s)", [late])
        events.publish("workload", thing)
        relay_outbox()
        assert [message["events"] for _, message in frames] == [[["workload", str(thing)]]]
    relay_outbox()
    assert frames[1] == (
        "platform",
        {"type": "events", "stream": "platform", "first": 2, "events": [["workload", str(late)]]},
    )


@pytest.mark.django_db(transaction=True)
def test_many_writers_and_relays_leave_no_gap_and_no_number_twice(
    frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "send", lambda *_: None)
    monkeypatch.setattr(tasks, "_BATCH", 9)
    tenants = [uuid4(), uuid4()]

    def write(seed: int) -> None:
        choice = random.Random(seed)
        try:
            for _ in range(30):
                with transaction.atomic():
                    for _ in range(choice.randint(1, 3)):
                        events.publish("workload", uuid4(), choice.choice([*tenants, None]))
        finally:
            connection.close()

    def relay(_: int) -> None:
        try:
            for _ in range(40):
                deliver_batch()
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as threads:
        for done in [*map(threads.submit, [write] * 3, range(3)), *map(threads.submit, [relay] * 2, range(2))]:
            done.result(60)
    relay_outbox()
    written = OutboxEvent.objects.count()
    assert not OutboxEvent.objects.filter(delivered_at=None).exists()
    told = sorted(numbers(frames, "platform"))
    assert told == list(range(1, written + 1))
    for tenant in tenants:
        mine = sorted(numbers(frames, str(tenant)))
        assert mine == list(range(1, OutboxEvent.objects.filter(tenant_id=tenant).count() + 1))
        assert all(after - before == 1 for before, after in pairwise(mine))
    objects = {event[1] for stream, message in frames if stream == "platform" for event in message["events"]}
    assert objects == {str(pk) for pk in OutboxEvent.objects.values_list("object_id", flat=True)}
