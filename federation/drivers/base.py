"""What every kind of site must be able to do: six calls, safe to repeat, back within ten seconds.

A driver never waits, sleeps, retries or starts a thread. It reports what it sees, and is called again.
Frozen values go in and out; no database row crosses this line.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

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
    serial: str = ""  # of the board, as its maker wrote it; placeholders may be told, and are not believed
    pci: str = ""  # where it is, as the machine that shows it sees it: 0000:65:00.0
    passed_to: str = ""  # system UUID of the virtual machine on this node that has it, whoever made that
    guest_pci: str = ""  # and where it is in there, when that is known


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
    system_uuid: str = ""  # what the firmware of the machine, or of the virtual machine, says
    guests: tuple[str, ...] = ()  # system UUIDs of the virtual machines on it, ours and others'


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


class BootFrom(StrEnum):
    """What a leased server starts from. A virtual machine starts from its disk."""

    DISK = "disk"
    PXE = "pxe"
    VIRTUAL_MEDIA = "virtual-media"


@dataclass(frozen=True, slots=True)
class Boot:
    """How a virtual machine or a leased server starts, and who may enter it. `image` of the spec names the image."""

    image_url: str = ""  # where the site fetches it; empty: the site has it, as a file, a volume or a name it knows
    image_sha256: str = ""  # of the file, in hexadecimal; what does not match is refused
    image_format: str = ""  # qcow2, raw, iso; empty: the site looks
    disk_mib: int = 0  # of the first disk; 0: as large as the image
    ssh_keys: tuple[str, ...] = ()  # public keys of those who may enter, in the form of authorized_keys
    user_data: str = ""  # for cloud-init, beside the keys
    boot_from: BootFrom = BootFrom.DISK


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
    boot: Boot | None = None  # of a virtual machine or a leased server


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
    # Of work: KiB in a second, since the last look.
    disk_read_kibps: int | None = None
    disk_write_kibps: int | None = None
    net_in_kibps: int | None = None
    net_out_kibps: int | None = None


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
