"""Keeps the children running, and ends them in order.

One thread, one loop: pass on output, collect what ended, start again what crashed, look at the worker's
probe. SIGINT, SIGTERM and SIGHUP ask it to stop; asked twice it kills at once. Children stop in the reverse
of the order they were started in, each with a few seconds of its own, all within STOP_SECONDS.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Self

from portal.supervise.output import Output
from portal.supervise.processes import Child, adopt_orphans, reap_strangers, sweep_up
from portal.supervise.steps import tick

STOP_SECONDS = 9.5
STEADY_SECONDS = 60.0  # a child that ran this long starts its count of crashes anew
BACKOFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Somebody asked us to stop."""


class Probe:
    """A file its owner touches while it works; too old means hung, and hung means a new process."""

    def __init__(self, file: Path, seconds: float, children: tuple[str, ...]) -> None:
        self.file = file
        self.seconds = seconds
        self.children = children

    def age(self, now: float) -> float | None:
        try:
            return now - self.file.stat().st_mtime
        except OSError:
            return None


class Supervisor:
    """`with Supervisor(folder) as supervisor:` start children, `run()`, and leave with nothing left over."""

    def __init__(self, logs: Path) -> None:
        self.output = Output(logs)
        self.children: list[Child] = []
        self.probes: list[Probe] = []
        self.wishes = 0
        self._before: list[tuple[int, object]] = []

    def __enter__(self) -> Self:
        adopt_orphans()
        self._before = [(sign, signal.signal(sign, self._asked)) for sign in _SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for sign, handler in self._before:
            signal.signal(sign, handler)  # type: ignore[arg-type]  # what signal.signal gave us back

    def start(self, child: Child) -> Child:
        if child not in self.children:
            self.children.append(child)
        child.start()
        self.output.listen(child)
        return child

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Go round until the condition holds; False when it did not in `seconds`. Raises Stopped when asked to."""
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() > deadline:
                return False
            self.turn(0.05)
        return True

    def run(self) -> None:
        """Until somebody asks to stop."""
        while True:
            self.turn(0.25)

    def turn(self, seconds: float) -> None:
        if self.wishes:
            raise Stopped
        self.output.pump(seconds)
        tick()
        now = time.monotonic()
        for child in self.children:
            self._look_at(child, now)
        for probe in self.probes:
            self._look_at_probe(probe, now)
        reap_strangers({child.pid for child in self.children if child.pid})

    def stop(self) -> None:
        """Children in reverse order, then whatever they left behind."""
        last = time.monotonic() + STOP_SECONDS
        for child in reversed(self.children):
            child.signal(child.stop_signal)
            until = min(time.monotonic() + child.stop_seconds, last)
            while child.is_running() and time.monotonic() < until and self.wishes < 2:
                self.output.pump(0.02)
            child.kill_session()
            if child.process:
                child.process.wait()
            self.output.pump(0)
        for pid in sweep_up():
            self.output.note(f"process {pid} could not be ended", 31)

    def _asked(self, sign: int, frame: FrameType | None) -> None:
        self.wishes += 1

    def _look_at(self, child: Child, now: float) -> None:
        if child.restart_at is not None:
            if now >= child.restart_at:
                self.start(child)
            return
        if child.process is None or child.is_running():
            return
        code = child.process.returncode
        child.kill_session()
        if not child.is_restarted:
            return
        child.crashes = 1 if now - child.started_at > STEADY_SECONDS else child.crashes + 1
        pause = BACKOFF_SECONDS[min(child.crashes, len(BACKOFF_SECONDS)) - 1]
        child.restart_at = now + pause
        self.output.note(f"{child.name} ended ({in_words(code)}); starting it again in {pause:.0f} s", 31)

    def _look_at_probe(self, probe: Probe, now: float) -> None:
        watched = [child for child in self.children if child.name in probe.children]
        if not watched or any(not c.is_running() or now - c.started_at < probe.seconds for c in watched):
            return
        age = probe.age(time.time())
        if age is None or age < probe.seconds:
            return
        for child in watched:
            self.output.note(f"{child.name} gave no sign of life for {age:.0f} s; killing it", 31)
            child.kill_session()


def in_words(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
