"""The output of work, read piece by piece from where the hub wants more, and kept only until the hub has it."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from federation.drivers.abilities import LogChunk

MOST_BYTES = 256 * 1024  # of one report, and held in memory
PIECE_BYTES = 64 * 1024
MOST_LOG_BYTES = 16 * 1024 * 1024  # of one piece of work; the hub keeps no more
_LONGEST_WAIT_SECONDS = 15.0
_PATIENCE = 6  # looks for more output of ended work, when the site never says that this was all


@dataclass(slots=True)
class Tail:
    wanted: int = 0
    chunk: LogChunk | None = None  # from `wanted` on, not yet with the hub
    end: int = 0  # as far as it was read
    is_complete: bool = False
    is_busy: bool = False
    next_try: float = 0.0
    quiet: int = 0

    @property
    def size(self) -> int:
        return self.chunk.next_offset - self.wanted if self.chunk else 0


class Tails:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tails: dict[str, Tail] = {}
        self._turn = ""  # the ref served last: the next one comes first, so that nobody starves

    def take_offsets(self, offsets: Mapping[str, Any]) -> None:
        """The hub's answer: of which work, and from which byte on, it wants more."""
        with self._lock:
            self._tails = {str(ref): self._moved(str(ref), int(at)) for ref, at in offsets.items() if int(at) >= 0}

    def _moved(self, ref: str, wanted: int) -> Tail:
        tail = self._tails.get(ref) or Tail(wanted, end=wanted)
        if tail.wanted != wanted:
            if tail.end != wanted:
                tail.is_complete = False
            tail.wanted, tail.chunk, tail.next_try = wanted, None, 0.0
        return tail

    def next_read(self, has_output: Callable[[str], bool]) -> tuple[str, int, int] | None:
        """(ref, offset, how many bytes at most), in turn; None when there is nothing to read or no room for it."""
        with self._lock:
            if (
                sum(tail.size or PIECE_BYTES for tail in self._tails.values() if tail.chunk or tail.is_busy)
                >= MOST_BYTES
            ):
                return None
            now = self._clock()
            for ref in [r for r in self._tails if r > self._turn] + [r for r in self._tails if r <= self._turn]:
                tail = self._tails[ref]
                limit = min(PIECE_BYTES, MOST_LOG_BYTES - tail.wanted)
                is_due = not (tail.chunk or tail.is_busy or tail.is_complete) and now >= tail.next_try
                if is_due and limit > 0 and has_output(ref):
                    tail.is_busy, self._turn = True, ref
                    return ref, tail.wanted, limit
            return None

    def read(self, ref: str, offset: int, chunk: LogChunk | None, *, has_ended: bool) -> None:
        """What came of a read; None when the site did not answer."""
        with self._lock:
            tail = self._tails.get(ref)
            if tail is None:
                return
            tail.is_busy = False
            if tail.wanted != offset:
                return  # the hub has moved on meanwhile
            if chunk is not None and chunk.next_offset > offset:
                tail.chunk, tail.end, tail.quiet = chunk, chunk.next_offset, 0
            else:
                tail.quiet = min(tail.quiet + 1, 10)
                tail.next_try = self._clock() + min(0.5 * 2**tail.quiet, _LONGEST_WAIT_SECONDS)
            tail.is_complete = (chunk is not None and chunk.is_complete) or (has_ended and tail.quiet >= _PATIENCE)

    def pieces(self, most: int = MOST_BYTES) -> list[dict[str, Any]]:
        """What goes into a report. It stays here until the hub wants what comes after it."""
        found: list[dict[str, Any]] = []
        with self._lock:
            for ref, tail in self._tails.items():
                if tail.chunk is None or (found and tail.size > most):
                    continue
                most -= tail.size
                text = tail.chunk.text.replace("\0", "?")
                found.append({"ref": ref, "offset": tail.wanted, "text": text, "size": tail.size})
        return found

    def is_behind(self, ref: str) -> bool:
        """Whether the hub still wants output of this work that it has not got."""
        with self._lock:
            tail = self._tails.get(ref)
            return (
                tail is not None and (tail.chunk is not None or not tail.is_complete) and tail.wanted < MOST_LOG_BYTES
            )

    def size(self, ref: str) -> int | None:
        """How much output there is, as far as is known; one more than was read while more may follow."""
        with self._lock:
            tail = self._tails.get(ref)
            return None if tail is None else tail.end + (0 if tail.is_complete else 1)

    def has_pieces(self) -> bool:
        with self._lock:
            return any(tail.chunk for tail in self._tails.values())
