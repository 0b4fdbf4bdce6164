"""From what the sites proved to usage records. Level-triggered: it compares, and mends what differs.

A step finds allocations whose records do not reach as far as their proof, and brings those up to date.
Running a step twice, or after a crash, changes nothing. Candidates are allocations that moved in the log
since the last sweep (re-read with an overlap, because a transaction may commit after a younger one), and
all that still hold hardware.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction
from django.db.models import Case, F, Func, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce, Greatest, Now

from billing.models import Mark, UsageRecord
from billing.rating import quantity_of
from federation.models import Allocation
from federation.states import AllocationState
from portal.models import StateChange

STEP = 500
RUNNING_EVERY = timedelta(seconds=60)  # what still runs is brought up to date this often
_SECOND, _HOUR = timedelta(seconds=1), timedelta(hours=1)


def step() -> bool:
    """Meter up to STEP allocations in one short transaction. True when there may be more to do."""
    with transaction.atomic():
        mark = Mark.objects.take("usage")
        if mark is None:
            return False
        found = _due(mark.at - Mark.OVERLAP)
        _meter(found)
        if len(found) < STEP:
            Mark.objects.filter(pk=mark.pk).update(at=Now())
    return len(found) == STEP


def hours(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """An interval cut at the hours of UTC."""
    while start < end:
        stop = min(end, start.replace(minute=0, second=0, microsecond=0) + _HOUR)
        yield start, stop
        start = stop


def _due(since: datetime) -> list[dict[str, Any]]:
    """Allocations whose records differ from what is proven, with the interval that is to be billed.

    Billable is from the proven start to the proven end; without an end (running, or lost) to the last
    proof. Whole seconds, at least one when it ran at all. What runs is not due for every second.
    """
    records = UsageRecord.objects.filter(allocation_id=OuterRef("pk"))
    start = _whole_seconds(F("started_at"))
    stop = _whole_seconds(Coalesce("ended_at", "proof_at", "started_at"))
    has_stopped = Q(ended_at__isnull=False) | Q(state__in=(AllocationState.LOST, AllocationState.RELEASED))
    due: Any = (
        Allocation.objects.annotate(
            bill_from=start,
            # Greatest() skips NULLs, so what never began must stay without an end by itself.
            bill_to=Case(When(started_at__isnull=False, then=Greatest(stop, start + Value(_SECOND)))),
            billed_from=Subquery(records.order_by("start_at").values("start_at")[:1]),
            billed_to=Subquery(records.order_by("-start_at").values("end_at")[:1]),
        )
        .filter(
            Q(bill_from__isnull=False, billed_from__isnull=True)
            | Q(bill_from__isnull=True, billed_from__isnull=False)
            | Q(bill_from__lt=F("billed_from"))
            | Q(bill_from__gt=F("billed_from"))
            | Q(bill_to__lt=F("billed_to"))
            | Q(bill_to__gte=F("billed_to") + Value(RUNNING_EVERY))
            | (has_stopped & Q(bill_to__gt=F("billed_to")))
        )
        .order_by()
        .values(
            "pk", "tenant_id", "project_id", "workload_id", "flavor_id", "held_milli",
            "bill_from", "bill_to", "billed_from", "billed_to",
            workload_name=F("workload__name"), tenant_name=F("tenant__name"), project_name=F("project__name"),
            flavor_name=F("flavor__name"), flavor_unit=F("flavor__unit"), site_slug=F("cluster__site__slug"),
            cluster_slug=F("cluster__slug"), node_name=F("node__name"),
        )
    )  # fmt: skip
    moved = StateChange.objects.filter(object_type=Allocation.topic, at__gte=since).values("object_id")
    found: list[dict[str, Any]] = list(due.filter(pk__in=moved)[:STEP])
    if len(found) < STEP:
        known = [row["pk"] for row in found]
        holding = due.exclude(state=AllocationState.RELEASED).exclude(pk__in=known)
        found += holding.filter(started_at__isnull=False)[: STEP - len(found)]
    return found


def _whole_seconds(instant: Any) -> Func:
    return Func(Value("second"), instant, function="date_trunc", output_field=models.DateTimeField())


def _meter(found: list[dict[str, Any]]) -> None:
    records: list[UsageRecord] = []
    anew: list[Any] = []  # never began after all, or began at another moment: rebuilt from nothing
    shrunk = Q(pk__in=[])  # ended before the last proof: what is beyond the end goes
    for row in found:
        start, end = row["bill_from"], row["bill_to"]
        if start is None or (row["billed_from"] is not None and row["billed_from"] != start):
            anew.append(row["pk"])
            if start is None:
                continue
            resume = start
        elif row["billed_to"] is None:
            resume = start
        else:
            if end < row["billed_to"]:
                shrunk |= Q(allocation_id=row["pk"], start_at__gte=end)
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


def _record(row: dict[str, Any], start: datetime, end: datetime) -> UsageRecord:
    seconds = (end - start) // _SECOND
    return UsageRecord(
        allocation_id=row["pk"],
        workload_id=row["workload_id"],
        workload=row["workload_name"],
        tenant_id=row["tenant_id"],
        tenant=row["tenant_name"],
        project_id=row["project_id"],
        project=row["project_name"],
        flavor_id=row["flavor_id"],
        flavor=row["flavor_name"],
        unit=row["flavor_unit"],
        site=row["site_slug"],
        cluster=row["cluster_slug"],
        node=row["node_name"],
        start_at=start,
        end_at=end,
        seconds=seconds,
        held_milli=row["held_milli"],
        milli_seconds=seconds * row["held_milli"],
        quantity=quantity_of(seconds * row["held_milli"]),
        metered_at=Now(),
    )
