"""Bare metal by the agent that dials out. The hub cannot call it, so this driver reads and writes a mailbox."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol

from federation.drivers.base import (
    DeviceSeen,
    DriverConfig,
    Health,
    LogChunk,
    NodeSeen,
    Observation,
    ObservedState,
    Rejected,
    SiteDriver,
    SiteInfo,
    Unavailable,
    UsageSample,
    WorkloadSpec,
)

SILENT_AFTER_SECONDS = 10.0
_REJECTED = "The site refused: "

# What an agent says, in our words; a word it should not know is BROKEN.
STATES: Mapping[str, ObservedState] = {
    "absent": ObservedState.ABSENT,
    "starting": ObservedState.STARTING,
    "running": ObservedState.RUNNING,
    "succeeded": ObservedState.SUCCEEDED,
    "failed": ObservedState.FAILED,
    "stopping": ObservedState.STOPPING,
}


@dataclass(frozen=True, slots=True)
class Report:
    """The agent's last word. `age_seconds` is by the hub's clock."""

    age_seconds: float
    version: str
    inventory: Mapping[str, Any] | None
    figures: Sequence[Mapping[str, Any]]
    clock_skew_seconds: float


@dataclass(frozen=True, slots=True)
class Letter:
    """One wish in the box and the answer to it, if any."""

    ref: str
    desired: str
    generation: int
    epoch: int
    observed: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class LogPiece:
    start: int
    size: int
    text: str


class Mailbox(Protocol):
    """What the driver needs of the hub. `post` raises Rejected("OldGeneration") for a wish that is out of date."""

    def last_report(self) -> Report | None: ...
    def post(self, ref: str, *, desired: str, generation: int, epoch: int, spec: dict[str, Any] | None) -> None: ...
    def read(self, refs: Sequence[str]) -> dict[str, Letter]: ...
    def logs(self, ref: str, offset: int, limit: int) -> list[LogPiece]: ...


class AgentDriver(SiteDriver):
    """The six calls, each a look into the mailbox; the agent's next report carries the wishes over."""

    kind: ClassVar[str] = "baremetal"

    def __init__(self, config: DriverConfig) -> None:
        super().__init__(config)
        self._box: Mailbox = config.port  # type: ignore[assignment]  # the registry passes a Mailbox

    def check(self) -> SiteInfo:
        report = self._fresh()
        skew = report.clock_skew_seconds
        if abs(skew) > 60:
            return SiteInfo(report.version, f"The agent's clock is off by {skew:.0f} s.", is_degraded=True)
        return SiteInfo(report.version)

    def inventory(self) -> Iterable[NodeSeen]:
        seen = self._fresh().inventory
        if seen is None:
            raise Unavailable("The agent has not sent its inventory yet.")
        devices = tuple(
            DeviceSeen(
                index=int(d["index"]),
                uuid=str(d["uuid"]),
                vendor=str(d["vendor"]),
                model=str(d["model"]),
                memory_mib=int(d["memory_mib"]),
                health=_health(d.get("health")),
                numa=d.get("numa"),
            )
            for d in seen.get("devices", [])
        )
        return [
            NodeSeen(
                name=str(seen["name"]),
                cpu_milli=int(seen["cpu_milli"]),
                memory_mib=int(seen["memory_mib"]),
                devices=devices,
                is_ready=bool(seen.get("is_ready", True)),
                message=str(seen.get("message", "")),
                rack=str(seen.get("rack", "")),
                labels=dict(seen.get("labels", {})),
            )
        ]

    def ensure(self, spec: WorkloadSpec) -> Observation:
        self._box.post(spec.ref, desired="run", generation=spec.generation, epoch=spec.epoch, spec=asdict(spec))
        return self.observe(spec.ref)

    def observe(self, ref: str) -> Observation:
        seen = next(iter(self.observe_many([ref])), Observation(ref, ObservedState.ABSENT))
        if seen.state == ObservedState.BROKEN and seen.message.startswith(_REJECTED):
            raise Rejected(seen.reason or "RejectedBySite", seen.message.removeprefix(_REJECTED))
        return seen

    def observe_many(self, refs: Sequence[str]) -> Iterable[Observation]:
        self._fresh()
        return [_seen(letter) for letter in self._box.read(refs).values()]

    def remove(self, ref: str) -> Observation:
        self._box.post(ref, desired="absent", generation=0, epoch=self.config.epoch, spec=None)
        self._fresh()
        letter = self._box.read([ref])[ref]
        if (letter.observed or {}).get("state") == "absent":
            return Observation(ref, ObservedState.ABSENT)
        return Observation(ref, ObservedState.STOPPING)

    def usage(self, start: datetime, end: datetime) -> Iterable[UsageSample]:
        return [
            UsageSample(
                at=end,
                uuid=str(f["uuid"]),
                busy_percent=f.get("busy_percent"),
                memory_used_mib=f.get("memory_used_mib"),
                power_watts=f.get("power_watts"),
                temperature_celsius=f.get("temperature_celsius"),
            )
            for f in self._fresh().figures
        ]

    def logs(self, ref: str, offset: int = 0, limit: int = 65536) -> LogChunk:
        pieces = self._box.logs(ref, offset, limit)
        letter = self._box.read([ref]).get(ref)
        state = (letter.observed or {}).get("state") if letter else "absent"
        shipped = pieces[-1].start + pieces[-1].size if pieces else offset
        total = int((letter.observed or {}).get("log_bytes") or 0) if letter else 0
        has_ended = state in {"succeeded", "failed", "absent"}
        return LogChunk("".join(p.text for p in pieces), shipped, is_complete=has_ended and shipped >= total)

    def _fresh(self) -> Report:
        report = self._box.last_report()
        if report is None:
            raise Unavailable("No agent has reported yet.")
        if report.age_seconds > SILENT_AFTER_SECONDS:
            raise Unavailable(f"The agent was last heard {report.age_seconds:.0f} s ago.")
        return report


def _seen(letter: Letter) -> Observation:
    if letter.observed is None:
        waiting = ObservedState.PENDING if letter.desired == "run" else ObservedState.STOPPING
        return Observation(letter.ref, waiting, letter.generation, letter.epoch)
    seen = letter.observed
    message = str(seen.get("message") or "")
    return Observation(
        ref=letter.ref,
        state=STATES.get(str(seen["state"]), ObservedState.BROKEN),
        generation=int(seen.get("generation") or letter.generation),
        epoch=int(seen.get("epoch") or letter.epoch),
        ran_seconds=seen.get("ran_seconds"),
        exit_code=seen.get("exit_code"),
        reason=str(seen.get("reason") or ""),
        message=_REJECTED + message if seen["state"] == "rejected" else message,
    )


def _health(word: Any) -> Health:
    try:
        return Health(str(word))
    except ValueError:
        return Health.UNKNOWN
