"""Threads beside the one that reports. A call that hangs keeps its thread, and nobody else."""

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)


class Threads:
    """Daemons, all of them: the process may end at any moment, as if it were killed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._calls: dict[int, float] = {}
        self._is_paused = False
        self._rounds: dict[str, int] = {}

    def start(self, kind: str, step: Callable[[], float]) -> None:
        """Call `step` for good; it says in how many seconds it wants to be called again. `wake` calls it at once."""
        threading.Thread(target=self._run, args=(kind, step), name=kind, daemon=True).start()

    def wake(self, *kinds: str) -> None:
        with self._changed:
            for kind in kinds:
                self._rounds[kind] = self._rounds.get(kind, 0) + 1
            self._changed.notify_all()

    def pause(self, is_paused: bool) -> None:
        """While somebody else speaks for this site, nobody asks it anything."""
        with self._changed:
            self._is_paused = is_paused
            self._changed.notify_all()

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Around each call of a driver."""
        number = next(self._numbers)
        with self._changed:
            self._calls[number] = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._calls[number]

    def longest_call(self) -> float:
        """Seconds since the oldest call that is still out was made."""
        with self._changed:
            return time.monotonic() - min(self._calls.values(), default=time.monotonic())

    def _run(self, kind: str, step: Callable[[], float]) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._is_paused)
                begun = self._rounds.get(kind, 0)
            try:
                wait = step()
            except Exception:  # a fault of the driver's, or ours: the thread must go on
                logger.exception("%s: this went wrong; going on.", kind)
                wait = 5.0
            self._rest(kind, begun, wait)

    def _rest(self, kind: str, begun: int, seconds: float) -> None:
        if seconds > 0:
            with self._changed:
                self._changed.wait_for(lambda: self._rounds.get(kind, 0) != begun, timeout=seconds)
