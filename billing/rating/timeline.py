"""Stretches of time: cut at edges, and compared with what was recorded of them before. Half-open, whole seconds."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

_HOUR = timedelta(hours=1)
Span = tuple[datetime, datetime]


def hours(start: datetime, end: datetime, edges: Sequence[datetime] = ()) -> Iterator[Span]:
    """An interval cut at the hours of UTC, and at `edges` (in order)."""
    while start < end:
        stop = min(end, start.replace(minute=0, second=0, microsecond=0) + _HOUR)
        after = bisect_right(edges, start)
        if after < len(edges):
            stop = min(stop, edges[after])
        yield start, stop
        start = stop


def less(span: Span, taken: Iterable[Span]) -> Iterator[Span]:
    """What is left of a span without those that are taken, which do not overlap each other."""
    start, end = span
    for begin, stop in sorted(taken):
        if start < min(begin, end):
            yield start, min(begin, end)
        start = max(start, stop)
    if start < end:
        yield start, end


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record of usage that is there."""

    id: UUID
    start: datetime
    end: datetime
    is_charged: bool
    revision: int
    reverses: UUID | None


@dataclass(slots=True)
class Change:
    """What has to happen to records."""

    gone: list[UUID] = field(default_factory=list)
    reversed: list[Recorded] = field(default_factory=list)
    added: list[tuple[datetime, datetime, int]] = field(default_factory=list)  # with the revision


def amend(
    start: datetime | None,
    end: datetime | None,
    recorded: Sequence[Recorded],
    edges: Sequence[datetime] = (),
    *,
    is_tail: bool = False,
) -> Change:
    """Make the records of one allocation say that it ran from `start` to `end` (or never).

    `recorded` are all of its records, or (`is_tail`) those at the end alone, before which nothing changes. What is not
    charged follows; what is charged stays where it is true, and is reversed where it is not.
    """
    change = Change()
    reversals = {r.reverses: r for r in recorded if r.reverses is not None}
    revisions: dict[datetime, int] = {}
    loose: dict[datetime, Recorded] = {}
    kept: list[Span] = []
    live: list[datetime] = []
    for record in (r for r in recorded if r.reverses is None):
        revisions[record.start] = max(revisions.get(record.start, -1), record.revision)
        reversal = reversals.get(record.id)
        if reversal is not None and reversal.is_charged:
            continue
        live.append(record.start)
        if not record.is_charged:
            loose[record.start] = record
        elif start is not None and end is not None and start <= record.start and record.end <= end:
            kept.append((record.start, record.end))
            if reversal is not None:
                change.gone.append(reversal.id)
        elif reversal is None:
            change.reversed.append(record)
    if start is not None and end is not None:
        begin = max([start, *([min(live)] if is_tail and live else [])])
        for free in less((begin, end), kept):
            for begins, ends in hours(*free, edges):
                there = loose.pop(begins, None)
                revision = revisions.get(begins, -1) + 1 if there is None else there.revision
                change.added.append((begins, ends, revision))
    change.gone += [record.id for record in loose.values()]
    return change
