"""In which order a pool looks at what waits, by name. Pure: values go in, the same values come out in order.

Who comes first is looked at first: work that does not fit is passed over, and keeps its place for the next look.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heapify, heappop, heappush
from statistics import median
from typing import Any
from uuid import UUID

DEVICES, CPU, MEMORY = "devices", "cpu", "memory"  # what shares are taken of: 1/1000 of devices, of cores; MiB


@dataclass(frozen=True, slots=True)
class Order:
    """What people choose from. `starves`: which work may wait for ever while other work keeps coming; empty: none
    does for the sake of the order."""

    name: str
    title: str
    description: str
    starves: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """What waits. `demand` is what all its members ask for, by resource; only fair share looks at it."""

    id: UUID
    tenant: UUID
    queued_at: datetime
    priority: int = 0
    deadline_at: datetime | None = None
    predicted_seconds: float | None = None
    demand: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """A tenant before a pool: what it holds there, by resource, and the weight (above 0) that divides its share."""

    held: Mapping[str, int] = field(default_factory=dict)
    weight: float = 1.0


ORDERS: Mapping[str, Order] = {
    order.name: order
    for order in (
        Order(
            "priority",
            "Priority",
            "The higher priority first, then who has waited longest.",
            "Work of low priority, while work of a higher one keeps coming.",
        ),
        Order("fifo", "First come, first served", "Who has waited longest, whatever its priority."),
        Order(
            "fair-share",
            "Fair share",
            "The tenant that has least of the pool for its quota; of its own work the higher priority first, then who "
            "has waited longest.",
            "Within one tenant its work of low priority, while it keeps sending work of a higher one.",
        ),
        Order(
            "earliest-deadline",
            "Earliest deadline first",
            "The nearest deadline first; work without one comes last, who has waited longest first.",
            "Work without a deadline, while work with one keeps coming.",
        ),
        Order(
            "shortest-predicted",
            "Shortest first",
            "What is predicted to run shortest; what nothing is known of comes last.",
            "Long work, while shorter work keeps coming.",
        ),
    )
}
DEFAULT = "priority"


def _fifo(item: Item) -> tuple[Any, ...]:
    return (item.queued_at, item.id)


def _priority(item: Item) -> tuple[Any, ...]:
    return (-item.priority, *_fifo(item))


def _deadline(item: Item) -> tuple[Any, ...]:
    return (item.deadline_at is None, item.deadline_at or item.queued_at, *_fifo(item))


def _shortest(item: Item) -> tuple[Any, ...]:
    return (item.predicted_seconds is None, item.predicted_seconds or 0.0, *_fifo(item))


_KEYS: Mapping[str, Callable[[Item], tuple[Any, ...]]] = {
    "fifo": _fifo, "priority": _priority, "earliest-deadline": _deadline, "shortest-predicted": _shortest,
}  # fmt: skip


def in_order(
    name: str, items: Iterable[Item], parts: Mapping[UUID, Part] | None = None, whole: Mapping[str, int] | None = None
) -> list[Item]:
    """All of them in the order of that name; `parts` and `whole` are for fair share, see there. Raises KeyError."""
    if name == "fair-share":
        return fair_share(items, parts or {}, whole or {})
    return sorted(items, key=_KEYS[name])


def fair_share(
    items: Iterable[Item],
    parts: Mapping[UUID, Part],
    whole: Mapping[str, int],
    most: int | None = None,
    has_more: Callable[[UUID], bool] = lambda _: False,
) -> list[Item]:
    """Progressive filling: each next place goes to the tenant with the least dominant share for its weight.

    The dominant share is the largest of what a tenant holds, and has been given places for here, of each resource in
    `whole`. Of equal shares the tenant comes first whose next work has waited longest. A tenant without a part holds
    nothing and has weight 1. At most `most` items; and none after the last known item of a tenant that `has_more`,
    since what comes then is not known.
    """
    waits: dict[UUID, deque[Item]] = defaultdict(deque)
    for item in sorted(items, key=_priority):
        waits[item.tenant].append(item)
    none = Part()
    taken = {tenant: dict(parts.get(tenant, none).held) for tenant in waits}

    def place(tenant: UUID) -> tuple[float, datetime, UUID]:
        weight = parts.get(tenant, none).weight
        return dominant_share(taken[tenant], whole) / weight, waits[tenant][0].queued_at, waits[tenant][0].id

    heap = [(place(tenant), tenant) for tenant in waits]
    heapify(heap)
    found: list[Item] = []
    while heap and (most is None or len(found) < most):
        _, tenant = heappop(heap)
        item = waits[tenant].popleft()
        found.append(item)
        for resource, amount in item.demand.items():
            taken[tenant][resource] = taken[tenant].get(resource, 0) + amount
        if waits[tenant]:
            heappush(heap, (place(tenant), tenant))
        elif has_more(tenant):
            break
    return found


def dominant_share(held: Mapping[str, int], whole: Mapping[str, int]) -> float:
    """The largest share of any resource; what there is nothing of counts for nothing."""
    return max((held.get(resource, 0) / amount for resource, amount in whole.items() if amount > 0), default=0.0)


# -- how long something will run ----------------------------------------------------------------------

RUNS = 9  # of work like it: as many are enough for a median, and old ones tell little

_BETWEEN = re.compile(r"([\s._:/#-]+)")
_COUNT = re.compile(r"\d[\dTZ]*|(?=[a-f]*\d)[0-9a-f]{6,}", re.IGNORECASE)


def stem(name: str) -> str:
    """A name without the words at its end that are numbers, dates or hashes: what repeats from run to run.

    Digits within a word stay: `resnet50-7` is like `resnet50-8`, and not like `resnet101-7`.
    """
    words = _BETWEEN.split(name)
    while len(words) > 1 and (not words[-1] or _COUNT.fullmatch(words[-1])):
        del words[-2:]
    return "".join(words) or name


@dataclass(frozen=True, slots=True)
class Run:
    """Work that has succeeded, and how long it ran."""

    stem: str
    kind: str
    seconds: float


def predicted_seconds(name: str, kind: str, runs: Sequence[Run], limits: Iterable[float | None]) -> float | None:
    """How long work will run, or None: `runs` of its project, newest first, `limits` of how long it may.

    The median of the last runs of its kind whose names begin alike (`stem`); else the least of its limits; else the
    median of all these runs. Never more than a limit.
    """
    limit = min((one for one in limits if one is not None), default=None)
    beginning = stem(name)
    alike = [run.seconds for run in runs if run.kind == kind and run.stem == beginning][:RUNS]
    if alike:
        seconds = median(alike)
    elif limit is not None:
        return float(limit)
    elif runs:
        seconds = median(run.seconds for run in runs)
    else:
        return None
    return float(seconds if limit is None else min(seconds, limit))
