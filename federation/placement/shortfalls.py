"""Why a gang was not placed: how many members are wanted together, and which place came nearest."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from federation.placement.columns import Columns
from federation.placement.filters import Filter
from federation.placement.refusals import REASONS, Missed, amounts, never, not_now
from federation.placement.terms import ANY, CLUSTER, NETWORK, NODE, RACK, SITE
from federation.placement.types import Miss, Refusal, Request

_TOGETHER = {
    ANY: "", SITE: " at one site", CLUSTER: " in one cluster", RACK: " on one rack", NETWORK: " on one network",
    NODE: " on one node",
}  # fmt: skip
_APART = {"": "", NODE: ", no two on one node", RACK: ", no two on one rack", SITE: ", no two at one site"}


@dataclass(frozen=True, slots=True)
class Short:
    """What there is for a gang that found no place.

    `most` members fit where most fit: at the place of this `name`, whose best node is `node`. Either `term` keeps
    members apart or together who would fit without it, or there is no room for all of them anywhere: `missed` is then
    what the member after the first `placed` lacks.
    """

    most: int = 0
    fitting: int = 0  # nodes that fit one member
    name: tuple[str, ...] = ()
    node: str = ""
    term: Filter | None = None
    filters: Mapping[str, int] = field(default_factory=dict)
    missed: Missed | None = None
    placed: int = 0


def gang_not_now(request: Request, short: Short, columns: Columns) -> Refusal:
    """It has to wait."""
    missed = short.missed
    is_anywhere = request.topology == ANY and not request.spread
    if missed is not None and (is_anywhere or not short.fitting or missed.last == Filter.QUOTA):
        return not_now(request, missed, columns, short.placed)
    if short.term is not None:
        reason = "NotEnoughApart" if short.term == Filter.SPREAD else "NotEnoughTogether"
    else:
        reason = REASONS[missed.last] if missed is not None else "NotEnoughTogether"
    message = f"{_wanted(request)} wanted, each with {amounts(request)}."
    filters = short.filters if missed is None else missed.filters
    return Refusal(
        request.id, reason, message, filters=filters, nearest=_nearest(request, short), miss=_miss(request, short)
    )


def gang_never(request: Request, short: Short, columns: Columns) -> Refusal:
    """Not even the empty fleet has room; `columns` are those of that empty fleet."""
    if not short.fitting and short.missed is not None:
        return never(request, short.missed, columns)
    filters = short.missed.filters if short.missed is not None else short.filters
    room = f"room for only {short.most} of {request.least} members" if short.most else "no place for a member"
    message = f"Even empty, there is {room}{_TOGETHER[request.topology]}{_APART[request.spread]}."
    return Refusal(
        request.id, "NeverFits", message, is_final=True, filters=filters, nearest=_nearest(request, short),
        miss=_miss(request, short),
    )  # fmt: skip


def _wanted(request: Request) -> str:
    least = f"At least {request.least} of " if request.least < request.replicas else ""
    return f"{least}{request.replicas} members{_TOGETHER[request.topology]}{_APART[request.spread]}"


def _nearest(request: Request, short: Short) -> str:
    if not short.most:
        return f"No node that would do has a {RACK if RACK in (request.topology, request.spread) else NETWORK}."
    if request.topology == ANY:
        return f"There is room for {short.most}."
    return f"Best is {_words(request.topology, short.name)} with room for {short.most}."


def _words(topology: str, name: tuple[str, ...]) -> str:
    place = f"{topology} {name[-1]}"
    if topology == RACK:
        return f"{place} of cluster {name[1]}"
    return place if topology == SITE else f"{place} at {name[0]}"


def _miss(request: Request, short: Short) -> Miss:
    found = short.term or (Filter.SPREAD if request.topology == ANY else Filter.TOPOLOGY)
    node = short.node if request.topology == NODE else ""
    return Miss(node, found.value, request.least, short.most, "members", "/".join(short.name))
