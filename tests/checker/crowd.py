"""Processes that all want the same thing at once. Forked, so that they begin within milliseconds."""

import ctypes
import multiprocessing
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from multiprocessing.sharedctypes import RawArray
from typing import Any

from django.db import connections

from federation.drivers import fake_postgres

_fork = multiprocessing.get_context("fork")
Work = Callable[[int], None]  # is given the number of its slot


class Crowd:
    """`work(slot)` in a process for each slot, until all have returned.

    `counts[name][slot]` are numbers that outlive their process: each slot has one writer and no lock, which a
    SIGKILL could leave taken for ever.
    """

    def __init__(self, work: Work, *, size: int, counted: tuple[str, ...] = ()) -> None:
        self._work = work
        self._processes: list[ForkProcess] = []
        self._size = size
        self.counts: dict[str, Any] = {name: RawArray(ctypes.c_long, size) for name in counted}
        self.killed = 0

    def total(self, name: str) -> int:
        return sum(self.counts[name])

    def run(self, *, kill_every: float = 0.0, spared: int = 0, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Start, now and then kill one with SIGKILL and start another in its place, and wait for the rest.

        The last `spared` slots are not killed. `meanwhile` is called about 20 times a second.
        """
        dice = random.Random(0)
        self._processes = [self._start(slot) for slot in range(self._size)]
        next_kill = time.monotonic() + kill_every
        try:
            while alive := [p for p in self._processes if p.exitcode is None]:
                alive[0].join(0.05)
                meanwhile()
                if kill_every and time.monotonic() >= next_kill:
                    next_kill = time.monotonic() + kill_every
                    self._replace(dice.randrange(self._size - spared))
        finally:
            for process in self._processes:
                process.kill()
                process.join()
        failed = [p.exitcode for p in self._processes if p.exitcode]
        assert not failed, f"a process of the crowd ended with {failed}: its traceback is above"

    def _replace(self, slot: int) -> None:
        victim = self._processes[slot]
        victim.kill()
        victim.join()
        if victim.exitcode == -signal.SIGKILL:  # else it had just finished by itself
            self.killed += 1
            self._processes[slot] = self._start(slot)

    def _start(self, slot: int) -> ForkProcess:
        connections.close_all()  # a connection belongs to one process
        fake_postgres.close_all()
        process = _fork.Process(target=self._work, args=(slot,), daemon=True)
        process.start()
        return process
