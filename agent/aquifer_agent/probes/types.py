"""What a probe says of one accelerator."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """Facts that stay. `index` is given by the agent, over all vendors."""

    uuid: str
    vendor: str
    model: str
    memory_mib: int
    health: str = "healthy"  # healthy, unhealthy, unknown
    numa: int | None = None
    index: int = 0
    serial: str = ""  # of the board
    pci: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """Figures of this moment; None where the driver does not say."""

    uuid: str
    busy_percent: float | None = None
    memory_used_mib: int | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None
