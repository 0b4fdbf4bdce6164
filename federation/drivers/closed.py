"""Stands where a site cannot even be asked: no credential, one that does not open, or a forbidden address."""

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar, NoReturn

from federation.drivers.base import (
    DriverConfig,
    NodeSeen,
    Observation,
    SiteDriver,
    SiteInfo,
    Unavailable,
    UsageSample,
    WorkloadSpec,
)


class ClosedDriver(SiteDriver):
    """Every call is Unavailable, and says why: what runs at the site is left alone, and someone is told."""

    kind: ClassVar[str] = "closed"

    def __init__(self, config: DriverConfig, why: str) -> None:
        super().__init__(config)
        self._why = why

    def _closed(self) -> NoReturn:
        raise Unavailable(self._why)

    def check(self) -> SiteInfo:
        self._closed()

    def inventory(self) -> Iterable[NodeSeen]:
        self._closed()

    def ensure(self, spec: WorkloadSpec) -> Observation:
        self._closed()

    def observe(self, ref: str) -> Observation:
        self._closed()

    def remove(self, ref: str) -> Observation:
        self._closed()

    def usage(self, start: datetime, end: datetime) -> Iterable[UsageSample]:
        self._closed()
