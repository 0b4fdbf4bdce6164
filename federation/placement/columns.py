"""A frozen fleet as columns: what the compiled loops read and write.

Nodes are in an order of their own (by site, then by the drawn order), called positions. The devices of a node lie
together by flavor: such a run of devices is a group. Amounts are in 1/1000 of a device or core and in MiB.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from federation.placement.types import DeviceFree, Fleet, NodeFree

if TYPE_CHECKING:
    from federation.placement.parts import Scale

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
F64 = npt.NDArray[np.float64]

NO_LIMIT = 1 << 30
ANY_AMOUNT = 1 << 40  # of CPU or memory, where a node's whole is not known


class Nodes(NamedTuple):
    """By position. `first_group` has one entry more: groups of n are first_group[n]:first_group[n + 1]."""

    cpu: I64  # free
    memory: I64  # free
    layout: I32
    site: I32
    rank: I32  # place in the drawn order: of equal nodes the lowest is taken
    first_group: I32
    whole: I64  # 1/1000 of healthy devices when empty
    kinds_held: I32  # bits: which sizes of requests the plan has put here (for gpu-clustering)
    merit: F64  # what the policy thinks of the node whatever is on it
    alike: I32  # nodes with the same number were equal when the plan began
    preferred: F64  # (2, N): what a wish that prefers money, or energy, adds to the score


class Groups(NamedTuple):
    """Runs of devices of one flavor; devices of g are first_device[g]:first_device[g + 1]."""

    first_device: I32
    mix: I32  # which table of the target mix
    free: I64  # 1/1000 of its devices now
    waste: F64  # its fragmentation now
    worth: F64  # what its gaps are worth now


class Devices(NamedTuple):
    free: I32  # 1/1000; 0 for what is not healthy
    memory: I64  # free MiB
    seats: I32  # holders it still takes
    kind: I32  # index into Columns.kinds
    slot: I32  # place in NodeFree.devices


class Layout(NamedTuple):
    """What does not change about a node while planning: one object for all equal nodes."""

    number: int
    site: str
    region: str
    is_open: bool
    slots: tuple[DeviceFree, ...]  # amounts blanked
    forms: frozenset[str]

    @property
    def healthy(self) -> int:
        """How many devices it is leased with, where it is leased whole."""
        return sum(slot.is_healthy for slot in self.slots)


class Columns:
    """The columns of a fleet, and the way back from positions to nodes."""

    def __init__(self, fleet: Fleet, order: Sequence[int] | npt.NDArray[np.int64]) -> None:
        """`order` says which node comes first when scores are equal: indexes into `fleet.nodes`."""
        self.fleet = fleet
        self.scale: Scale | None = None  # how its planner scores
        self.sites = sorted({node.site for node in fleet.nodes})
        number = {site: i for i, site in enumerate(self.sites)}
        count = len(fleet.nodes)
        rank_of = np.empty(count, np.int32)
        rank_of[np.asarray(order, np.int64)] = np.arange(count, dtype=np.int32)
        sites = np.fromiter((number[n.site] for n in fleet.nodes), np.int32, count)
        at: I64 = np.lexsort((rank_of, sites)).astype(np.int64)  # position -> index into the fleet
        self.index = at
        self._layouts: dict[object, _Plan] = {}
        self._by_identity: dict[object, _Plan] = {}
        self.layouts: list[Layout] = []
        self.kinds: list[DeviceFree] = []
        self._kind_of: dict[DeviceFree, int] = {}
        self._contents: dict[object, int] = {}
        self.steps: dict[str, set[int]] = {}  # by flavor, of what can be shared
        self._fill(at, sites, rank_of)

    def node(self, position: int) -> NodeFree:
        return self.fleet.nodes[int(self.index[position])]

    def renew(self, position: int, was: NodeFree, node: NodeFree) -> bool:
        """Write down what is free on a node now. False, and nothing written, when more than that has changed."""
        plan, groups = self._plan(node), self.nodes.first_group
        if _still(was) != _still(node) or plan.layout.number != self.nodes.layout[position]:
            return False
        first, last = self.groups.first_device[groups[position]], self.groups.first_device[groups[position + 1]]
        self.nodes.cpu[position], self.nodes.memory[position] = node.cpu_milli, node.memory_mib
        self.devices.free[first:last] = plan.free(node)
        self.devices.memory[first:last] = [node.devices[s].free_memory_mib for s in plan.slots]
        self.devices.seats[first:last] = [_seats(node.devices[s]) for s in plan.slots]
        return True

    def _fill(self, at: I64, sites: I32, rank_of: I32) -> None:
        nodes = [self.fleet.nodes[i] for i in at.tolist()]
        plans = [self._layout(node) for node in nodes]
        count = len(nodes)
        first_group = np.zeros(count + 1, np.int32)
        np.cumsum([len(p.flavors) for p in plans], out=first_group[1:]) if count else None
        sizes = [size for p in plans for size in p.sizes]
        first_device = np.zeros(len(sizes) + 1, np.int32)
        np.cumsum(sizes, out=first_device[1:]) if sizes else None
        total = int(first_device[-1])
        self.nodes = Nodes(
            cpu=np.fromiter((n.cpu_milli for n in nodes), np.int64, count),
            memory=np.fromiter((n.memory_mib for n in nodes), np.int64, count),
            layout=np.fromiter((p.layout.number for p in plans), np.int32, count),
            site=sites[at].astype(np.int32),
            rank=rank_of[at].astype(np.int32),
            first_group=first_group,
            whole=np.fromiter((p.whole for p in plans), np.int64, count),
            kinds_held=np.zeros(count, np.int32),
            merit=np.zeros(count, np.float64),
            alike=np.zeros(count, np.int32),
            preferred=np.zeros((2, count), np.float64),
        )
        self.content = np.fromiter(map(self._content, nodes), np.int64, count)
        self.group_kind = np.fromiter((k for p in plans for k in p.kinds), np.int32, len(sizes))
        self.groups = Groups(
            first_device, np.zeros(len(sizes), np.int32), np.zeros(len(sizes), np.int64), np.zeros(len(sizes)),
            np.zeros(len(sizes)),
        )  # fmt: skip
        self.devices = Devices(
            free=np.fromiter((f for n, p in zip(nodes, plans, strict=True) for f in p.free(n)), np.int32, total),
            memory=np.fromiter((n.devices[s].free_memory_mib for n, p in zip(nodes, plans, strict=True)
                                for s in p.slots), np.int64, total),
            seats=np.fromiter((_seats(n.devices[s]) for n, p in zip(nodes, plans, strict=True) for s in p.slots),
                              np.int32, total),
            kind=np.fromiter((k for p in plans for k in p.device_kinds), np.int32, total),
            slot=np.fromiter((s for p in plans for s in p.slots), np.int32, total),
        )  # fmt: skip

    def _layout(self, node: NodeFree) -> "_Plan":
        # Nodes made in bulk share one tuple of devices, and then need no look at each. Only for those of the fleet,
        # which is kept: the identity of a tuple that is gone is soon another's.
        quick = (node.site, node.region, node.is_open, id(node.devices), node.forms)
        if quick not in self._by_identity:
            self._by_identity[quick] = self._plan(node)
        return self._by_identity[quick]

    def _plan(self, node: NodeFree) -> "_Plan":
        slots = tuple(map(_blank, node.devices))
        key = (node.site, node.region, node.is_open, slots, node.forms)
        plan = self._layouts.get(key)
        if plan is None:
            layout = Layout(len(self.layouts), node.site, node.region, node.is_open, slots, node.forms)
            self.layouts.append(layout)
            for slot in slots:
                if slot.can_share:
                    self.steps.setdefault(slot.flavor, set()).add(slot.step_milli)
            plan = self._layouts[key] = _Plan(layout, [self._kind(slot) for slot in slots])
        return plan

    def _content(self, node: NodeFree) -> int:
        """The same number for nodes whose devices are equal in all; see `_layout` for the quick way."""
        found = self._contents.get(id(node.devices))
        if found is None:
            found = self._contents.setdefault(node.devices, len(self._contents))
            self._contents[id(node.devices)] = found
        return found

    def _kind(self, slot: DeviceFree) -> int:
        kind = _blank(slot, index=0)
        if kind not in self._kind_of:
            self._kind_of[kind] = len(self.kinds)
            self.kinds.append(kind)
        return self._kind_of[kind]

    def emptied(self) -> "Columns":
        """The same fleet with nothing on it, all open and healthy: what can never fit here can never fit."""
        return Columns(Fleet(tuple(map(_emptied, self.fleet.nodes))), range(len(self.fleet.nodes)))


class _Plan:
    """How the devices of equal nodes lie in the columns."""

    def __init__(self, layout: Layout, kinds: list[int]) -> None:
        by_flavor: dict[str, list[int]] = {}
        for place, slot in enumerate(layout.slots):
            by_flavor.setdefault(slot.flavor, []).append(place)
        self.layout = layout
        self.flavors = list(by_flavor)
        self.sizes = [len(places) for places in by_flavor.values()]
        self.slots = [place for places in by_flavor.values() for place in places]
        self.device_kinds = [kinds[place] for place in self.slots]
        # The table of the target mix that a group is judged by is that of its first healthy device.
        self.kinds = [
            kinds[next((p for p in places if layout.slots[p].is_healthy), places[0])] for places in by_flavor.values()
        ]
        self.whole = 1000 * sum(slot.is_healthy for slot in layout.slots)

    def free(self, node: NodeFree) -> list[int]:
        devices = node.devices
        return [devices[s].free_milli if devices[s].is_healthy else 0 for s in self.slots]


def _still(node: NodeFree) -> NodeFree:
    """What does not change about a node while planning, its devices aside."""
    return replace(node, cpu_milli=0, memory_mib=0, devices=())


def _blank(device: DeviceFree, **changes: Any) -> DeviceFree:
    """What does not change about a device while planning."""
    d = device
    return DeviceFree(
        index=changes.get("index", d.index), flavor=d.flavor, model=d.model, vendor=d.vendor, free_milli=0,
        free_memory_mib=0, memory_mib=d.memory_mib, is_healthy=d.is_healthy, can_share=d.can_share,
        step_milli=d.step_milli, most_shares=d.most_shares, held_shares=0, mode=d.mode,
    )  # fmt: skip


def _seats(device: DeviceFree) -> int:
    return max(device.most_shares - device.held_shares, 0) if device.most_shares else NO_LIMIT


def _emptied(node: NodeFree) -> NodeFree:
    return NodeFree(
        id=node.id, name=node.name, cluster=node.cluster, site=node.site,
        cpu_milli=max(node.total_cpu_milli, node.cpu_milli) if node.total_cpu_milli else ANY_AMOUNT,
        memory_mib=max(node.total_memory_mib, node.memory_mib) if node.total_memory_mib else ANY_AMOUNT,
        devices=tuple(_empty_device(d) for d in node.devices), rack=node.rack, labels=node.labels, is_open=True,
        total_cpu_milli=node.total_cpu_milli, total_memory_mib=node.total_memory_mib, region=node.region,
        network=node.network, forms=node.forms,
    )  # fmt: skip


def _empty_device(d: DeviceFree) -> DeviceFree:
    return DeviceFree(
        index=d.index, flavor=d.flavor, model=d.model, vendor=d.vendor, free_milli=1000, free_memory_mib=d.memory_mib,
        memory_mib=d.memory_mib, is_healthy=True, can_share=d.can_share, step_milli=d.step_milli,
        most_shares=d.most_shares, held_shares=0, mode=d.mode,
    )  # fmt: skip
