"""From what the sites proved to usage records. Level-triggered: it compares, and mends what differs.

A step finds allocations whose records do not reach as far as their proof, and brings those up to date.
Running a step twice, or after a crash, changes nothing. Candidates are allocations that moved in the log
since the last sweep (re-read with an overlap, because a transaction may commit after a younger one), and
all that still hold hardware.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from billing.models import Mark, UsageRecord
from billing.rating import quantity_of

STEP = 500  # allocations
STEP_RECORDS = 5000  # after a long standstill one allocation alone may have many hours to make up for
RUNNING_EVERY = timedelta(seconds=60)  # what still runs is brought up to date this often
_SECOND, _HOUR = timedelta(seconds=1), timedelta(hours=1)
_COPIED = [
    "allocation_id", "workload_id", "workload", "tenant_id", "tenant", "project_id", "project", "flavor_id", "flavor",
    "unit", "site", "cluster", "node", "held_milli",
]  # fmt: skip


def step() -> bool:
    """Meter some allocations in one short transaction. True when there may be more to do."""
    with transaction.atomic():
        mark = Mark.objects.take("usage")
        if mark is None:
            return False
        found = _due(mark.at - Mark.OVERLAP)
        is_all = _meter(found) == len(found) < STEP
        if is_all:
            Mark.objects.filter(pk=mark.pk).update(at=Now())
    return not is_all


def hours(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """An interval cut at the hours of UTC."""
    while start < end:
        stop = min(end, start.replace(minute=0, second=0, microsecond=0) + _HOUR)
        yield start, stop
        start = stop


# Billable is from the proven start to the proven end; without an end (running, or lost) to the last proof.
# Whole seconds, at least one when it ran at all. What differs is due; what runs, not for every second.
_DUE = """
SELECT a.id AS allocation_id, a.tenant_id, a.project_id, a.workload_id, a.flavor_id, a.held_milli,
       w.name AS workload, t.name AS tenant, p.name AS project, f.name AS flavor, f.unit,
       s.slug AS site, c.slug AS cluster, n.name AS node,
       proof.bill_from, proof.bill_to, first.billed_from, last.billed_to
FROM (
  SELECT object_id AS id FROM portal_statechange WHERE object_type = 'allocation' AND at >= %(since)s
  UNION
  SELECT id FROM federation_allocation WHERE state <> 'released' AND started_at IS NOT NULL
) candidate
JOIN federation_allocation a USING (id)
JOIN federation_workload w ON w.id = a.workload_id
JOIN portal_tenant t ON t.id = a.tenant_id
JOIN portal_project p ON p.id = a.project_id
JOIN portal_resourceflavor f ON f.id = a.flavor_id
JOIN federation_cluster c ON c.id = a.cluster_id
JOIN federation_site s ON s.id = c.site_id
JOIN federation_node n ON n.id = a.node_id
CROSS JOIN LATERAL (
  SELECT date_trunc('second', a.started_at) AS bill_from,
         CASE WHEN a.started_at IS NOT NULL THEN greatest(
           date_trunc('second', coalesce(a.ended_at, a.proof_at, a.started_at)),
           date_trunc('second', a.started_at) + interval '1 second') END AS bill_to,
         a.ended_at IS NOT NULL OR a.state IN ('lost', 'released') AS has_stopped
) proof
LEFT JOIN LATERAL (
  SELECT start_at AS billed_from FROM billing_usagerecord WHERE allocation_id = a.id ORDER BY start_at LIMIT 1
) first ON true
LEFT JOIN LATERAL (
  SELECT end_at AS billed_to FROM billing_usagerecord WHERE allocation_id = a.id ORDER BY start_at DESC LIMIT 1
) last ON true
WHERE proof.bill_from IS DISTINCT FROM first.billed_from
   OR proof.bill_to < last.billed_to
   OR (proof.bill_to > last.billed_to
       AND (proof.has_stopped OR proof.bill_to >= last.billed_to + interval '1 second' * %(running_every)s))
LIMIT %(limit)s
"""


def _due(since: datetime) -> list[dict[str, Any]]:
    """Allocations whose records differ from what is proven, with what is billable and what is billed."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"since": since, "running_every": RUNNING_EVERY.total_seconds(), "limit": STEP})
        columns = [column.name for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def _meter(found: list[dict[str, Any]]) -> int:
    """Bring the records of these allocations up to date; how many of them the step had room for."""
    records: list[UsageRecord] = []
    anew: list[UUID] = []  # never began after all, or began at another moment: rebuilt from nothing
    shrunk = Q(pk__in=[])  # ended before the last proof: what is beyond the end goes
    done = 0
    for row in found:
        if len(records) >= STEP_RECORDS:
            break
        done += 1
        start, end = row["bill_from"], row["bill_to"]
        resume = start
        if row["billed_from"] not in (start, None):
            anew.append(row["allocation_id"])
            if start is None:
                continue
        elif row["billed_to"] is not None:
            if end < row["billed_to"]:
                shrunk |= Q(allocation_id=row["allocation_id"], start_at__gte=end)
            # Whole hours that are recorded already stay as they are; only the last is written again.
            last = min(end, row["billed_to"]) - _SECOND
            resume = max(start, last.replace(minute=0, second=0, microsecond=0))
        records += (_record(row, *piece) for piece in hours(resume, end))
    UsageRecord.objects.filter(Q(allocation_id__in=anew) | shrunk).delete()
    UsageRecord.objects.bulk_create(
        records,
        batch_size=1000,
        update_conflicts=True,
        unique_fields=["allocation_id", "start_at"],
        update_fields=["end_at", "seconds", "milli_seconds", "quantity", "metered_at"],
    )
    return done


def _record(row: dict[str, Any], start: datetime, end: datetime) -> UsageRecord:
    seconds = (end - start) // _SECOND
    milli_seconds = seconds * row["held_milli"]
    return UsageRecord(
        **{name: row[name] for name in _COPIED},
        start_at=start,
        end_at=end,
        seconds=seconds,
        milli_seconds=milli_seconds,
        quantity=quantity_of(milli_seconds),
        metered_at=Now(),
    )
