"""What work wrote, kept by the hub: sent along by agents, or fetched from a site just before the work goes there."""

import codecs
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from federation.drivers.abilities import LogChunk, LogFollower, LogReader
from federation.drivers.base import SiteDriver, Unavailable
from federation.models import Allocation, LogPart
from federation.states import AllocationState

logger = logging.getLogger(__name__)
PART_BYTES = 64 << 10
FIRST_BYTES, LAST_BYTES = 1 << 20, 3 << 20  # kept of each log: people look at how it began and at how it ended
MOST_SECONDS = 15.0
_MOST_PARTS = 64
_MOST_DROPPED = 5000


def keep(ref: str, driver: SiteDriver, *, has_ended: bool) -> None:
    """Fetch the output of work that is about to be removed, once. What cannot be had stops nobody from removing it."""
    if driver.keeps_output or not isinstance(driver, LogReader) or LogPart.objects.filter(allocation_id=ref).exists():
        return
    try:
        pieces = (
            _until_late(driver.follow(ref)) if has_ended and isinstance(driver, LogFollower) else _at_once(ref, driver)
        )
        rows = list(_rows(ref, pieces))
    except Unavailable as error:
        logger.info("The output of %s could not be kept: %s", ref, error)
        return
    with transaction.atomic():
        LogPart.objects.bulk_create(rows, ignore_conflicts=True)  # somebody else may have been at it


def _at_once(ref: str, driver: LogReader) -> Iterator[bytes]:
    """Of what still runs: what there is now."""
    yield driver.logs(ref, 0, FIRST_BYTES + LAST_BYTES).text.encode()


def _until_late(pieces: Iterator[bytes]) -> Iterator[bytes]:
    until = time.monotonic() + MOST_SECONDS
    for piece in pieces:
        yield piece
        if time.monotonic() > until:
            return


def _rows(ref: str, pieces: Iterable[bytes]) -> Iterator[LogPart]:
    """The first and the last of it, with a word in the place of what is left out between."""
    first, last, held, size = bytearray(), deque[bytes](), 0, 0
    for piece in pieces:
        size += len(piece)
        room = FIRST_BYTES - len(first)
        first += piece[:room]
        if rest := piece[room:]:
            last.append(rest)
            held += len(rest)
        while held - len(last[0] if last else b"") >= LAST_BYTES:
            held -= len(last.popleft())
    yield from _parts(ref, 0, bytes(first))
    if left_out := size - len(first) - held:
        yield LogPart(
            allocation_id=ref, start=len(first), size=left_out, text=f"\n[{left_out:,} bytes are left out here]\n"
        )
    yield from _parts(ref, size - held, b"".join(last))


def _parts(ref: str, start: int, data: bytes) -> Iterator[LogPart]:
    """Whole letters in each."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    begin = 0
    for end in range(PART_BYTES, len(data) + PART_BYTES, PART_BYTES):
        is_last = end >= len(data)
        text = decoder.decode(data[end - PART_BYTES : end], is_last).replace("\x00", "\ufffd")
        upto = min(end, len(data)) - len(decoder.getstate()[0])
        yield LogPart(allocation_id=ref, start=start + begin, size=upto - begin, text=text)
        begin = upto


def read(ref: str, offset: int, limit: int = PART_BYTES) -> LogChunk:
    """From `offset` on, about `limit` bytes, in whole parts but for the first. Complete when nothing follows."""
    rows = LogPart.objects.filter(allocation_id=ref).order_by("start")
    before = rows.filter(start__lt=offset).last()
    found = [before] if before and before.start + before.size > offset else []
    found += rows.filter(start__gte=offset)[:_MOST_PARTS]
    text, end = "", offset
    for row in found:
        text += row.text.encode()[offset - row.start :].decode(errors="replace") if row.start < offset else row.text
        end = row.start + row.size
        if end - offset >= limit:
            break
    return LogChunk(text, end, is_complete=not rows.filter(start__gte=end).exists())


def drop_old() -> int:
    """What ended too long ago; how many parts went. A few at a time: each holds up to 64 KiB."""
    before = timezone.now() - timedelta(days=settings.FEDERATION_OUTPUT_DAYS)
    ended = Allocation.objects.filter(state=AllocationState.RELEASED, state_since__lt=before)
    old = LogPart.objects.filter(allocation_id__in=ended.values("pk")).values("pk")[:_MOST_DROPPED]
    return LogPart.objects.filter(pk__in=old).delete()[0]
