"""A host with KVM, through its libvirt: directly, or from the agent that runs on it.

Everything of libvirt happens in a child process (line.py, child.py), since its calls cannot be given a time limit. What
the hub asked for stands in the metadata of each domain (guests.py); what was removed, and the newest epoch, are empty
volumes of our storage pool (pool.py). Everything is found again by its name, which is made from the ref alone.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar

from federation.drivers.abilities import EventSeen, LogChunk, Screen
from federation.drivers.base import (
    DeviceGrant,
    NodeSeen,
    Observation,
    SiteDriver,
    SiteInfo,
    UsageSample,
    WorkloadSpec,
)
from federation.drivers.kvm import wire
from federation.drivers.kvm.line import Asked, line_for


class KvmDriver(SiteDriver):
    """Settings: server, address, and the fields of ways.Ways. Secrets: see server.Endpoint."""

    kind: ClassVar[str] = "kvm"
    can_hold: bool = True

    def _asked(self, kind: Any, call: str, *arguments: Any) -> Any:
        port = self.config.port
        line: Asked = port if isinstance(port, Asked) else line_for(self.config)
        return wire.built(kind, line.ask(call, *arguments))

    # -- the six calls -------------------------------------------------------------------------------

    def check(self) -> SiteInfo:
        found: SiteInfo = self._asked(SiteInfo, "check")
        return found

    def inventory(self) -> Iterable[NodeSeen]:
        found: list[NodeSeen] = self._asked(list[NodeSeen], "inventory")
        return found

    def ensure(self, spec: WorkloadSpec) -> Observation:
        return self._observed("ensure", spec)

    def observe(self, ref: str) -> Observation:
        return self._observed("observe", ref)

    def remove(self, ref: str) -> Observation:
        return self._observed("remove", ref)

    def usage(self, start: datetime, end: datetime) -> Iterable[UsageSample]:
        found: list[UsageSample] = self._asked(list[UsageSample], "usage", start, end)
        return found

    # -- abilities -----------------------------------------------------------------------------------

    def observe_many(self, refs: Sequence[str]) -> Iterable[Observation]:
        found: list[Observation] = self._asked(list[Observation], "observe_many", refs)
        return found

    def refs(self) -> Iterable[str]:
        found: list[str] = self._asked(list[str], "refs")
        return found

    def logs(self, ref: str, offset: int = 0, limit: int = 65536) -> LogChunk:
        found: LogChunk = self._asked(LogChunk, "logs", ref, offset, limit)
        return found

    def events(self, ref: str) -> Iterable[EventSeen]:
        found: list[EventSeen] = self._asked(list[EventSeen], "events", ref)
        return found

    def suspend(self, ref: str) -> Observation:
        return self._observed("suspend", ref)

    def resume(self, ref: str) -> Observation:
        return self._observed("resume", ref)

    def restart(self, ref: str, *, is_hard: bool = False) -> Observation:
        return self._observed("restart", ref, is_hard)

    def plug(self, ref: str, device: DeviceGrant) -> Observation:
        return self._observed("plug", ref, device)

    def unplug(self, ref: str, device: DeviceGrant) -> Observation:
        return self._observed("unplug", ref, device)

    def screen(self, ref: str) -> Screen | None:
        found: Screen | None = self._asked(Screen | None, "screen", ref)
        return found

    def _observed(self, call: str, *arguments: Any) -> Observation:
        found: Observation = self._asked(Observation, call, *arguments)
        return found
