"""Celery entry points of the portal: delivery of events, tidying, and the worker's sign of life."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from portal import streams as live
from portal.leases import forgettable
from portal.models import IdempotencyRecord, OneTimeLogin, OutboxEvent, StreamPosition

_BATCH = 500
_RELAY_LOCK = 0x61717569  # one relay at a time, whichever process: numbers must rise without gaps


@shared_task
def relay_outbox() -> None:
    """Deliver what is waiting. Runs after commits (hint) and from beat (truth)."""
    while deliver_batch() == _BATCH:
        pass


@shared_task
def sweep_outbox() -> None:
    relay_outbox()


@shared_task
def sweep_leftovers() -> None:
    """Drop what nobody needs any more: delivered events, old answers, used login links."""
    now = timezone.now()
    OutboxEvent.objects.filter(delivered_at__lt=now - timedelta(hours=1)).delete()
    IdempotencyRecord.objects.filter(created_at__lt=now - timedelta(days=7)).delete()
    OneTimeLogin.objects.filter(expires_at__lt=now - timedelta(days=1)).delete()


@shared_task
def probe() -> None:
    """Show that a worker finishes tasks; the supervisor looks at the age of this file."""
    (settings.DATA_DIR / "worker-probe").touch()


def deliver_batch() -> int:
    """Number and send up to a batch of events; how many there were.

    A message that is lost on the way shows as a gap in the numbers, and the browser reads again.
    """
    with forgettable():  # delivered twice is harmless, and the rows stay until delivered
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_RELAY_LOCK])
            (is_ours,) = cursor.fetchone()
        if not is_ours:
            return 0
        rows = list(
            OutboxEvent.objects.filter(delivered_at=None)
            .order_by("id")
            .values_list("id", "tenant_id", "topic", "object_id")[:_BATCH]
        )
        if not rows:
            return 0
        streams: dict[str, list[list[str]]] = {}
        for _, tenant, topic, object_id in rows:
            # The platform's people see everything, a tenant its own. Twice in one batch is once.
            for stream in {live.PLATFORM, str(tenant) if tenant else live.PLATFORM}:
                events = streams.setdefault(stream, [])
                if (event := [topic, str(object_id)]) not in events[-50:]:
                    events.append(event)
        frames = [(stream, _advance(stream, len(events)), events) for stream, events in streams.items()]
        OutboxEvent.objects.filter(id__in=[row[0] for row in rows]).update(delivered_at=Now())
    for stream, first, events in frames:
        live.send(stream, {"type": "events", "stream": stream, "first": first, "events": events})
    return len(rows)


def _advance(stream: str, count: int) -> int:
    """The number of the first of `count` new events on a stream."""
    StreamPosition.objects.get_or_create(stream=stream)
    StreamPosition.objects.filter(stream=stream).update(seq=F("seq") + count)
    return StreamPosition.objects.values_list("seq", flat=True).get(stream=stream) - count + 1
