"""The only writer of `state`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from portal import bulk, events
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


def move_many(
    rows: Sequence[StatefulRow], to: str, *, by: Actor, reason: str, each: Mapping[str, Sequence[Any]]
) -> None:
    """`move` for many rows of one model at once, which the caller has locked. `each` has a value of every row for some
    fields (one at least).

    Raises as `move` does when any of them cannot go there, and then none has gone.
    """
    assert connection.in_atomic_block, "move_many() belongs in a transaction"
    every: Sequence[Any] = rows
    for row in every:
        if to not in row.arrows[row.state]:
            raise IllegalTransition(f"This {row.topic} is {row.state}, and cannot become {to}.")
    kind: Any = type(rows[0])
    fields = {"state": to, "reason": reason, "message": ""}
    changed = bulk.update(
        kind, list(each), zip([row.pk for row in every], *each.values(), strict=True), same=fields, rising="version",
        now="state_since",
    )  # fmt: skip
    if changed != len(every):
        raise ConcurrentUpdate(f"A {kind.topic} was removed at the same moment.")
    names = ("object_type", "object_id", "tenant_id", "from_state", "to_state", "reason", "message", "by", "version")
    changes = [
        (kind.topic, row.pk, row.tenant_id, str(row.state), str(to), reason, "", by.actor_name, row.version + 1)
        for row in every
    ]
    bulk.insert(StateChange, names, changes)
    events.publish_many(kind.topic, [(row.pk, row.tenant_id) for row in every])


def explain_many(
    kind: type[StatefulRow], told: Sequence[tuple[Any, int, str, str, Any]], *, state: str, document: str
) -> int:
    """`explain` for many rows of one model at once: (id, version, reason, message, `document`) of each.

    Those that are at another version or not in `state` any more are left as they are; how many were written.
    """
    rows: Any = kind
    table, column = rows._meta.db_table, rows._meta.get_field(document).column
    ids, versions, reasons, messages, documents = zip(*told, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {table} t SET reason = v.reason, message = v.message, {column} = v.document,
                  version = t.version + 1
                FROM unnest(%s::uuid[], %s::int[], %s::text[], %s::text[], %s::jsonb[])
                  AS v (id, version, reason, message, document)
                WHERE t.id = v.id AND t.version = v.version AND t.state = %s RETURNING t.id, t.tenant_id""",  # noqa: S608 - names of our own model
            [*map(bulk.array, (ids, versions, reasons, messages, documents)), state],
        )
        written = cursor.fetchall()
    events.publish_many(rows.topic, written)
    return len(written)
