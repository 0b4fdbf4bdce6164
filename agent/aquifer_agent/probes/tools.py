"""Vendors' own command line tools: run for a few seconds at most, read up to a bound, and never waited for."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from aquifer_agent.probes.types import UNHEALTHY, UNKNOWN, Device, Figure, Pair

SECONDS = 8.0  # for one command; npu-smi needs about two on a machine of eight
MOST_BYTES = 4 << 20
PERIOD_SECONDS = 10.0  # between two looks of one vendor: most of these tools are slow and wake their cards
PAUSE_SECONDS = 60.0  # after a tool that did not answer
_GIVE_UP_SECONDS = 1.0  # after SIGKILL; a process in the kernel may never go


class ToolFailed(Exception):
    """The tool is here and did not do its work. The text is for people."""


class Tool:
    """One command, wherever it is installed."""

    def __init__(self, name: str, *places: str) -> None:
        self._name, self._places = name, places
        self._stuck: subprocess.Popen[bytes] | None = None

    def path(self) -> str | None:
        return shutil.which(self._name) or next((p for p in self._places if os.access(p, os.X_OK)), None)

    def run(self, *words: str, seconds: float = SECONDS) -> str:
        """What it prints. Raises ToolFailed when it is not there, fails, or takes too long."""
        path = self.path()
        if path is None:
            raise ToolFailed(f"{self._name} is not here.")
        if self._stuck is not None and self._stuck.poll() is None:
            raise ToolFailed(f"{self._name} hangs, and cannot be killed.")
        self._stuck = None
        process = subprocess.Popen(  # noqa: S603 - a fixed list of words, no shell
            [path, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        return self._read(process, " ".join((self._name, *words)), seconds)

    def _read(self, process: "subprocess.Popen[bytes]", said: str, seconds: float) -> str:
        """All it says until it closes its output; whatever of its group is left after that is killed."""
        assert process.stdout is not None
        until = time.monotonic() + seconds
        output, is_late = b"", False
        try:
            while len(output) <= MOST_BYTES:
                left = until - time.monotonic()
                if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                    is_late = True
                    break
                if not (piece := os.read(process.stdout.fileno(), 65536)):
                    break
                output += piece
            if not is_late and len(output) <= MOST_BYTES:
                is_late = not _ends(process.pid, until)
        finally:
            process.stdout.close()
            _kill(process)
            try:
                process.wait(_GIVE_UP_SECONDS)
            except subprocess.TimeoutExpired:
                self._stuck = process
        if is_late:
            raise ToolFailed(f"{said} did not answer within {seconds:g} s.")
        if len(output) > MOST_BYTES:
            raise ToolFailed(f"{said} says more than {MOST_BYTES >> 20} MiB.")
        text = output.decode(errors="replace")
        if process.returncode:
            last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "nothing")
            raise ToolFailed(f"{said} failed ({process.returncode}): {last[:200]}")
        return text


def _ends(pid: int, until: float) -> bool:
    """Whether it ends in time. It is not reaped yet: until then nobody else can have its number, nor its group's."""
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if time.monotonic() >= until:
            return False
        time.sleep(0.01)
    return True


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


class ToolProbe:
    """A vendor by its tool: looked at now and then, and what was seen once stays until the agent ends.

    `read` gives all that is there now, and raises ToolFailed. A card that it shows no more is unhealthy; when it
    fails, nobody knows.
    """

    def __init__(
        self, tools: Iterable[Tool], read: Callable[[], Iterable[Pair]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tools, self._read, self._clock = tuple(tools), read, clock
        self._known: dict[str, Device] = {}
        self._last: list[Pair] = []
        self._failure = ""
        self._next = 0.0

    def __call__(self) -> Iterator[Pair]:
        if not self._known and all(tool.path() is None for tool in self._tools):
            return  # not one of this vendor's machines
        if self._clock() >= self._next:
            self._look()
        yield from self._last
        if self._failure:
            raise ToolFailed(self._failure)

    def _look(self) -> None:
        began = self._clock()
        try:
            seen = list(self._read())
            self._failure = ""
        except (ToolFailed, ValueError, LookupError) as error:
            self._failure = str(error) if isinstance(error, ToolFailed) else f"It was not understood: {error!r}"
            self._last = [(replace(d, health=UNKNOWN), Figure(d.uuid)) for d in self._known.values()]
            self._next = self._clock() + PAUSE_SECONDS
            return
        here = {device.uuid for device, _ in seen}
        cards = {device.uuid: device for device, _ in seen if not device.parent_uuid}
        # A part may go; a card that goes without a restart of the machine has failed.
        gone = [d for uuid, d in self._known.items() if uuid not in here and not d.parent_uuid]
        self._known = {**cards, **{d.uuid: d for d in gone}}
        self._last = [*seen, *((replace(d, health=UNHEALTHY), Figure(d.uuid)) for d in gone)]
        # A slow tool is asked less often: a tenth of the time at most.
        self._next = self._clock() + max(PERIOD_SECONDS, 10 * (self._clock() - began))
