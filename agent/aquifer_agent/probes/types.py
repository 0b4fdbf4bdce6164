"""What a probe says of one accelerator."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

EXCLUSIVE, PARTITIONED = "exclusive", "partitioned"
HEALTHY, UNHEALTHY, UNKNOWN = "healthy", "unhealthy", "unknown"


@dataclass(frozen=True, slots=True)
class Device:
    """Facts that stay. `index` is given by the agent, over all vendors.

    A hardware partition is one more, with its card's uuid in `parent_uuid`.
    """

    uuid: str
    vendor: str
    model: str
    memory_mib: int
    health: str = HEALTHY
    numa: int | None = None
    index: int = 0
    parent_uuid: str = ""
    mode: str = EXCLUSIVE
    resource: str = ""  # the vendor's own word for what this is
    serial: str = ""  # of the board
    pci: str = ""
    is_identified: bool = True  # False: the tool only counts its cards; the uuid is made of where the card is
    profiles: Mapping[str, int] = field(default_factory=dict)  # what it can be cut into: so many of each at most

    def report(self, index: int) -> dict[str, Any]:
        """As it is told to the hub: what is as it mostly is, is left out."""
        told = asdict(self) | {"index": index, "uuid": self.uuid[:300], "model": self.model[:64]}
        return {name: value for name, value in told.items() if name in _ALWAYS or value != _DEFAULTS[name]}


_ALWAYS = ("index", "uuid", "vendor", "model", "memory_mib", "health", "numa")
_DEFAULTS = {f.name: f.default_factory() if f.default_factory is not MISSING else f.default for f in fields(Device)}


@dataclass(frozen=True, slots=True)
class Figure:
    """Figures of this moment; None where the driver does not say."""

    uuid: str
    busy_percent: float | None = None
    memory_used_mib: int | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None


Pair = tuple[Device, Figure]
