"""Can this node take this member, and with which devices? If not, which filter says so, in a fixed order."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from federation.placement.shapes import Layout, Shape, Slot
from federation.placement.types import CPU_FLAVOR


class Filter(StrEnum):
    """In the order they are asked; a node is counted at the first that removes it."""

    CLOSED = "closed"
    SITE = "site"
    MODEL = "model"
    QUOTA = "quota"
    ACCELERATORS = "accelerators"
    DEVICE_MEMORY = "device-memory"
    CPU = "cpu"
    MEMORY = "memory"


ORDER = {found: place for place, found in enumerate(Filter)}


class Wish(NamedTuple):
    """One member of a request, without its name: equal wishes have equal answers.

    `flavors` are those where quota has room for it; None when quota does not limit. `too_coarse` are flavors and
    steps of devices to which a share would be rounded up beyond that room.
    """

    cpu_milli: int
    memory_mib: int
    devices: int
    milli: int
    device_memory_mib: int
    models: frozenset[str]
    vendors: frozenset[str]
    sites: frozenset[str]
    flavors: frozenset[str] | None
    too_coarse: frozenset[tuple[str, int]] = frozenset()

    @property
    def is_share(self) -> bool:
        return self.milli < 1000


class Group(NamedTuple):
    """The healthy slots of one flavor that suit a wish. A member's devices are all of one flavor.

    `takes` and `memory` say, for every slot of the layout, what the wish needs there: 1/1000 and MiB.
    """

    flavor: str
    slots: tuple[int, ...]
    takes: tuple[int, ...]
    memory: tuple[int, ...]


class Choice(NamedTuple):
    flavor: str
    slots: tuple[int, ...]
    milli: int  # taken in all


_NO_DEVICES = (Group(CPU_FLAVOR, (), (), ()),)


def suits(wish: Wish, slot: Slot) -> bool:
    """Is this the kind of device that is wanted, busy or not?"""
    return (
        (not wish.models or slot.model in wish.models)
        and (not wish.vendors or slot.vendor in wish.vendors)
        and (slot.can_share or not wish.is_share)
    )


def screen(wish: Wish, layout: Layout) -> Filter | tuple[Group, ...]:
    """The filters that look only at what does not change; the slots to look at further."""
    if not layout.is_open:
        return Filter.CLOSED
    if wish.sites and layout.site not in wish.sites:
        return Filter.SITE
    if not wish.devices:
        return _NO_DEVICES if wish.flavors is None or CPU_FLAVOR in wish.flavors else Filter.QUOTA
    by_flavor: dict[str, list[int]] = {}
    for position, slot in enumerate(layout.slots):
        if suits(wish, slot):
            by_flavor.setdefault(slot.flavor, []).append(position)
    if not by_flavor:
        return Filter.MODEL
    takes = tuple(slot.takes(wish.milli) for slot in layout.slots)
    memory = tuple(max(share_memory(wish, slot), wish.device_memory_mib) for slot in layout.slots)
    groups = tuple(
        Group(flavor, tuple(s for s in fine if layout.slots[s].is_healthy), takes, memory)
        for flavor, slots in by_flavor.items()
        if (wish.flavors is None or flavor in wish.flavors) and (fine := _fine(wish, layout, slots))
    )
    return groups or Filter.QUOTA


def _fine(wish: Wish, layout: Layout, slots: list[int]) -> list[int]:
    """Those whose steps do not carry a share beyond quota."""
    if not wish.too_coarse:
        return slots
    return [s for s in slots if (layout.slots[s].flavor, layout.slots[s].step_milli) not in wish.too_coarse]


def share_memory(wish: Wish, slot: Slot) -> int:
    """The memory that goes with what is taken of one device."""
    if not wish.is_share:
        return slot.memory_mib
    return wish.device_memory_mib or slot.memory_mib * slot.takes(wish.milli) // 1000


def free_slots(shape: Shape, group: Group) -> list[int]:
    """Slots with the compute that is asked; whether their memory suffices is the next question."""
    free, takes = shape.free, group.takes
    found = [s for s in group.slots if free[s] >= takes[s]]
    return [s for s in found if shape.seats[s]] if shape.seats else found


def roomy_slots(shape: Shape, group: Group, slots: Sequence[int]) -> list[int]:
    """Of those, the ones with enough free memory."""
    free, memory = shape.free_memory, group.memory
    return [s for s in slots if free[s] >= memory[s]]


def fit(wish: Wish, shape: Shape, groups: Sequence[Group], *, is_tight: bool) -> Filter | Choice:
    """Which devices of such a node the member would get, or the filter that refuses it.

    Of several flavors that would do, the one with the fewest devices to spare. Of several devices that could
    be shared, the fullest that still has room when `is_tight`, else the emptiest.
    """
    choice: Choice | None = None
    refused, spare = Filter.ACCELERATORS, 0
    for group in groups:
        free = free_slots(shape, group)
        if len(free) < wish.devices:
            continue
        roomy = roomy_slots(shape, group, free) if wish.devices else free
        if len(roomy) < wish.devices:
            refused = Filter.DEVICE_MEMORY
            continue
        if choice is None or len(roomy) < spare:
            spare = len(roomy)
            picked = [_one(shape, roomy, is_tight)] if wish.is_share else roomy[: wish.devices]
            choice = Choice(group.flavor, tuple(picked), sum(group.takes[s] for s in picked))
    if choice is None:
        return refused
    if shape.cpu_milli < wish.cpu_milli:
        return Filter.CPU
    if shape.memory_mib < wish.memory_mib:
        return Filter.MEMORY
    return choice


def _one(shape: Shape, slots: Sequence[int], is_tight: bool) -> int:
    if is_tight:
        return min(slots, key=lambda s: (shape.free[s], shape.free_memory[s], s))
    return max(slots, key=lambda s: (shape.free[s], shape.free_memory[s], -s))
