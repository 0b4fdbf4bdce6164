"""Accelerators by vendor: one file each, one line in PROBES. A probe never raises because a driver is missing."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from aquifer_agent.probes import (
    amd,
    ascend,
    cambricon,
    enflame,
    hygon,
    iluvatar,
    intel,
    kunlunxin,
    metax,
    moore_threads,
    nvidia,
)
from aquifer_agent.probes.tools import ToolFailed
from aquifer_agent.probes.types import Device, Pair

PROBES: dict[str, Callable[[], Iterable[Pair]]] = {
    "nvidia": nvidia.look,
    "amd": amd.probe,
    "ascend": ascend.probe,
    "cambricon": cambricon.probe,
    "enflame": enflame.probe,
    "hygon": hygon.probe,
    "iluvatar": iluvatar.probe,
    "intel": intel.probe,
    "kunlunxin": kunlunxin.probe,
    "metax": metax.probe,
    "moore-threads": moore_threads.probe,
}


@dataclass(frozen=True, slots=True)
class Sight:
    """All accelerators at one moment."""

    devices: list[dict[str, Any]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def look() -> Sight:
    """Ask every probe. A probe that fails is a problem to report, not an end of the agent."""
    sight = Sight()
    seen: list[Device] = []
    for vendor, probe in PROBES.items():
        try:
            for device, figure in probe():
                seen.append(device)
                sight.figures.append(asdict(figure))
        except ToolFailed as failure:
            sight.problems.append(f"{vendor}: {failure}")
        except Exception as error:  # a vendor's library may raise anything
            sight.problems.append(f"{vendor}: {type(error).__name__}: {error}")
    # Parts come after all cards, so that a card keeps its place when another one is cut.
    sight.devices.extend(device.report(index) for index, device in enumerate(sorted(seen, key=_is_part)))
    return sight


def _is_part(device: Device) -> bool:
    return bool(device.parent_uuid)
