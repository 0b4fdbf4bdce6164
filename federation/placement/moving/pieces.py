"""Running work as plans of moves see it, and what a plan of moves is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from federation.placement.types import DeviceShare, Request


class Aim(StrEnum):
    WAITING = "waiting"  # as many as possible of the requests that wait
    MIX = "mix"  # as little as possible of what is free is lost to what is likely to be asked


@dataclass(frozen=True, slots=True)
class Piece:
    """One member of running work: what it holds on a node, and the request that it holds it for.

    `devices` are in 1/1000 and MiB, `flavor` is what quota counts them as. A piece goes only to devices of its flavor,
    in the same amount, so that neither quota nor price changes; with `is_bound` (its storage is there) only within its
    cluster. Members of gangs are not moved.
    """

    id: str
    node: str  # NodeFree.id
    devices: tuple[DeviceShare, ...]
    request: Request
    flavor: str = ""
    is_movable: bool = False
    is_bound: bool = False

    @property
    def obstacle(self) -> str:
        """Why it stays where it is; empty when it may be moved."""
        return "" if self.is_movable and self.request.replicas == 1 else "gang" if self.is_movable else "not-movable"


@dataclass(frozen=True, slots=True)
class Move:
    piece: str  # Piece.id
    source: str  # NodeFree.id
    target: str
    devices: tuple[DeviceShare, ...]  # at the target


@dataclass(frozen=True, slots=True)
class Shape:
    """All nodes of one kind: what is free on them, in whole devices and in nodes of which no device is in use."""

    name: str  # as 8 x A100-80G
    nodes: int
    free_devices: int
    free_nodes: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A fleet at one moment, over its open nodes. Amounts in 1/1000 of devices; `lost_milli` is the fragmentation: what
    of the free devices one of the mix, drawn by how often it is asked, cannot use (mix.py)."""

    shapes: tuple[Shape, ...]
    free_milli: int
    lost_milli: float
    placed: frozenset[str] = frozenset()  # of the requests that wait, those that would be placed

    @property
    def free_devices(self) -> int:
        return sum(shape.free_devices for shape in self.shapes)


@dataclass(frozen=True, slots=True)
class MovePlan:
    """Moves in an order in which each step fits; `by` tells which way found them, "greedy" or "solver".

    `is_best` is the solver's proof over all that it looked at. `obstacles` counts the pieces that had to stay.
    """

    moves: tuple[Move, ...]
    before: Standing
    after: Standing
    by: str = "greedy"
    is_best: bool = False
    obstacles: Mapping[str, int] = field(default_factory=dict)
