"""What every kind of site must be able to do: six calls, safe to repeat, back within ten seconds.

A driver never waits, sleeps, retries or starts a thread. It reports what it sees, and is called again.
Frozen values go in and out; no database row crosses this line.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from threading import Event
from typing import Any, ClassVar, Protocol, runtime_checkable

from federation.accelerators.catalogue import EXCLUSIVE

CALL_TIMEOUT_SECONDS = 10.0


class Unavailable(Exception):
    """The site did not answer, or answered that it cannot just now. Try again later.

    `retry_after`: in how many seconds at the earliest, when the site said so.
    """

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(Exception):
    """The site will never do this as asked. `reason` is CamelCase, `message` is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class ObservedState(StrEnum):
    """What a site says of one piece of work, in our words."""

    ABSENT = "absent"  # nothing of it is left at the site
    PENDING = "pending"  # told, but the site has not taken it on yet
    STARTING = "starting"  # the site has taken it on (this is the site's acceptance)
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPING = "stopping"
    BROKEN = "broken"  # a state the driver does not know; with reason NodeMissing: its node is away


class Health(StrEnum):
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DriverConfig:
    """All a driver may know. `secrets` never appears in a repr, a log or an exception."""

    cluster_id: str
    kind: str  # the kind of site: kubernetes, kvm, baremetal, docker, openstack, vmware, slurm
    epoch: int  # raised by the hub when it gives up on a silent site; the site refuses older ones
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    port: object | None = field(default=None, repr=False)  # what the driver needs of the hub, if anything


@dataclass(frozen=True, slots=True)
class SiteInfo:
    version: str
    message: str = ""
    is_degraded: bool = False  # answers, but not fully; `message` says what is missing


@dataclass(frozen=True, slots=True)
class DeviceSeen:
    """One physical accelerator, or one hardware partition of it. Capacity is in 1/1000 of the device and in MiB.

    What a site advertises is not always a card: time-slicing shows one card several times, MIG shows its parts.
    There is one of these for each physical card, whatever the site counts; `mode`, `step_milli` and `most_shares`
    say what of it can be handed out. A partition is one more, with its card's uuid in `parent_uuid`; a card that
    has partitions is itself not handed out.
    """

    index: int  # position on its node, from 0
    uuid: str  # the vendor's UUID or serial: the same card is one card however often it is seen
    vendor: str  # lower case: nvidia, amd, ascend, cambricon, hygon, moore-threads, iluvatar, metax, ...
    model: str  # as the catalogue in federation/accelerators names it; an unknown model is usable whole
    memory_mib: int  # 0: neither the site nor the catalogue says
    health: Health = Health.HEALTHY
    numa: int | None = None
    mode: str = EXCLUSIVE  # how this site hands it out: one of catalogue.SLICING_MODES
    step_milli: int = 0  # shares come in multiples of this; 1000: whole only; 0: as the catalogue says of the model
    most_shares: int = 0  # so many holders at one time at most; 0: no limit of the site's own
    parent_uuid: str = ""  # the card that this is a partition of, on the same node
    is_identified: bool = True  # False: the site only counts its cards; `uuid` is made of node and position
    resource: str = ""  # the site's own word for it: nvidia.com/gpu, nvidia.com/mig-1g.10gb, a DRA driver's name
    foreign_milli: int = 0  # held by work that is not ours: never touched, never billed, not to be had
    foreign_memory_mib: int = 0


@dataclass(frozen=True, slots=True)
class NodeSeen:
    name: str  # unique in its cluster, and stable
    cpu_milli: int  # what the site lets work have, foreign work included
    memory_mib: int
    devices: tuple[DeviceSeen, ...] = ()
    is_ready: bool = True  # False: no new work here (down, cordoned, closed by a taint); `message` says why
    message: str = ""
    rack: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    foreign_cpu_milli: int = 0  # of cpu_milli, held by work that is not ours
    foreign_memory_mib: int = 0


@dataclass(frozen=True, slots=True)
class DeviceGrant:
    """A share of one device: `milli` of 1000 and `memory_mib` of its memory."""

    index: int
    uuid: str
    milli: int
    memory_mib: int


class VolumeKind(StrEnum):
    CLAIM = "claim"  # storage that is there already, known to the site by `source`
    SCRATCH = "scratch"  # empty, on the node's disk, gone with the work
    MEMORY = "memory"  # empty, in memory: /dev/shm of a training


@dataclass(frozen=True, slots=True)
class Volume:
    """Storage that the work sees at `path`. `size_mib` limits what is made for it (scratch, memory)."""

    path: str
    kind: VolumeKind = VolumeKind.SCRATCH
    source: str = ""
    size_mib: int = 0
    is_read_only: bool = False


@dataclass(frozen=True, slots=True)
class WorkloadSpec:
    """One allocation as the site is to run it. `ref` is the allocation id, written on the remote object."""

    ref: str
    epoch: int
    generation: int  # a site that has seen a newer generation of this ref refuses an older one
    name: str
    tenant: str
    project: str
    kind: str  # training, inference, notebook, batch, vm, server
    node: str
    cpu_milli: int
    memory_mib: int
    devices: tuple[DeviceGrant, ...] = ()
    image: str = ""
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    replica: int = 0
    replicas: int = 1
    run_seconds: float | None = None  # simulated sites run this long; a real site ignores it
    max_seconds: int | None = None  # the site stops the work after this long
    grace_seconds: int = 10
    workload: str = ""  # id of what the user asked for; the members of a gang share it
    attempt: int = 1
    hold: bool = False  # a gang's member: take it on, but let it run only when told again without this
    ports: tuple[int, ...] = ()  # TCP ports of the work that may be reached through the hub
    volumes: tuple[Volume, ...] = ()
    secret_env: tuple[str, ...] = ()  # secrets kept at the site, by name, whose entries become variables
    pull_secrets: tuple[str, ...] = ()  # secrets kept at the site, by name, with which images are fetched


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at one piece of work.

    `ran_seconds` is how long it has run so far (or ran in all, once ended) by the site's own monotonic
    clock: wall clocks of sites are wrong by minutes, and bills are not.
    """

    ref: str
    state: ObservedState
    generation: int = 0
    epoch: int = 0
    ran_seconds: float | None = None
    exit_code: int | None = None
    # CamelCase. While STARTING: why it does not run yet; Unschedulable and ImagePullFailed end the attempt in the
    # end. Of what has ended: OutOfMemory, TimeLimit, ... BROKEN: what drifted, ChangedAtSite, ScaledAtSite, ...
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class UsageSample:
    """Live figures of one device (`uuid`), or of one piece of work (`ref`), at one moment."""

    at: datetime
    uuid: str = ""
    ref: str = ""
    busy_percent: float | None = None
    memory_used_mib: int | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None
    cpu_milli: int | None = None


class SiteDriver(ABC):
    """One kind of site. Raises `Unavailable` or `Rejected` and nothing else; anything else is a bug."""

    kind: ClassVar[str]
    can_hold: bool = False  # knows WorkloadSpec.hold; otherwise members of a gang start as they come
    keeps_output: bool = False  # logs() answers for work that is gone; otherwise the hub keeps a copy before it goes

    def __init__(self, config: DriverConfig) -> None:
        """Keeps the configuration; opens nothing."""
        self.config = config

    @abstractmethod
    def check(self) -> SiteInfo:
        """Is the site there, and which version does it run? Raises Unavailable."""

    @abstractmethod
    def inventory(self) -> Iterable[NodeSeen]:
        """Everything the site has, every time; what is missing from the answer is gone. Raises Unavailable."""

    @abstractmethod
    def ensure(self, spec: WorkloadSpec) -> Observation:
        """Create the work, or adopt what already carries `spec.ref`; say what is there now.

        Twice is once. An older generation or epoch than the site has seen is Rejected("OldGeneration").
        Raises Unavailable (perhaps after the work was created: the answer may be lost), Rejected.
        """

    @abstractmethod
    def observe(self, ref: str) -> Observation:
        """Look at one piece of work. Unknown work is ABSENT, a value. Raises Unavailable."""

    @abstractmethod
    def remove(self, ref: str) -> Observation:
        """Ask for the end of the work; STOPPING until nothing is left, then ABSENT. Again and again.

        Unknown work is ABSENT. Raises Unavailable.
        """

    @abstractmethod
    def usage(self, start: datetime, end: datetime) -> Iterable[UsageSample]:
        """Figures seen in the half-open interval; a site that keeps no history gives the present ones."""


class Power(StrEnum):
    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@runtime_checkable
class PowerControl(Protocol):
    """Optional: nodes can be switched. isinstance() asks."""

    def power(self, node: str) -> Power: ...
    def set_power(self, node: str, power: Power) -> Power: ...


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
