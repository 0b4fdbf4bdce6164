"""Nodes, devices and requests for tests of the planner, in few words."""

from typing import Any

from federation.placement.plan import plan
from federation.placement.types import DeviceFree, Fleet, NodeFree, Placement, Refusal, Request

GIB = 1024


def device(index: int, model: str = "A100", free: int = 1000, **changes: Any) -> DeviceFree:
    values: dict[str, Any] = {
        "index": index, "flavor": f"nvidia-{model.lower()}", "model": model, "vendor": "nvidia", "free_milli": free,
        "free_memory_mib": 40 * GIB * free // 1000, "memory_mib": 40 * GIB, "can_share": True,
    }  # fmt: skip
    return DeviceFree(**{**values, **changes})


def node(name: str, *devices: DeviceFree, cpu: int = 64, memory: int = 256, **changes: Any) -> NodeFree:
    values: dict[str, Any] = {
        "id": name, "name": name, "cluster": "c", "site": "s", "cpu_milli": cpu * 1000, "memory_mib": memory * GIB,
        "devices": devices, "total_cpu_milli": 64_000, "total_memory_mib": 256 * GIB,
    }  # fmt: skip
    return NodeFree(**{**values, **changes})


def cards(count: int, model: str = "A100", busy: int = 0, **changes: Any) -> list[DeviceFree]:
    """So many devices, of which the first `busy` are taken."""
    return [device(i, model, 0 if i < busy else 1000, **changes) for i in range(count)]


def want(devices: int = 1, milli: int = 1000, cpu: int = 1, memory: int = 1, name: str = "r", **more: Any) -> Request:
    return Request(name, cpu * 1000, memory * GIB, devices, milli, **more)


def one(request: Request, *nodes: NodeFree, policy: str = "best-fit") -> Placement | Refusal:
    return plan([request], Fleet(nodes), policy)[0]


def where(outcome: Placement | Refusal) -> list[str]:
    assert isinstance(outcome, Placement), outcome
    return [member.node for member in outcome.members]


def refused(outcome: Placement | Refusal) -> Refusal:
    assert isinstance(outcome, Refusal), outcome
    return outcome
