"""The site, as its driver speaks to it: a new driver for each call, with what is true at that moment."""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from federation.drivers.abilities import EventReader, LogReader, PortAccess, ShellAccess, WorkLister
from federation.drivers.agent_calls import ABILITIES
from federation.drivers.base import DriverConfig, SiteDriver


class BadDriver(Exception):
    """Said to the operator as it is."""


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass
class Site:
    """Makes drivers. `settings` and `secrets` are asked for each time, since mounted files are exchanged under us."""

    driver_class: type[SiteDriver]
    cluster_id: str
    kind: str
    settings: Callable[[], Mapping[str, Any]] = dict
    secrets: Callable[[], Mapping[str, str]] = field(default=_nothing, repr=False)
    port: object | None = None
    epoch: int = 1  # the highest that the hub has named

    def driver(self) -> SiteDriver:
        return self.driver_class(
            DriverConfig(self.cluster_id, self.kind, self.epoch, self.settings(), self.secrets(), self.port)
        )

    def raise_epoch(self, epoch: int) -> None:
        self.epoch = max(self.epoch, epoch)

    def abilities(self) -> list[str]:
        """What the hub may ask for beyond the six calls, in the protocol's words."""
        driver = self.driver()
        found = {
            "logs": isinstance(driver, LogReader),
            "events": isinstance(driver, EventReader),
            "shell": isinstance(driver, ShellAccess),
            "port": isinstance(driver, PortAccess),
        }
        found |= {name: isinstance(driver, ability) for name, ability in ABILITIES.items()}
        found["hold"] = bool(getattr(driver, "can_hold", False))
        return [name for name, is_there in found.items() if is_there]


def load(name: str) -> type[SiteDriver]:
    """The class that `module:Class` names. Raises BadDriver."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadDriver(f"There is no driver {name}: {error}.") from None
    if not (isinstance(found, type) and issubclass(found, SiteDriver)):
        raise BadDriver(f"{name} is not a SiteDriver.")
    if not issubclass(found, WorkLister):
        raise BadDriver(f"{name} cannot name the work at its site, so what a crash left over would never be found.")
    return found


def file_settings(path: Path | None) -> Callable[[], Mapping[str, Any]]:
    """Settings of the driver from a JSON file that may change while we run. Raises BadDriver for the first reading."""

    def read() -> Mapping[str, Any]:
        if path is None:
            return {}
        found = json.loads(path.read_text(encoding="utf-8") or "{}")
        if not isinstance(found, dict):
            raise ValueError("it is not an object")
        return found

    try:
        last = read()
    except (OSError, ValueError) as error:
        raise BadDriver(f"The driver's settings in {path} cannot be read: {error}.") from None

    def settings() -> Mapping[str, Any]:
        nonlocal last
        with contextlib.suppress(OSError, ValueError):  # it is being written just now
            last = read()
        return last

    return settings
