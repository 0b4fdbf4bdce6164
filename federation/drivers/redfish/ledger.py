"""What a controller cannot keep: who has a server, what was given back, and what the server looked like.

A controller stores next to nothing that would survive and that nobody else writes. So the hub's database keeps the
leases, by this protocol, and the driver reads them at every step.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Protocol
from uuid import uuid4

FORGET_SECONDS = 30 * 86400.0  # a tombstone is kept longer than any worker can be late
STEP_SECONDS = 12.0  # longer than a call may take: nobody else touches the machine meanwhile


class Phase(StrEnum):
    """How far a lease is. Each is one comment of what comes next."""

    CLAIMED = "claimed"  # nobody else may have the server; nothing was done to it yet
    PREPARING = "preparing"  # the prepare hook has been asked
    BOOTING = "booting"  # told to switch on
    RUNNING = "running"  # seen on
    ENDED = "ended"  # it switched itself off, or its time was over, or it could not be prepared
    STOPPING = "stopping"  # asked to shut down
    WIPING = "wiping"  # off; the wipe hook has been asked, or is to be
    CHECKING = "checking"  # wiped; the check hook has been asked
    GONE = "gone"  # given back; the ref is never taken again


@dataclass(frozen=True, slots=True)
class Lease:
    """One server in the hands of one allocation. Moments are seconds of the ledger's clock."""

    ref: str
    machine: str = ""
    phase: Phase = Phase.CLAIMED
    epoch: int = 0
    generation: int = 0
    kind: str = ""
    tenant: str = ""
    project: str = ""
    devices: tuple[str, ...] = ()
    is_held: bool = False
    max_seconds: int | None = None
    grace_seconds: int = 10
    was_used: bool = False  # something was done to the server: it is wiped before anybody else has it
    told_at: float | None = None  # when it was last told to switch on
    seed: str = ""  # address of the image that the prepare hook made
    on_at: float | None = None
    seen_on_at: float | None = None  # the last proof that it ran
    seen_off_at: float | None = None
    stop_at: float | None = None  # when its end was asked for
    told_off_at: float | None = None  # when it was last told to switch off
    was_cut: bool = False  # told so the hard way
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    gone_at: float | None = None

    @property
    def is_there(self) -> bool:
        return self.phase != Phase.GONE


def to_json(lease: Lease) -> dict[str, Any]:
    return {**asdict(lease), "phase": lease.phase.value, "devices": list(lease.devices)}


def from_json(kept: Mapping[str, Any]) -> Lease:
    known = {field.name for field in fields(Lease)}
    values = {key: value for key, value in kept.items() if key in known}
    return Lease(**{**values, "phase": Phase(values["phase"]), "devices": tuple(values.get("devices") or ())})


@dataclass(frozen=True, slots=True)
class Picture:
    """What a server was last seen to be, so that it stays in the inventory while its controller is silent."""

    at: float
    seen: Mapping[str, Any]


class Turn(Protocol):
    """The ledger of one cluster, ours alone for a moment. Nothing is asked of a controller meanwhile."""

    epoch: int  # the highest that was seen

    def get(self, ref: str) -> Lease | None: ...
    def holder(self, machine: str) -> Lease | None:
        """The lease that is there on this machine."""

    def put(self, lease: Lease) -> None: ...
    def raise_epoch(self, epoch: int) -> None: ...
    def begin_step(self, machine: str) -> str:
        """The right to do something to a machine for STEP_SECONDS; empty when somebody else has it."""

    def has_step(self, machine: str, token: str) -> bool:
        """False when the right was lost meanwhile: nothing more is done, and nothing written down."""

    def end_step(self, machine: str, token: str) -> None: ...

    def ask_off(self, machine: str) -> float:
        """How long ago an operator first asked for this machine to be off; 0 now."""

    def forget_off(self, machine: str) -> None: ...


class Ledger(Protocol):
    """What the driver needs of the hub. Raises Unavailable."""

    def now(self) -> float: ...
    def turn(self) -> AbstractContextManager[Turn]: ...
    def look(self, refs: Sequence[str]) -> dict[str, Lease]: ...
    def there(self) -> list[Lease]:
        """All leases that are not gone."""

    def pictures(self) -> dict[str, Picture]: ...
    def keep_pictures(self, pictures: Mapping[str, Picture]) -> None: ...


class MemoryLedger:
    """For tests, and for trying a connection before there is a cluster."""

    def __init__(self, clock: Any) -> None:
        self.now = clock
        self.epoch = 0
        self._leases: dict[str, Lease] = {}
        self._pictures: dict[str, Picture] = {}
        self._steps: dict[str, tuple[str, float]] = {}
        self._off: dict[str, float] = {}

    @contextmanager
    def turn(self) -> Iterator["MemoryLedger"]:
        yield self

    def look(self, refs: Sequence[str]) -> dict[str, Lease]:
        return {ref: self._leases[ref] for ref in refs if ref in self._leases}

    def there(self) -> list[Lease]:
        return [lease for lease in self._leases.values() if lease.is_there]

    def pictures(self) -> dict[str, Picture]:
        return dict(self._pictures)

    def keep_pictures(self, pictures: Mapping[str, Picture]) -> None:
        self._pictures |= pictures

    def get(self, ref: str) -> Lease | None:
        return self._leases.get(ref)

    def holder(self, machine: str) -> Lease | None:
        return next((lease for lease in self.there() if lease.machine == machine), None)

    def put(self, lease: Lease) -> None:
        self._leases[lease.ref] = replace(lease)

    def raise_epoch(self, epoch: int) -> None:
        self.epoch = max(self.epoch, epoch)

    def begin_step(self, machine: str) -> str:
        if self._steps.get(machine, ("", 0.0))[1] > self.now():
            return ""
        token = uuid4().hex
        self._steps[machine] = (token, self.now() + STEP_SECONDS)
        return token

    def has_step(self, machine: str, token: str) -> bool:
        return self._steps.get(machine, ("", 0.0))[0] == token

    def end_step(self, machine: str, token: str) -> None:
        if self.has_step(machine, token):
            del self._steps[machine]

    def ask_off(self, machine: str) -> float:
        return float(self.now() - self._off.setdefault(machine, self.now()))

    def forget_off(self, machine: str) -> None:
        self._off.pop(machine, None)
