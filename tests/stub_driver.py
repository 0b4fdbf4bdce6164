"""A driver in the place of the one for Kubernetes: it notes what it is given, and answers as it is told."""

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

from federation.drivers.abilities import Screen
from federation.drivers.base import (
    DriverConfig,
    NodeSeen,
    Observation,
    ObservedState,
    SiteDriver,
    SiteInfo,
    UsageSample,
    WorkloadSpec,
)

PATH = "tests.stub_driver:StubDriver"
MACHINE_PATH = "tests.stub_driver:MachineDriver"


class StubDriver(SiteDriver):
    kind: ClassVar[str] = "kubernetes"
    made: ClassVar[list[DriverConfig]] = []
    answer: ClassVar[SiteInfo | Exception] = SiteInfo("v1.34.2")

    def __init__(self, config: DriverConfig) -> None:
        super().__init__(config)
        StubDriver.made.append(config)

    def check(self) -> SiteInfo:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def inventory(self) -> Iterable[NodeSeen]:
        return ()

    def ensure(self, spec: WorkloadSpec) -> Observation:
        return Observation(spec.ref, ObservedState.STARTING)

    def observe(self, ref: str) -> Observation:
        return Observation(ref, ObservedState.ABSENT)

    def remove(self, ref: str) -> Observation:
        return Observation(ref, ObservedState.ABSENT)

    def usage(self, start: datetime, end: datetime) -> Iterable[UsageSample]:
        return ()


class MachineDriver(StubDriver):
    """A site that can do it all, or says why not."""

    told: ClassVar[list[tuple[str, ...]]] = []
    trouble: ClassVar[Exception | None] = None

    def _tell(self, *words: str) -> Observation:
        if self.trouble:
            raise self.trouble
        self.told.append(words)
        return Observation(words[1], ObservedState.RUNNING)

    def suspend(self, ref: str) -> Observation:
        return self._tell("suspend", ref)

    def resume(self, ref: str) -> Observation:
        return self._tell("resume", ref)

    def restart(self, ref: str, *, is_hard: bool = False) -> Observation:
        return self._tell("restart", ref, "hard" if is_hard else "soft")

    def screen(self, ref: str) -> Screen | None:
        self._tell("screen", ref)
        return Screen("vnc", "127.0.0.1", 5901, "canary-word")
