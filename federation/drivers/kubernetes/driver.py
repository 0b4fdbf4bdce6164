"""A Kubernetes cluster through its API server: directly, or from the agent that runs inside it.

Each piece of work has a record (records.py), made first and removed never; a Job or a Deployment in the namespace of
its project (objects.py), pinned to the node and devices that placement chose; and is read back in our words
(states.py). Everything is found again by its name, which is made from the ref alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar, TypeVar

from federation.drivers.abilities import EventSeen, LogChunk
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
from federation.drivers.kubernetes import access, fleet
from federation.drivers.kubernetes.channels import CommandChannel, PortChannel
from federation.drivers.kubernetes.mirror import KubernetesWatch
from federation.drivers.kubernetes.names import LABEL_REF, OURS, label_of
from federation.drivers.kubernetes.objects import check
from federation.drivers.kubernetes.records import Held, Records
from federation.drivers.kubernetes.transport import Api, ApiError, Endpoint, api_for
from federation.drivers.kubernetes.ways import BadWays, Ways
from federation.drivers.kubernetes.work import Work

T = TypeVar("T")


class KubernetesDriver(SiteDriver):
    """Settings: server, address, tls_server_name, and the fields of ways.Ways. Secrets: token, ca_pem, client_*."""

    kind: ClassVar[str] = "kubernetes"
    can_hold: bool = True

    def __init__(self, config: DriverConfig) -> None:
        super().__init__(config)
        # A test, or the agent, brings its own way to the API server.
        self._api: Api | None = config.port if isinstance(config.port, Api) else None

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
                    token=secrets.get("token", ""),
                    token_file=str(settings.get("token_file", "")),
                    client_cert_pem=secrets.get("client_cert_pem", ""),
                    client_key_pem=secrets.get("client_key_pem", ""),
                )
            )
        return self._api

    @cached_property
    def ways(self) -> Ways:
        """Read when first needed: who builds a driver of a cluster that is set up wrongly is not to fall over it."""
        return Ways.of(self.config.settings)

    @property
    def work(self) -> Work:
        return Work(self.api, self.ways, self.config.epoch)

    @property
    def records(self) -> Records:
        return self.work.records

    # -- the six calls -------------------------------------------------------------------------------

    def check(self) -> SiteInfo:
        def look() -> SiteInfo:
            deadline, ways = self.api.begin(), self.ways
            version = str(self.api.get(deadline, "/version").get("gitVersion") or "")
            if not version:
                raise Unavailable("What answers there is no Kubernetes API server.")
            missing = access.missing(self.api, deadline, ways)
            if missing:
                return SiteInfo(version, f"The credential may not {', '.join(missing[:5])}.", is_degraded=True)
            return SiteInfo(version)

        return self._asked(look)

    def inventory(self) -> Iterable[NodeSeen]:
        return self._asked(lambda: fleet.nodes_seen(self.api, self.api.begin()))

    def ensure(self, spec: WorkloadSpec) -> Observation:
        check(spec)
        return self._asked(lambda: _refusing(lambda: self.work.ensure(self.api.begin(), spec)))

    def observe(self, ref: str) -> Observation:
        return self._asked(lambda: self.work.observe(self.api.begin(), ref))

    def remove(self, ref: str) -> Observation:
        return self._asked(lambda: self.work.remove(self.api.begin(), ref))

    def usage(self, start: datetime, end: datetime) -> Iterable[UsageSample]:
        """A cluster's API server knows nothing of how busy devices are; figures come from its monitoring."""
        self.api.begin()
        return ()

    # -- abilities -----------------------------------------------------------------------------------

    def observe_many(self, refs: Sequence[str]) -> Iterable[Observation]:
        return self._asked(lambda: self.work.observe_many(self.api.begin(), refs))

    def refs(self) -> Iterable[str]:
        """All work of ours here: what has a record, and what has pods without one (made by a late worker)."""

        def look() -> list[str]:
            deadline = self.api.begin()
            kept = self.records
            records = list(kept.all(deadline))
            kept.prune(deadline, records)
            found = {r.ref for r in records if r.state != Held.GONE}
            gone = {label_of(r.ref): r.ref for r in records if r.state == Held.GONE}
            for pod in self.api.items(deadline, "/api/v1/pods", labelSelector=f"{OURS},{LABEL_REF}"):
                label = pod["metadata"]["labels"][LABEL_REF]
                found.add(gone.get(label, label))
            return sorted(found)

        return self._asked(look)

    def watch(self) -> KubernetesWatch:
        return KubernetesWatch(self.api)

    def logs(self, ref: str, offset: int = 0, limit: int = 65536) -> LogChunk:
        return self._asked(lambda: access.logs(self.api, self.api.begin(), self._located(ref), offset, limit))

    def follow(self, ref: str, offset: int = 0) -> Iterator[bytes]:
        return access.follow(
            self.api, self._coming(ref) or access.Place(ref, None, ()), offset, lambda: self._coming(ref)
        )

    def _coming(self, ref: str) -> access.Place | None:
        """Where it is; None when it has no pod and will have none any more."""
        place = self._asked(lambda: self._located(ref))
        return place if place.pods or self.observe(ref).state in (O.PENDING, O.STARTING, O.RUNNING) else None

    def events(self, ref: str) -> Iterable[EventSeen]:
        return self._asked(lambda: access.events(self.api, self.api.begin(), self._located(ref)))

    def shell(self, ref: str, command: Sequence[str], *, is_tty: bool = True) -> CommandChannel:
        return self._asked(lambda: access.shell(self.api, self._located(ref), command, is_tty))

    def reach(self, ref: str, port: int) -> PortChannel:
        return self._asked(lambda: access.reach(self.api, self._located(ref), port))

    # -- how -----------------------------------------------------------------------------------------

    def _asked(self, look: Callable[[], T]) -> T:
        """What the server refuses is no end: only work that is to be made can be refused for good (`_refusing`)."""
        try:
            return look()
        except BadWays as error:
            raise Unavailable(str(error)) from None
        except ApiError as error:
            raise Unavailable(f"The site answers {error.status}: {error.message}") from None

    def _located(self, ref: str) -> access.Place:
        deadline = self.api.begin()
        work = self.work
        record = work.records.read(deadline, ref)
        pods = work.pods(deadline, record) if record is not None else []
        return access.Place(ref, record, tuple(pods))


def _refusing(make: Callable[[], T]) -> T:
    """What is asked for the wrong way, or is not allowed, will not be had by asking again."""
    try:
        return make()
    except BadWays as error:
        raise Rejected("BadSettings", str(error)) from None
    except ApiError as error:
        if error.status == 403 and "exceeded quota" in error.message:
            raise Rejected("QuotaAtSite", error.message) from None
        if error.status in (400, 403, 405, 413, 422):
            raise Rejected("ForbiddenAtSite" if error.status == 403 else "InvalidAtSite", error.message) from None
        raise
