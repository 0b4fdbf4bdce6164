"""Nodes that are equal in all that placement looks at are kept together: to judge one is to judge them all.

A `Shape` is what a node looks like at one moment; it never changes. A grant moves a node from one shape to
another. A shape that loses its last node is forgotten, so what was once found out about a shape stays true.
"""

from bisect import insort
from collections.abc import Iterator
from typing import NamedTuple

from federation.placement.types import DeviceShare, Fleet, NodeFree


class Slot(NamedTuple):
    """What does not change about one device while planning."""

    device_index: int
    flavor: str
    model: str
    vendor: str
    memory_mib: int
    is_healthy: bool
    can_share: bool
    step_milli: int
    most_shares: int

    def takes(self, milli: int) -> int:
        """What a request for so much of it takes: the next step, or the whole."""
        return step_up(milli, self.step_milli)


def step_up(milli: int, step: int) -> int:
    """The least multiple of a step that is no less, or the whole device."""
    return min(-(-milli // step) * step, 1000)


class Layout:
    """What does not change about a node while planning. One object for all equal nodes."""

    __slots__ = ("is_open", "number", "site", "slots", "whole_milli")

    def __init__(self, number: int, site: str, is_open: bool, slots: tuple[Slot, ...]) -> None:
        self.number = number
        self.site = site
        self.is_open = is_open
        self.slots = slots
        self.whole_milli = 1000 * sum(slot.is_healthy for slot in slots)


class Shape:
    """What is free on a node, and the positions (in node order) of the nodes where it is so now.

    `seats` is how many more holders each device takes; empty where no device of the node limits that.
    """

    __slots__ = ("cpu_milli", "free", "free_memory", "free_milli", "layout", "memory_mib", "nodes", "number", "seats")

    def __init__(self, number: int, layout: Layout, state: "State") -> None:
        self.number = number
        self.layout = layout
        self.cpu_milli, self.memory_mib, self.free, self.free_memory, self.seats = state
        self.free_milli = sum(f for f, slot in zip(self.free, layout.slots, strict=True) if slot.is_healthy)
        self.nodes: list[int] = []


# CPU, memory, per device: 1/1000 and MiB; holders it still takes, if any device limits them
State = tuple[int, int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]
_NO_LIMIT = 1 << 30


class Board:
    """The fleet while a plan is made."""

    def __init__(self, fleet: Fleet, order: list[int]) -> None:
        """`order` says which node comes first when scores are equal: indexes into `fleet.nodes`."""
        self.nodes: list[NodeFree] = [fleet.nodes[i] for i in order]
        self.news: list[Shape] = []  # every shape that ever appeared, in order
        self._layouts: dict[object, Layout] = {}
        self._shapes: dict[tuple[int, State], Shape] = {}
        self._shape_of: list[Shape] = []
        self.steps: dict[str, set[int]] = {}  # by flavor, of what can be shared
        for position, node in enumerate(self.nodes):
            self._shape_of.append(self._join(position, self._layout(node), _state(node)))

    def shapes(self) -> Iterator[Shape]:
        """All that nodes look like now."""
        return iter(self._shapes.values())

    def take(self, position: int, cpu_milli: int, memory_mib: int, shares: dict[int, DeviceShare]) -> State:
        """Hold what a member gets; `shares` by slot. The state before, for `restore`."""
        old = self._shape_of[position]
        free, free_memory, seats = list(old.free), list(old.free_memory), old.seats
        for slot, share in shares.items():
            free[slot] -= share.milli
            free_memory[slot] -= share.memory_mib
        if seats:
            seats = tuple(left - (slot in shares) for slot, left in enumerate(seats))
        state = (old.cpu_milli - cpu_milli, old.memory_mib - memory_mib, tuple(free), tuple(free_memory), seats)
        before = (old.cpu_milli, old.memory_mib, old.free, old.free_memory, old.seats)
        self.restore(position, state)
        return before

    def restore(self, position: int, state: State) -> None:
        """Move one node to a state."""
        old = self._shape_of[position]
        old.nodes.remove(position)
        if not old.nodes:
            was = (old.cpu_milli, old.memory_mib, old.free, old.free_memory, old.seats)
            del self._shapes[(old.layout.number, was)]
        self._shape_of[position] = self._join(position, old.layout, state)

    def _join(self, position: int, layout: Layout, state: State) -> Shape:
        shape = self._shapes.get((layout.number, state))
        if shape is None:
            shape = Shape(len(self.news), layout, state)
            self._shapes[(layout.number, state)] = shape
            self.news.append(shape)
        insort(shape.nodes, position)
        return shape

    def _layout(self, node: NodeFree) -> Layout:
        slots = tuple(
            Slot(
                d.index,
                d.flavor,
                d.model,
                d.vendor,
                d.memory_mib,
                d.is_healthy,
                d.can_share,
                d.step_milli,
                d.most_shares,
            )
            for d in node.devices
        )
        key = (node.site, node.is_open, slots)
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = Layout(len(self._layouts), node.site, node.is_open, slots)
            for slot in slots:
                if slot.can_share:
                    self.steps.setdefault(slot.flavor, set()).add(slot.step_milli)
        return layout


def _state(node: NodeFree) -> State:
    return (
        node.cpu_milli,
        node.memory_mib,
        tuple(d.free_milli for d in node.devices),
        tuple(d.free_memory_mib for d in node.devices),
        tuple(max(d.most_shares - d.held_shares, 0) if d.most_shares else _NO_LIMIT for d in node.devices)
        if any(d.most_shares for d in node.devices)
        else (),
    )
