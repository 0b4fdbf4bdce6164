"""The only writer of `state`."""

from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from portal import events
from portal.audit import Actor
from portal.errors import ConcurrentUpdate, IllegalTransition
from portal.models import StateChange
from portal.models.base import StatefulRow


def move(
    obj: StatefulRow,
    to: str,
    *,
    by: Actor,
    reason: str = "",
    message: str = "",
    effective_at: datetime | None = None,
    **values: Any,
) -> bool:
    """Take one arrow: compare-and-swap on the version, a StateChange row and an event, in one transaction.

    `values` are other columns that change with the state. `effective_at` is when it happened at the site,
    where that is proven. Returns False when the object is in that state already. Raises IllegalTransition
    where there is no arrow, ConcurrentUpdate when somebody else was quicker.
    """
    assert connection.in_atomic_block, "move() belongs in a transaction"
    row: Any = obj
    if row.state == to:
        return False
    if to not in row.arrows[row.state]:
        raise IllegalTransition(f"This {row.topic} is {row.state}, and cannot become {to}.")
    changed = (
        type(row)
        .objects.filter(pk=row.pk, version=row.version)
        .update(state=to, reason=reason, message=message, state_since=Now(), version=F("version") + 1, **values)
    )
    if not changed:
        raise ConcurrentUpdate(f"The {row.topic} was changed by somebody else at the same moment.")
    was, row.state, row.reason, row.message = row.state, to, reason, message
    row.version += 1
    for name, value in values.items():
        setattr(row, name, value)
    change = StateChange(
        object_type=row.topic,
        object_id=row.pk,
        tenant_id=row.tenant_id,
        from_state=was,
        to_state=to,
        reason=reason,
        message=message,
        by=by.actor_name,
        version=row.version,
    )
    if effective_at is not None:
        change.effective_at = effective_at
    change.save(force_insert=True)
    events.publish(row.topic, row.pk, row.tenant_id)
    return True


def explain(obj: StatefulRow, *, reason: str, message: str = "", **values: Any) -> bool:
    """Say anew why an object is in its state, without an arrow. False when nothing differs."""
    row: Any = obj
    if (row.reason, row.message) == (reason, message) and not values:
        return False
    changed = (
        type(row)
        .objects.filter(pk=row.pk, version=row.version)
        .update(reason=reason, message=message, version=F("version") + 1, **values)
    )
    if not changed:
        raise ConcurrentUpdate(f"The {row.topic} was changed by somebody else at the same moment.")
    row.version += 1
    row.reason, row.message = reason, message
    for name, value in values.items():
        setattr(row, name, value)
    events.publish(row.topic, row.pk, row.tenant_id)
    return True
