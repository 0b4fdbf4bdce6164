"""Room on the disk for output: bounded for all work together, however long the hub is away.

What the hub has goes first, and is no loss. Then what it has not: of work that has ended, the oldest end first; then of
what runs, the largest first. A piece that is dropped keeps its place: offsets stay what they were, and in its place
the hub is sent words that say how much is missing.
"""

import ctypes
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from aquifer_agent import files
from aquifer_agent import folder as f
from aquifer_agent.run import Run

logger = logging.getLogger(__name__)
MOST_BYTES = 2 * 1024**3
DROPPED = "dropped.json"  # in a run's folder: {"ranges": [[from, to], ...]} of bytes that are no longer there
LOOK_SECONDS = 5.0
_ENOUGH = 0.8  # of the bound, so that it is not looked for at each turn
_BLOCK = 4096
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # fallocate(2)


class Room:
    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._look_at = 0.0

    def look(self, runs: Iterable[Run], sent: Callable[[str], int]) -> None:
        """In each turn of the loop; it looks now and then."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            self.keep(runs, sent)

    def keep(self, runs: Iterable[Run], sent: Callable[[str], int]) -> int:
        """Bring the output of all runs within the bound; `sent` is what the hub has of one. How much is used now."""
        runs = list(runs)
        used = {run.ref: _used(run.folder) for run in runs}
        total = sum(used.values())
        if total <= self._most:
            return total
        goal = int(self._most * _ENOUGH)
        by_size = sorted(runs, key=lambda run: -used[run.ref])
        ended = sorted((run for run in runs if run.exit), key=_ended_at)
        turns = [(run, False) for run in by_size]
        turns += [(run, True) for run in ended] + [(run, True) for run in by_size if not run.exit]
        for run, is_loss in turns:
            if total <= goal:
                break
            size = f.log_size(run.folder)
            begin, end = (min(sent(run.ref), size), size) if is_loss else (0, min(sent(run.ref), size))
            if end - begin < _BLOCK or not used[run.ref]:
                continue
            before = _used(run.folder)
            try:
                _drop(run, begin, end, is_loss=is_loss)
            except OSError as error:
                logger.warning("Cannot make room in the output of %s: %s.", run.ref, error)
                continue
            total -= before - _used(run.folder)
            if is_loss:
                logger.warning("Dropped %d bytes of output of %s: no more room.", end - begin, run.ref)
        return total


def dropped(folder: Path) -> list[tuple[int, int]]:
    """The gaps in a run's output, in order."""
    kept = files.read_json(folder / DROPPED) or {}
    return [(int(begin), int(end)) for begin, end in kept.get("ranges", [])]


def words(size: int) -> str:
    return f"\n[aquifer: {size} bytes of output were dropped here: this machine had no more room for output]\n"


def _drop(run: Run, begin: int, end: int, *, is_loss: bool) -> None:
    """First write down that it is gone, then let it go: what is in between is told twice, never read as zeros."""
    ranges = [(a, b) for a, b in dropped(run.folder) if not (begin <= a and b <= end)]
    files.write_json(run.folder / DROPPED, {"ranges": sorted([*ranges, (begin, end)])})
    descriptor = os.open(run.folder / f.LOG, os.O_RDWR)
    try:
        _punch(descriptor, begin, end - begin)
    except OSError:
        size = os.fstat(descriptor).st_size
        if not run.exit or end < size:
            raise
        # This file system makes no holes, but nobody writes any more: the tail is cut off and put back as one.
        os.ftruncate(descriptor, begin)
        os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


def _punch(descriptor: int, offset: int, size: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.fallocate(
        ctypes.c_int(descriptor), ctypes.c_int(_KEEP_SIZE | _PUNCH_HOLE), ctypes.c_longlong(offset),
        ctypes.c_longlong(size),
    )  # fmt: skip
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _used(folder: Path) -> int:
    """On the disk: holes take no room."""
    try:
        return (folder / f.LOG).stat().st_blocks * 512
    except OSError:
        return 0


def _ended_at(run: Run) -> float:
    try:
        return (run.folder / f.EXIT).stat().st_mtime
    except OSError:
        return 0.0
