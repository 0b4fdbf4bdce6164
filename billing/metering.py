"""From what the sites proved to usage records. Level-triggered: it compares, and mends what differs.

What is charged already is not touched: a late proof is a record beside it, a proof that takes back reverses it.

A step finds allocations whose records do not reach as far as their proof, and brings those up to date.
Running a step twice, or after a crash, changes nothing. Candidates are allocations that moved in the log
since the last sweep (re-read with an overlap, because a transaction may commit after a younger one), and
all that still hold hardware.
"""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from billing.models import BillingTerm, Mark, PriceVersion, UsageRecord
from billing.periods import month_of
from billing.policy import policy
from billing.rating import quantity_of
from billing.rating.timeline import Recorded, amend

STEP = 500  # allocations
STEP_RECORDS = 5000  # after a long standstill one allocation alone may have many hours to make up for
RUNNING_EVERY = timedelta(seconds=60)  # what still runs is brought up to date this often
_SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COPIED = [
    "allocation_id", "workload_id", "workload", "tenant_id", "tenant", "project_id", "project", "flavor_id", "flavor",
    "unit", "site", "cluster", "node", "held_milli", "workload_kind", "user", "pool", "model", "slicing_mode",
    "service_class", "cpu_milli", "memory_mib", "device_memory_mib", "power_watts", "proof_at", "event_ids",
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


# Billable is from the proven start to the proven end; without an end (running, or lost) to the last proof.
# Whole seconds, at least one when it ran at all. What differs is due; what runs, not for every second.
_DUE = """
SELECT a.id AS allocation_id, a.tenant_id, a.project_id, a.workload_id, a.flavor_id, a.held_milli, a.service_class,
       a.cpu_milli, a.memory_mib, a.proof_at, w.name AS workload, w.kind AS workload_kind, w.submitted_by AS user,
       t.name AS tenant, p.name AS project, f.name AS flavor, f.unit, f.model, q.slug AS pool,
       s.slug AS site, c.slug AS cluster, n.name AS node, coalesce(m.power_watts, 0) AS power_watts,
       coalesce(cards.slicing_mode, '') AS slicing_mode, coalesce(cards.memory_mib, 0) AS device_memory_mib,
       ARRAY(SELECT id FROM portal_statechange WHERE object_id = a.id ORDER BY id) AS event_ids,
       proof.bill_from, proof.bill_to, first.billed_from, last.billed_to
FROM (
  SELECT object_id AS id FROM portal_statechange WHERE object_type = 'allocation' AND at >= %(since)s
  UNION
  SELECT id FROM federation_allocation WHERE state <> 'released' AND started_at IS NOT NULL
) candidate
JOIN federation_allocation a USING (id)
JOIN federation_workload w ON w.id = a.workload_id
JOIN federation_pool q ON q.id = w.pool_id
JOIN portal_tenant t ON t.id = a.tenant_id
JOIN portal_project p ON p.id = a.project_id
JOIN portal_resourceflavor f ON f.id = a.flavor_id
JOIN federation_cluster c ON c.id = a.cluster_id
JOIN federation_site s ON s.id = c.site_id
JOIN federation_node n ON n.id = a.node_id
LEFT JOIN federation_acceleratormodel m ON m.flavor_id = a.flavor_id
LEFT JOIN LATERAL (
  SELECT max(d.mode) AS slicing_mode, sum(h.memory_mib) AS memory_mib
  FROM federation_share h JOIN federation_accelerator d ON d.id = h.accelerator_id WHERE h.allocation_id = a.id
) cards ON true
CROSS JOIN LATERAL (
  SELECT date_trunc('second', a.started_at) AS bill_from,
         CASE WHEN a.started_at IS NOT NULL THEN greatest(
           date_trunc('second', coalesce(a.ended_at, a.proof_at, a.started_at)),
           date_trunc('second', a.started_at) + interval '1 second') END AS bill_to,
         a.ended_at IS NOT NULL OR a.state IN ('lost', 'released') AS has_stopped
) proof
LEFT JOIN LATERAL (
  SELECT start_at AS billed_from FROM billing_usagerecord u WHERE allocation_id = a.id AND reverses_id IS NULL
    AND NOT EXISTS (SELECT 1 FROM billing_usagerecord r WHERE r.reverses_id = u.id)
  ORDER BY start_at LIMIT 1
) first ON true
LEFT JOIN LATERAL (
  SELECT end_at AS billed_to FROM billing_usagerecord u WHERE allocation_id = a.id AND reverses_id IS NULL
    AND NOT EXISTS (SELECT 1 FROM billing_usagerecord r WHERE r.reverses_id = u.id)
  ORDER BY start_at DESC LIMIT 1
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
    seen = _recorded(found)
    edges = _edges(found)
    records: list[UsageRecord] = []
    gone: list[UUID] = []
    done = 0
    for row in found:
        if len(records) >= STEP_RECORDS:
            break
        done += 1
        change = amend(
            row["bill_from"], row["bill_to"], seen.get(row["allocation_id"], []), edges,
            is_tail=row["bill_from"] == row["billed_from"],
        )  # fmt: skip
        gone += change.gone
        records += (_reversal(row, piece) for piece in change.reversed)
        records += (_record(row, *piece) for piece in change.added)
    UsageRecord.objects.filter(pk__in=gone).delete()
    UsageRecord.objects.bulk_create(
        records,
        batch_size=1000,
        update_conflicts=True,
        unique_fields=["allocation_id", "start_at", "revision", "reverses"],
        update_fields=["end_at", "seconds", "milli_seconds", "quantity", "proof_at", "event_ids", "metered_at"],
    )
    return done


_RECORDED = """
SELECT u.allocation_id, u.id, u.start_at, u.end_at, u.charged_in IS NOT NULL, u.revision, u.reverses_id
FROM unnest(%s::uuid[], %s::timestamptz[]) AS due (id, since)
JOIN billing_usagerecord u ON u.allocation_id = due.id AND u.end_at > due.since
ORDER BY u.id FOR UPDATE OF u
"""


def _recorded(found: list[dict[str, Any]]) -> dict[UUID, list[Recorded]]:
    """The records of each that may have to change: all when it began at another moment, else the last ones."""
    since = [
        _EPOCH if row["bill_from"] != row["billed_from"] else min(row["billed_to"] - _SECOND, row["bill_to"])
        for row in found
    ]
    records: dict[UUID, list[Recorded]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_RECORDED, [[row["allocation_id"] for row in found], since])
        for allocation_id, *record in cursor.fetchall():
            records[allocation_id].append(Recorded(*record))
    return records


def _edges(found: list[dict[str, Any]]) -> list[datetime]:
    """Where records are cut beside the hours of UTC: months of the billing time zone, prices, terms of tenants."""
    starts = [row["bill_from"] for row in found if row["bill_from"] is not None]
    if not starts:
        return []
    start, end = min(starts), max(row["bill_to"] for row in found if row["bill_to"] is not None)
    edges, zone = set(), policy().zone
    month = month_of(start, zone)
    while month.end < end:
        edges.add(month.end)
        month = month_of(month.end, zone)
    held = PriceVersion.objects.holding(start, end).values_list("valid_from", "valid_to")
    edges.update(at for pair in held for at in pair if at is not None)
    edges.update(
        BillingTerm.objects.filter(valid_from__gt=start, valid_from__lt=end).values_list("valid_from", flat=True)
    )
    return sorted(edges)


def _reversal(row: dict[str, Any], piece: Recorded) -> UsageRecord:
    record = _record(row, piece.start, piece.end, piece.revision)
    record.reverses_id = piece.id
    record.seconds, record.milli_seconds, record.quantity = -record.seconds, -record.milli_seconds, -record.quantity
    return record


def _record(row: dict[str, Any], start: datetime, end: datetime, revision: int) -> UsageRecord:
    seconds = (end - start) // _SECOND
    milli_seconds = seconds * row["held_milli"]
    return UsageRecord(
        **{name: row[name] for name in _COPIED},
        start_at=start,
        end_at=end,
        revision=revision,
        seconds=seconds,
        milli_seconds=milli_seconds,
        quantity=quantity_of(milli_seconds),
        metered_at=Now(),
    )
