"""A Docker host by its Engine API: over TLS from the hub, or over its unix socket by an agent beside it.

The host is the one node. Each piece of work is one container, found again by its name and labels; what the hub asked
for is kept as volumes that hold nothing but labels (ledger.py); the way to running is work.py. Podman's socket for
Docker clients answers in the same way.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from federation.drivers.abilities import Channel, EventSeen, LogChunk
from federation.drivers.base import (
    DriverConfig,
    NodeSeen,
    Observation,
    Rejected,
    SiteDriver,
    SiteInfo,
    Unavailable,
    UsageSample,
    WorkloadSpec,
)
from federation.drivers.base import ObservedState as O
from federation.drivers.docker import access
from federation.drivers.docker.figures import sample_of
from federation.drivers.docker.host import foreign_work, host_of, node_seen
from federation.drivers.docker.ledger import Record
from federation.drivers.docker.objects import check
from federation.drivers.docker.sockets import Endpoint
from federation.drivers.docker.transport import Api, Deadline, EngineError, Json, api_for, path_of
from federation.drivers.docker.watch import DockerWatch
from federation.drivers.docker.ways import BadWays, Ways
from federation.drivers.docker.work import Work

T = TypeVar("T")
_RESTART_SECONDS = 5  # a soft restart waits for the work, within the time that a call may take


class DockerDriver(SiteDriver):
    """Settings: server, address, tls_server_name, and the fields of ways.Ways.

    Secrets: ca_pem, client_cert_pem, client_key_pem; registries, a JSON object of credentials by name.
    """

    kind: ClassVar[str] = "docker"
    can_hold: bool = True

    def __init__(self, config: DriverConfig) -> None:
        super().__init__(config)
        # A test brings its own way to the engine.
        self._api: Api | None = config.port if isinstance(config.port, Api) else None
        if str(config.settings.get("server", "")).startswith("unix:"):
            # Ports are published at the host's loopback: only who is on the host has PortAccess.
            self.reach: Callable[[str, int], Channel] = self._reach

    @property
    def api(self) -> Api:
        if self._api is None:
            settings, secrets = self.config.settings, self.config.secrets
            self._api = api_for(
                Endpoint(
                    server=str(settings.get("server", "")),
                    address=str(settings.get("address", "")),
                    tls_server_name=str(settings.get("tls_server_name", "")),
                    ca_pem=secrets.get("ca_pem", ""),
                    client_cert_pem=secrets.get("client_cert_pem", ""),
                    client_key_pem=secrets.get("client_key_pem", ""),
                )
            )
        return self._api

    @cached_property
    def ways(self) -> Ways:
        """Read when first needed: who builds a driver of a host that is set up wrongly is not to fall over it."""
        return Ways.of(self.config.settings)

    @cached_property
    def work(self) -> Work:
        return Work(self.api, self.ways, self.config.cluster_id, _registries(self.config.secrets.get("registries", "")))

    # -- the six calls -------------------------------------------------------------------------------

    def check(self) -> SiteInfo:
        def look(deadline: Deadline) -> SiteInfo:
            found, ways = self.api.version(deadline), self.ways
            host = host_of(self.api.get(deadline, "/info"), ways)
            platform = str((found.get("Platform") or {}).get("Name") or "").strip()
            version = f"{found.get('Version')} (API {found.get('ApiVersion')})"
            return SiteInfo(f"{platform} {version}".strip(), "; ".join(host.warnings), is_degraded=bool(host.warnings))

        return self._asked(look)

    def inventory(self) -> Iterable[NodeSeen]:
        def look(deadline: Deadline) -> list[NodeSeen]:
            host = host_of(self.api.get(deadline, "/info"), self.ways)
            foreign = foreign_work(self.api, deadline, self.config.cluster_id, host.cards)
            return [node_seen(host, self.ways, foreign)]

        return self._asked(look)

    def ensure(self, spec: WorkloadSpec) -> Observation:
        check(spec)
        return self._asked(lambda deadline: self.work.ensure(deadline, spec), is_order=True)

    def observe(self, ref: str) -> Observation:
        return self._asked(lambda deadline: self.work.observe(deadline, ref))

    def remove(self, ref: str) -> Observation:
        return self._asked(lambda deadline: self.work.remove(deadline, ref))

    def usage(self, start: datetime, end: datetime) -> Iterable[UsageSample]:
        """CPU and memory of our own containers, now; of devices an engine knows nothing."""

        def look(deadline: Deadline) -> list[UsageSample]:
            found = []
            for ref, item in self.work.look(deadline).containers.items():
                if item.get("State") != "running":
                    continue
                path = "/containers" + path_of(str(item["Id"])) + "/stats"
                stats = self.api.find(deadline, path, stream="false", **{"one-shot": "true"})
                if stats is not None and (sample := sample_of(ref, str(item["Id"]), stats)) is not None:
                    found.append(sample)
            return found

        return self._asked(look)

    # -- abilities -----------------------------------------------------------------------------------

    def observe_many(self, refs: Sequence[str]) -> Iterable[Observation]:
        return self._asked(lambda deadline: self.work.observe_many(deadline, refs))

    def refs(self) -> Iterable[str]:
        """All work of ours here: what was granted, and containers without a record."""

        def look(deadline: Deadline) -> list[str]:
            found = self.work.look(deadline)
            self.work.ledger.prune(deadline, found.book, found.now)
            granted = {r.ref for r in found.book.records.values() if r.order and not r.is_ended}
            return sorted(granted | set(found.containers))

        return self._asked(look)

    def watch(self) -> DockerWatch:
        return DockerWatch(self.api, self.config.cluster_id, lambda: list(self.inventory()))

    def logs(self, ref: str, offset: int = 0, limit: int = 65536) -> LogChunk:
        def look(deadline: Deadline) -> LogChunk:
            return access.logs(self.api, deadline, self.work.container(deadline, ref), offset, limit)

        return self._asked(look)

    def follow(self, ref: str, offset: int = 0) -> Iterator[bytes]:
        def look() -> tuple[Json | None, bool]:
            container = self._asked(lambda deadline: self.work.container(deadline, ref))
            if container is not None:
                return container, True
            return None, self.observe(ref).state in (O.PENDING, O.STARTING, O.RUNNING)

        return access.follow(self.api, ref, offset, look)

    def events(self, ref: str) -> Iterable[EventSeen]:
        def look(deadline: Deadline) -> list[EventSeen]:
            now = self.api.now(deadline)
            return access.events(self.api, deadline, ref, self.config.cluster_id, now)

        return self._asked(look)

    def shell(self, ref: str, command: Sequence[str], *, is_tty: bool = True) -> Channel:
        def open_one(deadline: Deadline) -> Channel:
            return access.shell(self.api, deadline, self.work.container(deadline, ref), command, is_tty)

        return self._asked(open_one)

    def _reach(self, ref: str, port: int) -> Channel:
        def open_one(deadline: Deadline) -> Channel:
            asked = self.work.ledger.read(deadline).record(ref).order.get("ports") or ()
            return access.reach(self.work.container(deadline, ref), port, asked)

        return self._asked(open_one)

    def suspend(self, ref: str) -> Observation:
        return self._asked(lambda deadline: self._switch(deadline, ref, "pause", "Paused"))

    def resume(self, ref: str) -> Observation:
        return self._asked(lambda deadline: self._switch(deadline, ref, "unpause", ""))

    def restart(self, ref: str, *, is_hard: bool = False) -> Observation:
        def again(deadline: Deadline) -> Observation:
            record, container = self._at_work(deadline, ref)
            state = container["State"]
            # What it ran until now counts on: the engine's own count begins anew.
            seen = self.work.observe(deadline, ref)
            started = str(state.get("StartedAt"))
            self.work.ledger.note(
                deadline, record, "ran", f"{len(record.marks)}", started=started, seconds=_since(record, seen)
            )
            grace = 0 if is_hard else min(int(record.order.get("grace") or 0), _RESTART_SECONDS)
            self._post(deadline, container, "restart", t=grace)
            return self.work.observe(deadline, ref)

        return self._asked(again)

    # -- how -----------------------------------------------------------------------------------------

    def _switch(self, deadline: Deadline, ref: str, verb: str, wanted: str) -> Observation:
        _, container = self._at_work(deadline, ref)
        if bool(container["State"].get("Paused")) != bool(wanted):
            self._post(deadline, container, verb)
        return self.work.observe(deadline, ref)

    def _at_work(self, deadline: Deadline, ref: str) -> tuple[Record, Json]:
        record = self.work.ledger.read(deadline).record(ref)
        container = access.running(self.work.container(deadline, ref))
        if record.is_ended:
            raise Rejected("NotRunning", "It is being ended.")
        return record, container

    def _post(self, deadline: Deadline, container: Json, verb: str, **query: Any) -> None:
        try:
            self.api.call(deadline, "POST", "/containers" + path_of(str(container["Id"])) + f"/{verb}", query=query)
        except EngineError as error:
            raise Rejected("NotPossible", error.message) from None

    def _asked(self, look: Callable[[Deadline], T], *, is_order: bool = False) -> T:
        """What the engine refuses is no end: only work that is to be made can be refused for good."""
        try:
            with self.api.begin() as deadline:
                return look(deadline)
        except BadWays as error:
            if is_order:
                raise Rejected("BadSettings", str(error)) from None
            raise Unavailable(str(error)) from None
        except EngineError as error:
            raise Unavailable(f"The host answers {error.status}: {error.message}") from None


def _since(record: Record, seen: Observation) -> float:
    """Seconds of the present run alone: earlier ones are in the ledger already."""
    before = sum(float(mark.facts.get("seconds") or 0) for mark in record.marks if mark.mark == "ran")
    return round(max(0.0, (seen.ran_seconds or 0.0) - before), 3)


def _registries(text: str) -> dict[str, Json]:
    """By name: username, password, serveraddress. What makes no sense opens nothing."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return (
        {str(name): value for name, value in found.items() if isinstance(value, dict)}
        if isinstance(found, dict)
        else {}
    )
