"""Sending output on: whole characters, by byte offset, from where the hub says it wants more."""

import codecs
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aquifer_agent import folder as f
from aquifer_agent import room
from aquifer_agent.run import Run

MOST_BYTES_PER_SYNC = 256 * 1024
MOST_GAP_BYTES = 1024 * 1024  # that one piece may stand for


class LogShipper:
    def __init__(self) -> None:
        self._wanted: dict[str, int] = {}
        self._gap_goes_on: dict[str, int] = {}  # at this offset the words for the gap have been sent before
        self._turn = ""  # the ref served last: the next one comes first, so that nobody starves
        self.is_full = False  # the last report had no room for all of it

    def take_offsets(self, offsets: Mapping[str, Any]) -> None:
        """The hub's answer: for which work, and from which byte, it wants more."""
        self._wanted = {str(ref): int(offset) for ref, offset in offsets.items() if int(offset) >= 0}
        self._gap_goes_on = {ref: at for ref, at in self._gap_goes_on.items() if ref in self._wanted}

    def sent(self, ref: str) -> int:
        """How much of it the hub has, for certain."""
        return self._wanted.get(ref, 0)

    def is_behind(self, run: Run) -> bool:
        """Whether the hub still wants some of this run's output."""
        return self._wanted.get(run.ref, f.MOST_LOG_BYTES) < f.log_size(run.folder)

    def pieces(self, runs: Iterable[Run], budget: int = MOST_BYTES_PER_SYNC) -> list[dict[str, Any]]:
        """What goes into the next report, in turn, at most `budget` bytes of text in all."""
        waiting = sorted((run for run in runs if self.is_behind(run)), key=lambda run: run.ref)
        waiting = [r for r in waiting if r.ref > self._turn] + [r for r in waiting if r.ref <= self._turn]
        found: list[dict[str, Any]] = []
        self.is_full = False
        for run in waiting:
            offset = self._wanted[run.ref]
            gap = next(((begin, end) for begin, end in room.dropped(run.folder) if end > offset), None)
            if gap and gap[0] <= offset:
                size = min(gap[1] - offset, MOST_GAP_BYTES)
                text = "" if self._gap_goes_on.get(run.ref) == offset else room.words(gap[1] - offset)
                self._gap_goes_on[run.ref] = offset + size
                found.append({"ref": run.ref, "offset": offset, "text": text, "size": size})
                budget -= len(text)
                self.is_full = True
                continue
            limit = min(budget, gap[0] - offset) if gap else budget
            is_cut = gap is not None and limit == gap[0] - offset
            text, size = read_text(run.folder / f.LOG, offset, limit, is_ended=bool(run.exit), is_cut=is_cut)
            if size:
                found.append({"ref": run.ref, "offset": offset, "text": text})
                self._turn = run.ref
                budget -= size
            self.is_full = self.is_full or budget < 1024 or offset + size < f.log_size(run.folder)
            if budget < 1024:
                break
        return found


def read_text(path: Path, offset: int, limit: int, *, is_ended: bool, is_cut: bool = False) -> tuple[str, int]:
    """Text from `offset` on, and how many bytes of the file it stands for, at most `limit`.

    The text is as many bytes long in UTF-8 as what it stands for, so both sides can count from it. It never
    splits a character: an unfinished one at the end waits for its rest, unless the work has ended or the rest is gone.
    """
    try:
        with open(path, "rb") as log:
            log.seek(offset)
            raw = log.read(limit)
            is_last = is_cut or (is_ended and not log.read(1))
    except OSError:
        return "", 0
    decoder = codecs.getincrementaldecoder("utf-8")(_PLAIN)
    text = decoder.decode(raw, final=is_last)
    return text.replace("\0", "?"), len(raw) - len(decoder.getstate()[0])


def _question_marks(error: UnicodeError) -> tuple[str, int]:
    """One per byte that is not UTF-8."""
    assert isinstance(error, UnicodeDecodeError)
    return "?" * (error.end - error.start), error.end


_PLAIN = "aquifer-question-marks"
codecs.register_error(_PLAIN, _question_marks)


def tail(path: Path, limit: int = 900) -> str:
    """The end of a small file, for a message to people."""
    try:
        with open(path, "rb") as source:
            source.seek(max(0, os.fstat(source.fileno()).st_size - limit))
            return source.read(limit).decode(errors="replace").replace("\0", "?").strip()
    except OSError:
        return ""
