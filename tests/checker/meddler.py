"""A simulated site at which something else happens just before or just after a call, once."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar

from federation.drivers.base import NodeSeen, Observation, SiteInfo, UsageSample, WorkloadSpec
from federation.drivers.fake import FakeDriver

DRIVERS = {"fake": f"{__name__}:Meddler"}


class Crash(BaseException):
    """As a SIGKILL: no line of the product catches it."""


class Meddler(FakeDriver):
    """`before` and `after` hold what is to happen at the next call of that name."""

    before: ClassVar[dict[str, Callable[[], Any]]] = {}
    after: ClassVar[dict[str, Callable[[], Any]]] = {}
    calls: ClassVar[list[str]] = []

    @classmethod
    def forget(cls) -> None:
        cls.before.clear()
        cls.after.clear()
        cls.calls.clear()

    def _call(self, name: str, call: Callable[[], Any]) -> Any:
        self.calls.append(name)
        if happens := self.before.pop(name, None):
            happens()
        found = call()
        if happens := self.after.pop(name, None):
            happens()
        return found

    def check(self) -> SiteInfo:
        found: SiteInfo = self._call("check", super().check)
        return found

    def inventory(self) -> Iterable[NodeSeen]:
        found: Iterable[NodeSeen] = self._call("inventory", super().inventory)
        return found

    def ensure(self, spec: WorkloadSpec) -> Observation:
        seen: Observation = self._call("ensure", lambda: FakeDriver.ensure(self, spec))
        return seen

    def observe(self, ref: str) -> Observation:
        seen: Observation = self._call("observe", lambda: FakeDriver.observe(self, ref))
        return seen

    def observe_many(self, refs: Sequence[str]) -> Iterable[Observation]:
        seen: Iterable[Observation] = self._call("observe_many", lambda: FakeDriver.observe_many(self, refs))
        return seen

    def remove(self, ref: str) -> Observation:
        seen: Observation = self._call("remove", lambda: FakeDriver.remove(self, ref))
        return seen

    def refs(self) -> Iterable[str]:
        found: Iterable[str] = self._call("refs", super().refs)
        return found

    def usage(self, start: datetime, end: datetime) -> Iterable[UsageSample]:
        found: Iterable[UsageSample] = self._call("usage", lambda: FakeDriver.usage(self, start, end))
        return found
