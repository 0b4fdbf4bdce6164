"""Why a request was not placed: what was missing, how many nodes each filter removed, which came nearest."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from federation.forms import CONTAINER, PROCESS, SERVER, VM
from federation.placement.columns import Columns
from federation.placement.filters import Filter, Wish, step_up, suits
from federation.placement.terms import NETWORK_CLASS_LABEL
from federation.placement.types import CPU_FLAVOR, Miss, NodeFree, Refusal, Request

REASONS = {
    Filter.CLOSED: "NoOpenNodes",
    Filter.SITE: "NoOpenNodes",
    Filter.REGION: "NoOpenNodes",
    Filter.FORM: "NoOpenNodes",
    Filter.WHOLE: "NoOpenNodes",
    Filter.LABEL: "NoOpenNodes",
    Filter.NETWORK: "NoOpenNodes",
    Filter.MODEL: "NoMatchingModel",
    Filter.MODE: "NoMatchingModel",
    Filter.QUOTA: "QuotaExhausted",
    Filter.ACCELERATORS: "NotEnoughFreeAccelerators",
    Filter.DEVICE_MEMORY: "NotEnoughFreeAccelerators",
    Filter.CPU: "NotEnoughCpu",
    Filter.MEMORY: "NotEnoughMemory",
}


@dataclass(frozen=True, slots=True)
class Missed:
    """What the loops found of a wish that no node fits."""

    wish: Wish
    filters: Mapping[str, int]  # how many nodes each removed, in the order they are asked
    last: Filter  # that any node reached
    node: NodeFree  # the one that came nearest there; the first in order of equals
    amount: int  # what it has of what that filter looks at


def no_nodes(request: Request) -> Refusal:
    return Refusal(request.id, "NoOpenNodes", "There is no node yet.")


def not_now(request: Request, missed: Missed, columns: Columns, placed: int = 0) -> Refusal:
    """It has to wait. `placed` members of it had found a node."""
    members = f"at least {request.least}" if request.least < request.replicas else f"{request.replicas}"
    gang = f"There is room for {placed} of {members} members now. " if request.replicas > 1 else ""
    return Refusal(
        request.id,
        REASONS[missed.last],
        gang + _MESSAGES[missed.last](request),
        filters=missed.filters,
        nearest=_nearest(request, missed, columns),
        miss=_miss(missed),
    )


def never(request: Request, missed: Missed, columns: Columns) -> Refusal:
    """No node of the empty fleet fits; `columns` are those of that empty fleet."""
    last = missed.last
    if last in _BY_NAME:
        named = last in (Filter.MODEL, Filter.MODE)
        reason, message = ("NoMatchingModel" if named else "NeverFits"), _MESSAGES[last](request)
    else:
        reason, message = "NeverFits", f"{_want(request, last)} on one node: no node has that, even when empty."
    nearest = _nearest(request, missed, columns)
    return Refusal(
        request.id, reason, message, is_final=True, filters=missed.filters, nearest=nearest, miss=_miss(missed)
    )


def _miss(missed: Missed) -> Miss | None:
    wish, last, node = missed.wish, missed.last, missed.node
    if last in (Filter.REGION, Filter.FORM, Filter.NETWORK, Filter.MODE):
        return Miss(node.id, last.value, 1, 0, last.value, _instead(missed))
    wanted = {
        Filter.WHOLE: (wish.devices, "devices"),
        Filter.LABEL: (len(wish.terms.labels), "labels"),
        Filter.ACCELERATORS: (_step(missed), "milli") if wish.is_share else (wish.devices, "devices"),
        Filter.DEVICE_MEMORY: (wish.device_memory_mib, "mib"),
        Filter.CPU: (wish.cpu_milli, "cpu-milli"),
        Filter.MEMORY: (wish.memory_mib, "mib"),
    }.get(last)
    if wanted is None:
        return None
    has = sum(d.is_healthy for d in node.devices) if last == Filter.WHOLE else missed.amount
    return Miss(node.id, last.value, wanted[0], has, wanted[1])


def _instead(missed: Missed) -> str:
    """What the nearest node has of what is asked for by name."""
    if missed.last == Filter.REGION:
        return missed.node.region
    if missed.last == Filter.FORM:
        return ", ".join(sorted(missed.node.forms))
    if missed.last == Filter.NETWORK:
        return missed.node.labels.get(NETWORK_CLASS_LABEL, "")
    return ", ".join(sorted({d.mode for d in missed.node.devices if suits(missed.wish, d)}))


def _nearest(request: Request, missed: Missed, columns: Columns) -> str:
    last, wish = missed.last, missed.wish
    if last == Filter.CLOSED:
        return _closed(columns)
    if last == Filter.SITE:
        return f"There are nodes at {_words(sorted({s.site for s in columns.layouts if s.is_open}))}."
    if last == Filter.REGION:
        regions = sorted({layout.region for layout in columns.layouts if layout.is_open and layout.region})
        return f"There are nodes in {_words(regions)}." if regions else "No site says in which region it is."
    if last == Filter.FORM:
        forms = {form for layout in columns.layouts if layout.is_open for form in layout.forms}
        return f"Those there run {_words(sorted(FORM_WORDS[form] for form in forms))}."
    if last == Filter.WHOLE:
        return f"Those there have {', '.join(map(str, _whole(columns)))} accelerators."
    if last == Filter.LABEL:
        return _labels_there(missed)
    if last == Filter.NETWORK:
        there = missed.node.labels.get(NETWORK_CLASS_LABEL)
        return f"{missed.node.name} has {there or 'none'}."
    if last == Filter.MODEL:
        return _models_there(wish, columns)
    if last == Filter.MODE:
        slots = {slot for layout in columns.layouts if layout.is_open for slot in layout.slots if suits(wish, slot)}
        return f"Those there are handed out {_words(sorted({slot.mode for slot in slots}))}."
    if last == Filter.QUOTA:
        return _quota_left(request, columns)
    stepped = ""
    if last == Filter.ACCELERATORS and wish.is_share and (step := _step(missed)) != wish.milli:
        stepped = f", where {step}/1000 is the next step"
    return f"Best is {missed.node.name} with {_amount(wish, last, missed.amount)}{stepped}."


def _whole(columns: Columns) -> list[int]:
    """With how many accelerators servers are leased."""
    return sorted({layout.healthy for layout in columns.layouts if layout.is_open and SERVER in layout.forms})


def _step(missed: Missed) -> int:
    """What a share would take on the nearest node: the next step of a device that has less than that free."""
    wish = missed.wish
    steps = {step_up(wish.milli, d.step_milli) for d in missed.node.devices if d.is_healthy and wish.may_have(d)}
    return min((step for step in steps if step > missed.amount), default=wish.milli)


def _labels_there(missed: Missed) -> str:
    node, labels = missed.node, sorted(missed.wish.terms.labels)
    other = next(f"{name} is {node.labels.get(name) or 'not set'}" for name, v in labels if node.labels.get(name) != v)
    return f"Best is {node.name} with {missed.amount} of {len(labels)}: its {other}."


def _closed(columns: Columns) -> str:
    reasons: dict[str, int] = {}
    for node in columns.fleet.nodes:
        why = node.closed_reason or "closed"
        reasons[why] = reasons.get(why, 0) + 1
    return f"{', '.join(f'{count} {why}' for why, count in sorted(reasons.items()))}."


def _models_there(wish: Wish, columns: Columns) -> str:
    slots = {slot for layout in columns.layouts if layout.is_open for slot in layout.slots}
    if not slots:
        return "The open nodes have no accelerators."
    if any(suits(wish._replace(milli=1000), slot) for slot in slots):
        return "Those there are handed out whole only."
    return f"There are {_words(sorted({slot.model for slot in slots}))}."


def _quota_left(request: Request, columns: Columns) -> str:
    room = request.flavors or {}
    if not request.wants_accelerators:
        return f"Left: {_thousandths(room.get(CPU_FLAVOR, 0))} cores."
    slots = {slot for layout in columns.layouts for slot in layout.slots}
    asked = {slot.flavor for slot in slots if not request.models or slot.model in request.models}
    left = [
        f"{_thousandths(milli)} {flavor}"
        for flavor, milli in sorted(room.items())
        if flavor in asked or (not asked and flavor != CPU_FLAVOR)
    ]
    return f"Left: {', '.join(left)}." if left else "There is no quota for any accelerator."


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


def amounts(request: Request) -> str:
    """What one member wants."""
    if request.wants_accelerators:
        return _devices(request)
    return f"{_thousandths(request.cpu_milli)} cores and {request.memory_mib} MiB of memory"


def _devices(request: Request) -> str:
    if not request.wants_accelerators:
        return "No accelerator"
    kind = _words(sorted(request.models or request.vendors))
    if request.milli < 1000:
        return f"{request.milli}/1000 of one {kind or 'accelerator'}"
    return f"{request.devices} {kind or ('accelerator' if request.devices == 1 else 'accelerators')}"


def _beside(request: Request) -> str:
    return f" beside {_devices(request)}" if request.wants_accelerators else ""


# Not by amount.
_BY_NAME = {
    Filter.SITE,
    Filter.REGION,
    Filter.FORM,
    Filter.WHOLE,
    Filter.LABEL,
    Filter.NETWORK,
    Filter.MODEL,
    Filter.MODE,
}
FORM_WORDS = {PROCESS: "programs", CONTAINER: "containers", VM: "virtual machines", SERVER: "whole servers"}

_MESSAGES: dict[Filter, Callable[[Request], str]] = {
    Filter.CLOSED: lambda _: "No node takes new work.",
    Filter.SITE: lambda r: f"No open node at {_words(sorted(r.sites))}.",
    Filter.REGION: lambda r: f"No open node in {_words(sorted(r.regions))}.",
    Filter.FORM: lambda r: f"No open node runs {FORM_WORDS[r.form]}.",
    Filter.WHOLE: lambda r: f"{_devices(r)} wanted; servers are leased whole, and no open one has just so many.",
    Filter.LABEL: lambda r: f"No open node has {' and '.join(f'{k} = {v}' for k, v in sorted(r.labels.items()))}.",
    Filter.NETWORK: lambda r: f"No open node is on a network of the class {r.network_class}.",
    Filter.MODEL: lambda r: (
        f"{_devices(r)} wanted; no open node has such a model{' to share' if r.milli < 1000 else ''}."
    ),
    Filter.MODE: lambda r: f"{_devices(r)} wanted, handed out {_words(sorted(r.modes))}; no open node does so.",
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
