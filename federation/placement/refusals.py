"""Why a request was not placed: what was missing, how many nodes each filter removed, which came nearest."""

from collections.abc import Callable, Iterable

from federation.placement.filters import (
    ORDER,
    Filter,
    Wish,
    free_slots,
    suits,
)
from federation.placement.rankings import Ranking
from federation.placement.shapes import Board, Shape
from federation.placement.types import CPU_FLAVOR, Refusal, Request

_REASONS = {
    Filter.CLOSED: "NoOpenNodes",
    Filter.SITE: "NoOpenNodes",
    Filter.MODEL: "NoMatchingModel",
    Filter.QUOTA: "QuotaExhausted",
    Filter.ACCELERATORS: "NotEnoughFreeAccelerators",
    Filter.DEVICE_MEMORY: "NotEnoughFreeAccelerators",
    Filter.CPU: "NotEnoughCpu",
    Filter.MEMORY: "NotEnoughMemory",
}


def not_now(request: Request, ranking: Ranking, board: Board, placed: int) -> Refusal:
    """It has to wait. `placed` members had found a node (and hold it while this is written)."""
    filters, last = _count(ranking, board)
    if last is None:
        return Refusal(request.id, "NoOpenNodes", "There is no node yet.")
    gang = f"There is room for {placed} of {request.replicas} members now. " if request.replicas > 1 else ""
    return Refusal(
        request.id,
        _REASONS[last],
        gang + _MESSAGES[last](request),
        filters=filters,
        nearest=_nearest(request, ranking, board, last),
    )


def never(request: Request, ranking: Ranking, board: Board, placed: int) -> Refusal:
    """Not even the empty fleet has room; `board` is that empty fleet."""
    filters, last = _count(ranking, board)
    assert last is not None, "an empty fleet refuses nothing for ever"
    if placed:
        message = f"Even empty, there is room for only {placed} of {request.replicas} members."
        return Refusal(request.id, "NeverFits", message, is_final=True, filters=filters)
    if last in (Filter.SITE, Filter.MODEL):
        reason, message = ("NoMatchingModel" if last == Filter.MODEL else "NeverFits"), _MESSAGES[last](request)
    else:
        reason, message = "NeverFits", f"{_want(request, last)} on one node: no node has that, even when empty."
    nearest = _nearest(request, ranking, board, last)
    return Refusal(request.id, reason, message, is_final=True, filters=filters, nearest=nearest)


def _count(ranking: Ranking, board: Board) -> tuple[dict[str, int], Filter | None]:
    """How many nodes each filter removed, and the last filter that any node reached."""
    counts: dict[Filter, int] = {}
    for shape in board.shapes():
        found = ranking.refused[shape.number]
        counts[found] = counts.get(found, 0) + len(shape.nodes)
    in_order = sorted(counts, key=ORDER.__getitem__)
    return {found.value: counts[found] for found in in_order}, in_order[-1] if in_order else None


def _nearest(request: Request, ranking: Ranking, board: Board, last: Filter) -> str:
    """The node that came nearest at the last filter, and what it has; the first in order of equals."""
    wish = ranking.wish
    if last == Filter.CLOSED:
        return _closed(board)
    if last == Filter.SITE:
        return f"There are nodes at {_words(sorted({s.layout.site for s in board.shapes() if s.layout.is_open}))}."
    if last == Filter.MODEL:
        return _models_there(wish, board)
    if last == Filter.QUOTA:
        return _quota_left(request, board)
    measure = _MEASURES[last]
    best: tuple[int, int] | None = None
    for shape in board.shapes():
        if ranking.refused[shape.number] != last:
            continue
        candidate = (-measure(ranking, shape), shape.nodes[0])
        if best is None or candidate < best:
            best = candidate
    assert best is not None
    return f"Best is {board.nodes[best[1]].name} with {_amount(wish, last, -best[0])}."


def _closed(board: Board) -> str:
    reasons: dict[str, int] = {}
    for node in board.nodes:
        why = node.closed_reason or "closed"
        reasons[why] = reasons.get(why, 0) + 1
    return f"{', '.join(f'{count} {why}' for why, count in sorted(reasons.items()))}."


def _models_there(wish: Wish, board: Board) -> str:
    slots = {slot for s in board.shapes() if s.layout.is_open for slot in s.layout.slots}
    if not slots:
        return "The open nodes have no accelerators."
    if any(suits(wish._replace(milli=1000), slot) for slot in slots):
        return "Those there are handed out whole only."
    return f"There are {_words(sorted({slot.model for slot in slots}))}."


def _quota_left(request: Request, board: Board) -> str:
    room = request.flavors or {}
    if not request.wants_accelerators:
        return f"Left: {_thousandths(room.get(CPU_FLAVOR, 0))} cores."
    slots = {slot for s in board.shapes() for slot in s.layout.slots}
    asked = {slot.flavor for slot in slots if not request.models or slot.model in request.models}
    left = [
        f"{_thousandths(milli)} {flavor}"
        for flavor, milli in sorted(room.items())
        if flavor in asked or (not asked and flavor != CPU_FLAVOR)
    ]
    return f"Left: {', '.join(left)}." if left else "There is no quota for any accelerator."


def _free_count(ranking: Ranking, shape: Shape) -> int:
    """Free devices of one flavor; for a share, the most that is free on one device."""
    groups = ranking.groups(shape.layout)
    if isinstance(groups, Filter):
        return 0
    if ranking.wish.is_share:
        return max((shape.free[s] for g in groups for s in g.slots if not shape.seats or shape.seats[s]), default=0)
    return max((len(free_slots(shape, g)) for g in groups), default=0)


def _device_memory(ranking: Ranking, shape: Shape) -> int:
    """The memory to be had on the devices that have the compute: of the last one that is needed."""
    groups = ranking.groups(shape.layout)
    if isinstance(groups, Filter):
        return 0
    wish, most = ranking.wish, 0
    for group in groups:
        free = sorted((shape.free_memory[s] for s in free_slots(shape, group)), reverse=True)
        if len(free) >= wish.devices:
            most = max(most, free[wish.devices - 1])
    return most


_MEASURES: dict[Filter, Callable[[Ranking, Shape], int]] = {
    Filter.ACCELERATORS: _free_count,
    Filter.DEVICE_MEMORY: _device_memory,
    Filter.CPU: lambda _, shape: shape.cpu_milli,
    Filter.MEMORY: lambda _, shape: shape.memory_mib,
}


def _amount(wish: Wish, last: Filter, amount: int) -> str:
    if last == Filter.ACCELERATORS:
        return f"{amount}/1000 of a device" if wish.is_share else str(amount)
    if last == Filter.CPU:
        return f"{_thousandths(amount)} cores"
    return f"{amount} MiB"


def _want(request: Request, last: Filter) -> str:
    """What is asked of one node, as far as the filter looks at it."""
    if last == Filter.CPU:
        return f"{_thousandths(request.cpu_milli)} cores{_beside(request)}"
    if last == Filter.MEMORY:
        return f"{request.memory_mib} MiB of memory{_beside(request)}"
    if last == Filter.DEVICE_MEMORY:
        memory = f" with {request.device_memory_mib} MiB" if request.device_memory_mib else " and its memory"
        return _devices(request) + memory
    return _devices(request)


def _devices(request: Request) -> str:
    if not request.wants_accelerators:
        return "No accelerator"
    kind = _words(sorted(request.models or request.vendors))
    if request.milli < 1000:
        return f"{request.milli}/1000 of one {kind or 'accelerator'}"
    return f"{request.devices} {kind or ('accelerator' if request.devices == 1 else 'accelerators')}"


def _beside(request: Request) -> str:
    return f" beside {_devices(request)}" if request.wants_accelerators else ""


_MESSAGES: dict[Filter, Callable[[Request], str]] = {
    Filter.CLOSED: lambda _: "No node takes new work.",
    Filter.SITE: lambda r: f"No open node at {_words(sorted(r.sites))}.",
    Filter.MODEL: lambda r: (
        f"{_devices(r)} wanted; no open node has such a model{' to share' if r.milli < 1000 else ''}."
    ),
    Filter.QUOTA: lambda r: f"The quota left does not cover {_quota_want(r)}.",
    Filter.ACCELERATORS: lambda r: f"{_devices(r)} free on one node wanted.",
    Filter.DEVICE_MEMORY: lambda r: f"{_want(r, Filter.DEVICE_MEMORY)} free on one node wanted.",
    Filter.CPU: lambda r: f"{_want(r, Filter.CPU)} free on one node wanted.",
    Filter.MEMORY: lambda r: f"{_want(r, Filter.MEMORY)} free on one node wanted.",
}


def _quota_want(request: Request) -> str:
    return _devices(request) if request.wants_accelerators else f"{_thousandths(request.cpu_milli)} cores"


def _thousandths(milli: int) -> str:
    """1500 -> 1.5"""
    return f"{milli / 1000:.3f}".rstrip("0").rstrip(".")


def _words(names: Iterable[str]) -> str:
    return " or ".join(names)
