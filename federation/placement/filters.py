"""Which filters there are, and those that look only at what does not change while a plan is made."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from federation.forms import SERVER
from federation.placement.columns import Layout
from federation.placement.terms import NO_TERMS, Terms, is_in
from federation.placement.types import CPU_FLAVOR, DeviceFree


class Filter(StrEnum):
    """In the order they are asked; a node is counted at the first that removes it."""

    CLOSED = "closed"
    SITE = "site"
    REGION = "region"
    FORM = "form"
    WHOLE = "whole-server"
    LABEL = "label"
    NETWORK = "network-class"
    MODEL = "model"
    MODE = "mode"
    QUOTA = "quota"
    ACCELERATORS = "accelerators"
    DEVICE_MEMORY = "device-memory"
    CPU = "cpu"
    MEMORY = "memory"
    SPREAD = "spread"  # of nodes that fit a member of a gang, when no place holds enough members so far apart,
    TOPOLOGY = "topology"  # or together


ORDER = {found: place for place, found in enumerate(Filter)}


def removed(counts: Sequence[int]) -> dict[str, int]:
    """How many nodes each filter removed, in their order. `counts` begins with the nodes that fit."""
    return {found.value: int(counts[place + 1]) for found, place in ORDER.items() if counts[place + 1]}


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
    terms: Terms = NO_TERMS

    @property
    def is_share(self) -> bool:
        return self.milli < 1000

    def may_have(self, kind: DeviceFree) -> bool:
        """Does it suit, and has quota room for it?"""
        return (
            suits(self, kind)
            and (not self.terms.modes or kind.mode in self.terms.modes)
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
    terms = wish.terms
    if terms.regions and not any(is_in(layout.region, wanted) for wanted in terms.regions):
        return Filter.REGION
    if terms.form and layout.forms and terms.form not in layout.forms:
        return Filter.FORM
    if terms.form == SERVER and layout.forms and (wish.is_share or wish.devices != layout.healthy):
        return Filter.WHOLE
    if not wish.devices:
        return None if wish.flavors is None or CPU_FLAVOR in wish.flavors else Filter.QUOTA
    if not any(suits(wish, slot) for slot in layout.slots):
        return Filter.MODEL
    if terms.modes and not any(suits(wish, slot) and slot.mode in terms.modes for slot in layout.slots):
        return Filter.MODE
    if not any(wish.may_have(slot) for slot in layout.slots):
        return Filter.QUOTA
    return None


def share_memory(wish: Wish, kind: DeviceFree) -> int:
    """The memory in MiB that goes with what is taken of one device."""
    if not wish.is_share:
        return kind.memory_mib
    return wish.device_memory_mib or kind.memory_mib * step_up(wish.milli, kind.step_milli) // 1000
