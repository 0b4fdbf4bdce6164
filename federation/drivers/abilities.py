"""What some kinds of site can do beside the six calls: power, output, events, shells, ports, changes told live.

Each is a protocol that a driver may implement; isinstance() asks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from threading import Event
from typing import Protocol, runtime_checkable

from federation.drivers.base import DeviceGrant, NodeSeen, Observation


class Power(StrEnum):
    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@runtime_checkable
class PowerControl(Protocol):
    """Optional: nodes can be switched. isinstance() asks."""

    def power(self, node: str) -> Power: ...
    def set_power(self, node: str, power: Power) -> Power: ...


@runtime_checkable
class Suspendable(Protocol):
    """Optional: running work can stand still where it is and go on later. It holds its devices meanwhile.

    While it stands still it is RUNNING with the reason Suspended. Both are safe to repeat. Raises Unavailable,
    Rejected (unknown, not running).
    """

    def suspend(self, ref: str) -> Observation: ...
    def resume(self, ref: str) -> Observation: ...


@runtime_checkable
class Restartable(Protocol):
    """Optional: running work can be started anew in place. `is_hard`: as by pulling the plug. Raises as above."""

    def restart(self, ref: str, *, is_hard: bool = False) -> Observation: ...


@runtime_checkable
class DevicePlug(Protocol):
    """Optional: a device can be given to running work, or taken from it, while it runs. Safe to repeat.

    Raises Unavailable, Rejected (DeviceBusy, DeviceMissing, NotRunning; Refused with what the host says).
    """

    def plug(self, ref: str, device: DeviceGrant) -> Observation: ...
    def unplug(self, ref: str, device: DeviceGrant) -> Observation: ...


@dataclass(frozen=True, slots=True)
class Screen:
    """Where the picture of a machine's screen is served, as its host sees it."""

    kind: str  # vnc, spice
    host: str
    port: int
    password: str = ""


@runtime_checkable
class ScreenAccess(Protocol):
    """Optional: the screen of running work. `screen` is None where it has none. Raises Unavailable, Rejected."""

    def screen(self, ref: str) -> Screen | None: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """One sensor of a machine."""

    name: str
    value: float
    unit: str  # as UCUM writes it: W, Cel, {rpm}, V
    is_healthy: bool = True


@runtime_checkable
class SensorReader(Protocol):
    """Optional: what the sensors of a node say now. Raises Unavailable."""

    def sensors(self, node: str) -> Iterable[Reading]: ...


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Part of a log. `next_offset` is where to read on; bytes that are not UTF-8 are replaced."""

    text: str
    next_offset: int
    is_complete: bool  # the work has ended and nothing follows


@runtime_checkable
class LogReader(Protocol):
    """Optional: the output of work can be read. Raises Unavailable."""

    def logs(self, ref: str, offset: int = 0, limit: int = 65536) -> LogChunk: ...


@runtime_checkable
class WorkLister(Protocol):
    """Optional: the site can name all work of ours that it still holds (to find what nobody remembers)."""

    def refs(self) -> Iterable[str]: ...


@runtime_checkable
class BulkObserver(Protocol):
    """Optional: look at much work in one call. What is missing from the answer is ABSENT. Raises Unavailable."""

    def observe_many(self, refs: Sequence[str]) -> Iterable[Observation]: ...


@dataclass(frozen=True, slots=True)
class EventSeen:
    """Something that the site noted about a piece of work."""

    at: datetime
    reason: str  # the site's own word
    message: str
    is_warning: bool = False
    count: int = 1


@runtime_checkable
class EventReader(Protocol):
    """Optional: what the site noted about a piece of work, oldest first. Raises Unavailable."""

    def events(self, ref: str) -> Iterable[EventSeen]: ...


class Stream(StrEnum):
    """Which way a piece of bytes belongs to, in a channel to running work."""

    IN = "in"
    OUT = "out"
    ERR = "err"


class Channel(Protocol):
    """A live connection into running work: a shell, or one of its ports.

    The one thing of a driver that stays open; whoever opened it closes it. One thread sends and resizes while another
    receives; `close` may come from a third and ends what the others wait for. All calls may raise Unavailable.
    """

    exit_code: int | None  # of the command, once it has ended; None for a port

    def send(self, data: bytes) -> None:
        """All of it, or Unavailable. Waits while the other side takes nothing: it keeps no more than it must.

        Nothing (`b""`): the end of a command's input.
        """
        ...

    def resize(self, columns: int, rows: int) -> None: ...
    def receive(self, seconds: float) -> tuple[Stream, bytes] | None:
        """The next piece, of at most 64 KiB; None when none came in time. EOFError when the other side has ended."""
        ...

    def close(self) -> None: ...


# What is run when nobody says what: the better shell of those that are there.
DEFAULT_SHELL = ("sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash || exec sh")


@runtime_checkable
class ShellAccess(Protocol):
    """Optional: run a command inside running work. Raises Unavailable, Rejected (no such command, not running)."""

    def shell(self, ref: str, command: Sequence[str], *, is_tty: bool = True) -> Channel: ...


@runtime_checkable
class PortAccess(Protocol):
    """Optional: reach a TCP port of running work. Raises Unavailable, Rejected (not running, nobody listens)."""

    def reach(self, ref: str, port: int) -> Channel: ...


@runtime_checkable
class LogFollower(Protocol):
    """Optional: the output of work as it comes, from a byte offset; ends when the work has. Close the iterator.

    Gives b"" when nothing came for about a second, so that whoever listens can stop. Raises Unavailable.
    """

    def follow(self, ref: str, offset: int = 0) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class SiteChanges:
    """What differs at a site since one last asked. `is_complete`: `nodes` are all there are; others are gone."""

    nodes: Sequence[NodeSeen] = ()
    gone: Sequence[str] = ()  # names of nodes
    refs: Sequence[str] = ()  # work of ours that has changed in some way
    is_complete: bool = False


class Watch(Protocol):
    """A site that is followed live. The caller runs each of `loops()` in a thread until the event it gave is set."""

    def loops(self) -> Sequence[Callable[[Event], None]]: ...

    def wait(self, seconds: float) -> bool:
        """Until something has changed; False when nothing has in so many seconds."""

    def trouble(self) -> str:
        """Why the picture is not known to be whole and fresh just now; empty when it is."""

    def changes(self) -> SiteChanges:
        """Since the last call; complete the first time. Empty while the first picture is not whole."""

    def again(self) -> None:
        """What the last call told was not taken in: the next is complete once more."""

    def running(self) -> Sequence[str]:
        """Refs of our own work that is seen running now."""


@runtime_checkable
class Watchable(Protocol):
    """Optional: the site tells of changes by itself."""

    def watch(self) -> Watch: ...
