"""Tell browsers which things changed. The row is the event; the message after commit is only a hint."""

import time
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from portal import bulk, hints
from portal.models import OutboxEvent

_HINT_EVERY_SECONDS = 0.15
_last_hint = 0.0


def publish(topic: str, object_id: UUID, tenant_id: UUID | None = None) -> None:
    """Note that `object_id` changed. A thing without a tenant is the platform's alone."""
    OutboxEvent.objects.create(topic=topic, object_id=object_id, tenant_id=tenant_id)
    transaction.on_commit(hint, robust=True)


def publish_many(topic: str, changed: Sequence[tuple[UUID, UUID | None]]) -> None:
    """`publish` for many of one topic: (id, tenant) of each."""
    if changed:
        bulk.insert(OutboxEvent, ("topic", "object_id", "tenant_id"), [(topic, *one) for one in changed])
        transaction.on_commit(hint, robust=True)


def hint() -> None:
    """Wake the relay, at most every so often: what a skipped hint leaves, beat's sweep delivers in a second."""
    global _last_hint
    now = time.monotonic()
    if now - _last_hint >= _HINT_EVERY_SECONDS:
        _last_hint = now
        hints.send("portal.tasks.relay_outbox")
