"""Which filters there are, and those that look only at what does not change while a plan is made."""

from enum import StrEnum
from typing import NamedTuple

from federation.placement.columns import Layout
from federation.placement.types import CPU_FLAVOR, DeviceFree


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

    def may_have(self, kind: DeviceFree) -> bool:
        """Does it suit, and has quota room for it?"""
        return (
            suits(self, kind)
            and (self.flavors is None or kind.flavor in self.flavors)
            and (kind.flavor, kind.step_milli) not in self.too_coarse
        )

    def memory_on(self, kind: DeviceFree) -> int:
        """The MiB that it needs on such a device."""
        return max(share_memory(self, kind), self.device_memory_mib)


def step_up(milli: int, step: int) -> int:
    """The least multiple of a step that is no less, or the whole device."""
    return min(-(-milli // step) * step, 1000)


def suits(wish: Wish, kind: DeviceFree) -> bool:
    """Is this the kind of device that is wanted, busy or not?"""
    return (
        (not wish.models or kind.model in wish.models)
        and (not wish.vendors or kind.vendor in wish.vendors)
        and (kind.can_share or not wish.is_share)
    )


def screen(wish: Wish, layout: Layout) -> Filter | None:
    """The filter that removes all nodes of a layout whatever is on them."""
    if not layout.is_open:
        return Filter.CLOSED
    if wish.sites and layout.site not in wish.sites:
        return Filter.SITE
    if not wish.devices:
        return None if wish.flavors is None or CPU_FLAVOR in wish.flavors else Filter.QUOTA
    if not any(suits(wish, slot) for slot in layout.slots):
        return Filter.MODEL
    if not any(wish.may_have(slot) for slot in layout.slots):
        return Filter.QUOTA
    return None


def share_memory(wish: Wish, kind: DeviceFree) -> int:
    """The memory in MiB that goes with what is taken of one device."""
    if not wish.is_share:
        return kind.memory_mib
    return wish.device_memory_mib or kind.memory_mib * step_up(wish.milli, kind.step_milli) // 1000
