"""Capacity, hour by hour: what there was of each flavor at each site, and what became of it.

Pulled from federation's log of devices, from grants with their shares, and from the usage that is metered. An hour may
be computed any number of times; it is computed again when a late proof changes its usage. Cards only: a core that
nobody holds is no capacity of its own.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now, TruncHour
from django.utils import timezone

from billing.models import CapacityHour, Mark, UsageRecord
from billing.rating.occupancy import Occupancy, Span, occupancy
from federation.models import CapacityChange

HOUR = timedelta(hours=1)
STEP = 24  # hours in one transaction

# What could be handed out of each device: what held when the hour began, and what changed within it.
_OFFERED = """
SELECT accelerator_id, at, milli, s.slug, f.id, f.name FROM (
  (SELECT DISTINCT ON (accelerator_id) accelerator_id, %(start)s AS at, milli, node_id, model_id, id
   FROM federation_capacitychange WHERE at <= %(start)s ORDER BY accelerator_id, id DESC)
  UNION ALL
  SELECT accelerator_id, at, milli, node_id, model_id, id FROM federation_capacitychange
  WHERE at > %(start)s AND at < %(end)s
) change
JOIN federation_node n ON n.id = node_id
JOIN federation_cluster c ON c.id = n.cluster_id
JOIN federation_site s ON s.id = c.site_id
JOIN federation_acceleratormodel m ON m.id = model_id
JOIN portal_resourceflavor f ON f.id = m.flavor_id
ORDER BY accelerator_id, change.id
"""
_HELD = """
SELECT h.accelerator_id, a.created_at, gone.at, h.milli
FROM federation_allocation a
JOIN federation_share h ON h.allocation_id = a.id
LEFT JOIN LATERAL (
  SELECT at FROM portal_statechange WHERE object_id = a.id AND to_state = 'released' ORDER BY id DESC LIMIT 1
) gone ON true
WHERE a.created_at < %(end)s AND (gone.at IS NULL OR gone.at > %(start)s)
"""
_WORKED = """
SELECT h.accelerator_id, u.start_at, u.end_at, h.milli
FROM billing_usagerecord u JOIN federation_share h ON h.allocation_id = u.allocation_id
WHERE u.start_at < %(end)s AND u.end_at > %(start)s AND u.reverses_id IS NULL
  AND NOT EXISTS (SELECT 1 FROM billing_usagerecord r WHERE r.reverses_id = u.id)
"""


def step(now: datetime | None = None) -> bool:
    """Compute hours that are over: the next ones, and those whose usage has changed. True when there may be more."""
    now = now or timezone.now()
    with transaction.atomic():
        mark = Mark.objects.take("capacity")
        first = CapacityChange.objects.order_by("at").values_list("at", flat=True).first()
        if mark is None or first is None:
            return False
        last = CapacityHour.objects.order_by("-hour").values_list("hour", flat=True).first()
        start = _hour(first) if last is None else last + HOUR
        over = _hour(now)
        fresh = [start + n * HOUR for n in range(min(STEP, max(0, (over - start) // HOUR)))]
        touched = UsageRecord.objects.filter(metered_at__gte=mark.at - Mark.OVERLAP, start_at__lt=start)
        changed = touched.order_by().values_list(TruncHour("start_at", tzinfo=UTC), flat=True).distinct()
        recent = [over - n * HOUR for n in (1, 2, 3)]  # usage that is not charged yet may vanish without a trace
        again = sorted({hour for hour in [*changed, *recent] if _hour(first) <= hour < start})
        for hour in [*again, *fresh]:
            compute(hour)
        is_all = len(fresh) < STEP
        if is_all:
            Mark.objects.filter(pk=mark.pk).update(at=Now())
    return not is_all


def compute(hour: datetime) -> None:
    """One hour, written over what was computed of it before."""
    found = measured(hour, hour + HOUR)
    CapacityHour.objects.bulk_create(
        [
            CapacityHour(
                site=site, flavor_id=flavor_id, flavor=flavor, hour=hour, capacity=sums.capacity, work=sums.work,
                reserved=sums.reserved, idle=sums.idle, contested=sums.contested, computed_at=Now(),
            )
            for (site, flavor_id, flavor), sums in found.items()
        ],
        update_conflicts=True,
        unique_fields=["site", "flavor_id", "hour"],
        update_fields=["flavor", "capacity", "work", "reserved", "idle", "contested", "computed_at"],
    )  # fmt: skip


def measured(start: datetime, end: datetime) -> dict[tuple[str, UUID, str], Occupancy]:
    """By site and flavor, between two whole seconds."""
    between, begin, stop = {"start": start, "end": end}, _second(start), _second(end)
    changes: dict[UUID, list[tuple[Any, ...]]] = defaultdict(list)
    for device, *change in _rows(_OFFERED, between):
        changes[device].append(tuple(change))
    held, worked = _spans(_HELD, between, stop), _spans(_WORKED, between, stop)
    sums: dict[tuple[str, UUID, str], Occupancy] = defaultdict(Occupancy)
    for device, known in changes.items():
        for place in {change[2:] for change in known}:  # of one site and flavor, unless it was moved within the hour
            offered = _offered(known, place, begin, stop)
            if known[-1][2:] == place:  # what it did is counted where it was at last
                sums[place] += occupancy(begin, stop, offered, held[device], worked[device])
            else:
                sums[place] += occupancy(begin, stop, offered, [], [])
    return {place: found for place, found in sums.items() if found != Occupancy()}


def _offered(known: list[tuple[Any, ...]], place: tuple[Any, ...], begin: int, stop: int) -> list[Span]:
    ends = [_second(change[0]) for change in known[1:]] + [stop]
    return [
        (max(begin, _second(change[0])), end, change[1] if change[2:] == place else 0)
        for change, end in zip(known, ends, strict=True)
    ]


def _spans(statement: str, between: dict[str, datetime], stop: int) -> dict[UUID, list[Span]]:
    found: dict[UUID, list[Span]] = defaultdict(list)
    for device, start, end, milli in _rows(statement, between):
        found[device].append((_second(start), stop if end is None else _second(end), milli))
    return found


def _rows(statement: str, values: dict[str, datetime]) -> Iterable[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        yield from cursor.fetchall()


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _second(at: datetime) -> int:
    return int(at.timestamp())
