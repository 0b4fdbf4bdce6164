"""A driver in the place of the one for Kubernetes: it notes what it is given, and answers as it is told."""

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

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
