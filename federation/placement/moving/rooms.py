"""What is free on nodes while moves are tried: small values that are replaced, so that trying costs no undoing."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from federation.placement import tables
from federation.placement.columns import NO_LIMIT
from federation.placement.filters import Wish, step_up
from federation.placement.mix import Mix
from federation.placement.moving.pieces import Piece
from federation.placement.terms import NETWORK_CLASS_LABEL, NO_TERMS, Terms, is_in
from federation.placement.types import CPU_FLAVOR, DeviceFree, DeviceShare, Fleet, NodeFree, Request


class Kind(NamedTuple):
    """Pieces, or members of requests, that differ in nothing that decides where they fit.

    `held_milli` is what a piece takes of each device, wherever it goes; 0: what the device gives. `cluster` is (site,
    cluster) when it is bound to one.
    """

    wish: Wish
    held_milli: int = 0
    cluster: tuple[str, str] | None = None


class Room(NamedTuple):
    """Free on one node: 1/1000 of cores, MiB, and by place in `NodeFree.devices` 1/1000, MiB and holders."""

    cpu: int
    memory: int
    free: tuple[int, ...]
    device_memory: tuple[int, ...]
    seats: tuple[int, ...]


class Spot(NamedTuple):
    """One way to take a kind on: the room that is left, and what of which devices is taken."""

    room: Room
    shares: tuple[DeviceShare, ...]


class Group(NamedTuple):
    """Devices of one flavor on a node, and the row of the mix that they are judged by."""

    flavor: str
    slots: tuple[int, ...]
    row: int


class Place:
    """A node: what does not change on it, and what is free on it at first."""

    def __init__(self, node: NodeFree, row_of: dict[tuple[str, str, bool], int]) -> None:
        self.node = node
        self.slot_of = {device.index: slot for slot, device in enumerate(node.devices)}
        by_flavor: dict[str, list[int]] = {}
        for slot, device in enumerate(node.devices):
            by_flavor.setdefault(device.flavor, []).append(slot)
        self.groups = tuple(
            Group(flavor, tuple(slots), row_of[_look(_first_healthy(node, slots))])
            for flavor, slots in by_flavor.items()
        )
        self.room = Room(
            node.cpu_milli,
            node.memory_mib,
            tuple(d.free_milli if d.is_healthy else 0 for d in node.devices),
            tuple(d.free_memory_mib for d in node.devices),
            tuple(max(d.most_shares - d.held_shares, 0) if d.most_shares else NO_LIMIT for d in node.devices),
        )
        self.movable: list[Piece] = []
        self.on: dict[int, list[tuple[int, Piece]]] = {}
        self._takes: dict[Kind, list[list[tuple[int, int, int]]] | None] = {}

    def count(self) -> None:
        """By device what the movable pieces hold of it, in 1/1000, the largest first."""
        self.on = {slot: [] for slot in range(len(self.node.devices))}
        for piece in self.movable:
            for share in piece.devices:
                self.on[self.slot_of[share.index]].append((share.milli, piece))
        for held in self.on.values():
            held.sort(key=lambda each: (-each[0], each[1].id))

    def lifted(self, room: Room, pieces: Iterable[Piece]) -> Room:
        """With these pieces gone."""
        cpu, memory = room.cpu, room.memory
        free, device_memory, seats = list(room.free), list(room.device_memory), list(room.seats)
        for piece in pieces:
            cpu += piece.request.cpu_milli
            memory += piece.request.memory_mib
            for share in piece.devices:
                slot = self.slot_of[share.index]
                device_memory[slot] += share.memory_mib
                seats[slot] += 1
                if self.node.devices[slot].is_healthy:
                    free[slot] += share.milli
        return Room(cpu, memory, tuple(free), tuple(device_memory), tuple(seats))

    def spots(self, room: Room, kind: Kind) -> Iterator[Spot]:
        """The ways to take one of this kind on that leave different rooms behind."""
        wish = kind.wish
        if room.cpu < wish.cpu_milli or room.memory < wish.memory_mib:
            return
        takes = self.takes(kind)
        if takes is None:
            return
        if not wish.devices:
            yield Spot(room._replace(cpu=room.cpu - wish.cpu_milli, memory=room.memory - wish.memory_mib), ())
            return
        for parts in takes:
            fitting = [
                part
                for part in parts
                if room.free[part[0]] >= part[1] and room.device_memory[part[0]] >= part[2] and room.seats[part[0]] > 0
            ]
            if not wish.is_share:
                if len(fitting) >= wish.devices:
                    yield self._taken(room, wish, fitting[: wish.devices])
                continue
            seen = set()
            for part in fitting:
                slot = part[0]
                alike = (room.free[slot], room.device_memory[slot], room.seats[slot], *part[1:])
                if alike not in seen:
                    seen.add(alike)
                    yield self._taken(room, wish, [part])

    def _taken(self, room: Room, wish: Wish, parts: Sequence[tuple[int, int, int]]) -> Spot:
        free, device_memory, seats = list(room.free), list(room.device_memory), list(room.seats)
        for slot, milli, memory in parts:
            free[slot] -= milli
            device_memory[slot] -= memory
            seats[slot] -= 1
        shares = tuple(DeviceShare(self.node.devices[slot].index, milli, memory) for slot, milli, memory in parts)
        left = Room(
            room.cpu - wish.cpu_milli, room.memory - wish.memory_mib, tuple(free), tuple(device_memory), tuple(seats)
        )  # fmt: skip
        return Spot(left, shares)

    def takes(self, kind: Kind) -> list[list[tuple[int, int, int]]] | None:
        """By group the devices that suit: slot, 1/1000 and MiB that are needed there. None: never on this node."""
        if kind not in self._takes:
            self._takes[kind] = self._look(kind)
        return self._takes[kind]

    def _look(self, kind: Kind) -> list[list[tuple[int, int, int]]] | None:
        wish, node = kind.wish, self.node
        if not node.is_open or (wish.sites and node.site not in wish.sites) or not meets(wish.terms, node):
            return None
        if kind.cluster is not None and kind.cluster != (node.site, node.cluster):
            return None
        if not wish.devices:
            return []
        found = []
        for group in self.groups:
            parts = []
            for slot in group.slots:
                device = node.devices[slot]
                milli = step_up(wish.milli, device.step_milli)
                if device.is_healthy and wish.may_have(device) and kind.held_milli in (0, milli):
                    parts.append((slot, milli, wish.memory_on(device)))
            if parts:
                found.append(parts)
        return found or None


class Waste:
    """Fragmentation of nodes against a mix (mix.py), remembered: the same rooms come again and again."""

    def __init__(self, mix: Mix, looks: Sequence[DeviceFree]) -> None:
        table = tables.table(mix, looks)
        self._cpu: list[int] = table.cpu.tolist()
        self._milli: list[int] = table.milli.tolist()
        self._whole: list[int] = table.whole.tolist()
        self._runs: list[list[list[float]]] = table.runs.tolist()
        self._none: list[list[float]] = table.none.tolist()
        self._known: dict[tuple[object, ...], float] = {}

    def of(self, place: Place, room: Room) -> float:
        """1/1000 of devices; none where nothing new is placed."""
        if not place.node.is_open:
            return 0.0
        step = bisect_right(self._cpu, room.cpu)
        total = 0.0
        for group in place.groups:
            free = sorted(room.free[slot] for slot in group.slots)
            key = (group.row, step, *free)
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = self._group(group.row, step, free)
            total += found
        return total

    def _group(self, row: int, step: int, free: Sequence[int]) -> float:
        total, full = sum(free), sum(f == 1000 for f in free)
        lost = self._none[row][step] * total
        runs = self._runs[row][step]
        for number, milli in enumerate(self._milli):
            if runs[number]:
                lost += runs[number] * sum(f for f in free if f < milli)
        for number, count in enumerate(self._whole, start=len(self._milli)):
            if runs[number]:
                lost += runs[number] * (total - 1000 * full if full >= count else total)
        return lost


class Rooms:
    """All places of a fleet, in its order."""

    def __init__(self, fleet: Fleet, mix: Mix) -> None:
        rows: dict[tuple[str, str, bool], int] = {}
        looks: list[DeviceFree] = []
        for node in fleet.nodes:
            for device in node.devices:
                if _look(device) not in rows:
                    rows[_look(device)] = len(looks)
                    looks.append(device)
        self.places = {node.id: Place(node, rows) for node in fleet.nodes}
        self.waste = Waste(mix, looks)


def kind_of(piece: Piece, node: NodeFree) -> Kind:
    wish = wish_of(piece.request)._replace(flavors=frozenset((piece.flavor,)) if piece.devices else None)
    return Kind(
        wish,
        piece.devices[0].milli if piece.devices else 0,
        (node.site, node.cluster) if piece.is_bound else None,
    )


def wish_of(request: Request) -> Wish:
    """One member, on flavors where quota has room for it."""
    needed = request.devices * request.milli if request.wants_accelerators else request.cpu_milli
    flavors = request.flavors
    return Wish(
        request.cpu_milli, request.memory_mib, request.devices, request.milli, request.device_memory_mib,
        request.models, request.vendors, request.sites,
        None if flavors is None else frozenset(f for f, left in flavors.items() if left >= needed),
        terms=request.terms or NO_TERMS,
    )  # fmt: skip


def meets(terms: Terms, node: NodeFree) -> bool:
    """Region, labels and network class; how devices are handed out is theirs to tell."""
    return (
        (not terms.regions or any(is_in(node.region, wanted) for wanted in terms.regions))
        and (not terms.form or not node.forms or terms.form in node.forms)
        and all(node.labels.get(name) == value for name, value in terms.labels)
        and terms.network_class in ("", node.labels.get(NETWORK_CLASS_LABEL))
    )


def has_quota(wish: Wish) -> bool:
    return wish.flavors is None or (CPU_FLAVOR in wish.flavors if not wish.devices else bool(wish.flavors))


def _look(device: DeviceFree) -> tuple[str, str, bool]:
    """What the mix knows of a device."""
    return device.model, device.vendor, device.can_share


def _first_healthy(node: NodeFree, slots: Sequence[int]) -> DeviceFree:
    return node.devices[next((s for s in slots if node.devices[s].is_healthy), slots[0])]
