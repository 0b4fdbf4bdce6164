"""What the sites hold, what we hold and what we bill, side by side."""

from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from billing import metering
from billing.models import UsageRecord
from federation.drivers.abilities import WorkLister
from federation.models import Allocation, Cluster
from federation.registry import driver_for
from federation.states import AllocationState as A

_SECOND = timedelta(seconds=1)


def problems() -> list[str]:
    """Work that a site holds for no grant of ours, and grants that run although their site holds nothing."""
    found = []
    for cluster in Cluster.objects.all():
        driver = driver_for(cluster)
        if not isinstance(driver, WorkLister):
            continue
        there = set(driver.refs())
        held = {str(a.pk): a.state for a in Allocation.objects.filter(cluster=cluster).holding()}
        found += [f"{cluster.slug} holds {ref} for nobody" for ref in there - held.keys()]
        found += [
            f"{cluster.slug} does not hold {ref}, which is {state}"
            for ref, state in held.items()
            if ref not in there and state in (A.STARTING, A.ACTIVE)
        ]
    return found


def billed() -> list[str]:
    """One unbroken interval for each allocation that ran, none for others, and no two at once for one member."""
    while metering.step():
        pass
    pieces: dict[Any, list[tuple[datetime, datetime]]] = defaultdict(list)
    for row in UsageRecord.objects.order_by("allocation_id", "start_at"):
        pieces[row.allocation_id].append((row.start_at, row.end_at))
    found, members = [], defaultdict(list)
    for row in Allocation.objects.all():
        cut = pieces.pop(row.pk, [])
        for (_, end), (start, _) in pairwise(cut):
            if end != start:
                found.append(f"the bill of {row.pk} is broken between {end} and {start}")
        wanted = _interval(row)
        billed = (cut[0][0], cut[-1][1]) if cut else None
        if billed != wanted and not (_still_runs(row) and wanted and billed and _is_behind(billed, wanted)):
            found.append(f"{row.pk} ran {wanted} and is billed for {billed}")
        if row.started_at is not None:
            members[row.workload_id, row.replica].append((row.started_at, row.ended_at, row.pk))
    for spans in members.values():
        spans.sort(key=lambda span: span[0])
        for (_, end, pk), (start, _, other) in pairwise(spans):
            if end is None or end > start:
                found.append(f"{pk} and {other} of one member are billed at once")
    return found + [f"{pk} is billed and there is no such allocation" for pk in pieces]


def _interval(row: Allocation) -> tuple[datetime, datetime] | None:
    if row.started_at is None:
        return None
    start = row.started_at.replace(microsecond=0)
    end = (row.ended_at or row.proof_at or row.started_at).replace(microsecond=0)
    return start, max(end, start + _SECOND)


def _still_runs(row: Allocation) -> bool:
    return row.ended_at is None and row.state not in (A.LOST, A.RELEASED)


def _is_behind(billed: tuple[datetime, datetime], wanted: tuple[datetime, datetime]) -> bool:
    """What runs is billed in steps."""
    return billed[0] == wanted[0] and billed[1] <= wanted[1] < billed[1] + metering.RUNNING_EVERY
