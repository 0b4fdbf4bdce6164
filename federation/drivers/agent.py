"""A site whose agent dials out: a bare machine, or a whole cluster. The hub cannot call it, so this driver reads and
writes a mailbox."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol

from federation.accelerators import catalogue
from federation.drivers.abilities import LogChunk
from federation.drivers.agent_nodes import NotUnderstood, node_from_json, not_believed
from federation.drivers.base import (
    DeviceSeen,
    DriverConfig,
    Health,
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
TWIN_SHOWN_SECONDS = 60.0
SITE_SILENT_AFTER_SECONDS = 20.0  # a cluster is asked by its agent, and may take ten seconds to answer
_REJECTED = "The site refused: "

# What an agent may say of a device beside what it must.
_MORE = (
    "parent_uuid", "mode", "step_milli", "most_shares", "resource", "is_identified", "foreign_milli",
    "foreign_memory_mib",
)  # fmt: skip
# What an agent says, in our words; a word it should not know is BROKEN.
STATES: Mapping[str, ObservedState] = {
    "absent": ObservedState.ABSENT,
    "pending": ObservedState.PENDING,
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
    site: Mapping[str, Any] | None = None  # how the agent's cluster does; None: the agent is on the one machine
    release: Mapping[str, Any] = field(default_factory=dict)  # how it goes with another release of the agent
    twin_seconds: float | None = None  # since two processes were last seen alive with this identity
    has_nodes: bool = False  # a complete picture of the cluster's nodes is in the box


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
    def nodes(self) -> Iterable[Mapping[str, Any]]: ...


class AgentDriver(SiteDriver):
    """The six calls, each a look into the mailbox; the agent's next report carries the wishes over."""

    kind: ClassVar[str] = "baremetal"
    keeps_output = True  # an agent sends it as it comes

    def __init__(self, config: DriverConfig) -> None:
        super().__init__(config)
        # The agent of a cluster runs the driver of that kind, which does; that of a machine starts what it is given.
        self.can_hold = config.kind == "kubernetes"
        self._box: Mailbox = config.port  # type: ignore[assignment]  # the registry passes a Mailbox

    def check(self) -> SiteInfo:
        report = self._fresh()
        if report.twin_seconds is not None and report.twin_seconds < TWIN_SHOWN_SECONDS:
            return SiteInfo(
                report.version,
                "Two agents report with this one identity, and one of them is refused: was the machine, or its state "
                "directory, copied? Stop one, and enrol it anew.",
                is_degraded=True,
            )
        skew = report.clock_skew_seconds
        site = report.site or {}
        version = str(site.get("version") or report.version)
        if abs(skew) > 60:
            return SiteInfo(version, f"The agent's clock is off by {skew:.0f} s.", is_degraded=True)
        message = str(site.get("message") or "") or _release_words(report.release)
        return SiteInfo(version, message, is_degraded=bool(site.get("is_degraded")))

    def inventory(self) -> Iterable[NodeSeen]:
        report = self._fresh()
        if report.site is not None:
            if not report.has_nodes:
                raise Unavailable("The agent is still telling of its nodes.")
            return _nodes(self._box.nodes())
        seen = report.inventory
        if seen is None:
            raise Unavailable("The agent has not sent its inventory yet.")
        devices = tuple(
            DeviceSeen(
                index=int(d["index"]),
                uuid=str(d["uuid"]),
                vendor=str(d["vendor"]),
                model=_model(str(d["vendor"]), str(d["model"])),
                memory_mib=int(d["memory_mib"]),
                health=_health(d.get("health")),
                numa=d.get("numa"),
                serial=str(d.get("serial") or ""),
                pci=str(d.get("pci") or ""),
                **{name: d[name] for name in _MORE if name in d},
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
                system_uuid=str(seen.get("system_uuid") or ""),
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
        return [seen(letter) for letter in self._box.read(refs).values()]

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
        if report.site is not None:
            self._check_cluster(report.site, report.age_seconds)
        return report

    def _check_cluster(self, site: Mapping[str, Any], age_seconds: float) -> None:
        """The agent is there; is what it speaks for?"""
        why = f": {site['message']}" if site.get("message") else "."
        silent = site.get("silent_seconds")
        if silent is None:
            raise Unavailable(f"The agent answers, but its cluster has not yet{why}")
        if float(silent) + age_seconds > SITE_SILENT_AFTER_SECONDS:
            raise Unavailable(f"The agent answers, but its cluster has not for {float(silent):.0f} s{why}")


def _nodes(told: Iterable[Mapping[str, Any]]) -> list[NodeSeen]:
    nodes = []
    for value in told:
        try:
            nodes.append(node_from_json(value))
        except NotUnderstood as error:
            nodes += filter(None, [not_believed(value, str(error))])
    return nodes


def seen(letter: Letter) -> Observation:
    """The agent's words about work, as ours."""
    if letter.observed is None:
        waiting = ObservedState.PENDING if letter.desired == "run" else ObservedState.STOPPING
        return Observation(letter.ref, waiting, letter.generation, letter.epoch)
    said = letter.observed
    message = str(said.get("message") or "")
    return Observation(
        ref=letter.ref,
        state=STATES.get(str(said["state"]), ObservedState.BROKEN),
        generation=int(said.get("generation") or letter.generation),
        epoch=int(said.get("epoch") or letter.epoch),
        ran_seconds=said.get("ran_seconds"),
        exit_code=said.get("exit_code"),
        reason=str(said.get("reason") or ""),
        message=_REJECTED + message if said["state"] == "rejected" else message,
    )


def _model(vendor: str, word: str) -> str:
    """As quota and prices call it, whatever the vendor's tool does; of a part, the card's name before its own."""
    card, slash, part = word.partition("/")
    return catalogue.lookup(vendor, card).name + slash + part


def _health(word: Any) -> Health:
    try:
        return Health(str(word))
    except ValueError:
        return Health.UNKNOWN


def _release_words(said: Mapping[str, Any]) -> str:
    if said.get("state") not in ("failed", "refused"):
        return ""
    verb = "took back" if said["state"] == "failed" else "did not take"
    return f"The agent {verb} its release {said.get('version', '')}: {said.get('message', '')}"
