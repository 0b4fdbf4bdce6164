"""MIG by NVML: what a card can be cut into, the parts that it has, and how to cut it anew.

A part is a GPU instance with one compute instance of its whole size: one MIG device, known by its own uuid.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from ctypes import byref, c_uint
from typing import Any

from aquifer_agent.probes.types import PARTITIONED, Device, Figure, Pair

_MIB = 1024 * 1024
_MOST = 16  # of instances of one kind; no card has more than 7
# What cards say themselves goes first; not every driver says it while the mode is off.
# NVIDIA's MIG user guide, "Supported MIG Profiles"; variants with media engines left out.
_KNOWN: Mapping[str, Mapping[str, int]] = {
    "A100-40G": {"1g.5gb": 7, "1g.10gb": 4, "2g.10gb": 3, "3g.20gb": 2, "4g.20gb": 1, "7g.40gb": 1},
    "A100-80G": {"1g.10gb": 7, "1g.20gb": 4, "2g.20gb": 3, "3g.40gb": 2, "4g.40gb": 1, "7g.80gb": 1},
    "H100": {"1g.10gb": 7, "1g.20gb": 4, "2g.20gb": 3, "3g.40gb": 2, "4g.40gb": 1, "7g.80gb": 1},
    "H200": {"1g.18gb": 7, "1g.35gb": 4, "2g.35gb": 3, "3g.71gb": 2, "4g.71gb": 1, "7g.141gb": 1},
}


class CardRefused(Exception):
    """The card, or who owns it, does not have it cut. `reason` is CamelCase, the text for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def is_on(nvml: Any, handle: Any) -> bool:
    return (_mode(nvml, handle) or (0, 0))[0] == 1


def _mode(nvml: Any, handle: Any) -> tuple[int, int] | None:
    """Now, and after the next reset; None of a card without MIG, and of a library older than it."""
    try:
        now, pending = nvml.nvmlDeviceGetMigMode(handle)
    except (nvml.NVMLError, AttributeError):
        return None
    return int(now), int(pending)


def profiles(nvml: Any, handle: Any, model: str) -> dict[str, int]:
    """So many of each at most; nothing of a card that cannot be cut."""
    if _mode(nvml, handle) is None:
        return {}
    return {name: int(info.instanceCount) for name, info in _offers(nvml, handle).items()} or dict(
        _KNOWN.get(model, {})
    )


def _offers(nvml: Any, handle: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in range(int(getattr(nvml, "NVML_GPU_INSTANCE_PROFILE_COUNT", 0))):
        try:
            info = nvml.nvmlDeviceGetGpuInstanceProfileInfo(handle, kind, version=2)
        except nvml.NVMLError:  # this card has no such kind
            continue
        if name := _profile_name(_text(info.name)):
            found.setdefault(name, info)
    return found


def parts(nvml: Any, handle: Any, card: Device) -> Iterator[Pair]:
    for part in _handles(nvml, handle):
        uuid = _text(nvml.nvmlDeviceGetUUID(part))
        memory = nvml.nvmlDeviceGetMemoryInfo(part)
        profile = _profile_name(_text(nvml.nvmlDeviceGetName(part)))
        if not profile:  # an older driver names the card alone
            size = nvml.nvmlDeviceGetAttributes_v2(part)
            profile = f"{size.gpuInstanceSliceCount}g.{round(size.memorySizeMB / 1024 + 0.3)}gb"
        device = Device(
            uuid, card.vendor, f"{card.model}/{profile}", int(memory.total) // _MIB, card.health, card.numa,
            parent_uuid=card.uuid, mode=PARTITIONED, resource=f"mig-{profile}",
        )  # fmt: skip
        yield device, Figure(uuid, memory_used_mib=int(memory.used) // _MIB)  # the rest is known of the card alone


def _handles(nvml: Any, handle: Any) -> Iterator[Any]:
    if not is_on(nvml, handle):
        return
    for index in range(int(nvml.nvmlDeviceGetMaxMigDeviceCount(handle))):
        try:
            yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except nvml.NVMLError:  # no part at this place
            continue


def _profile_name(name: str) -> str:
    """ "NVIDIA A100-SXM4-80GB MIG 1g.10gb" and "MIG 1g.10gb" are of 1g.10gb."""
    _, mark, profile = f" {name}".rpartition(" MIG ")
    return profile.strip() if mark else name.strip() if "g." in name and " " not in name.strip() else ""


# Cutting. Called by whoever made sure that none of our work is on the card.


def cut(nvml: Any, uuid: str, wanted: Mapping[str, int]) -> bool:
    """Make the card's parts be these, and no others; no parts: MIG off. True when something was done.

    Raises CardRefused; the card is then without parts, or as it was.
    """
    try:
        return _cut(nvml, nvml.nvmlDeviceGetHandleByUUID(uuid.encode()), dict(wanted))
    except nvml.NVMLError as error:
        raise CardRefused("CardRefused", f"The card refuses: {error}.") from error


def _cut(nvml: Any, handle: Any, wanted: dict[str, int]) -> bool:
    mode = _mode(nvml, handle)
    if mode is None:
        raise CardRefused("NotPartitionable", "This card cannot be cut into parts.")
    there = Counter(_profile_name(_text(nvml.nvmlDeviceGetName(part))) for part in _handles(nvml, handle))
    if mode[0] == bool(wanted) and there == Counter(wanted) and (not mode[0] or _count(nvml, handle) == there.total()):
        return False
    if nvml.nvmlDeviceGetComputeRunningProcesses(handle):
        raise CardRefused("CardInUse", "Work that is not ours uses this card.")
    if mode[0]:
        _remove_all(nvml, handle)
    if mode[0] != bool(wanted):
        _switch(nvml, handle, bool(wanted))
    if wanted:
        _make(nvml, handle, wanted)
    return True


def _switch(nvml: Any, handle: Any, is_wanted: bool) -> None:
    nvml.nvmlDeviceSetMigMode(handle, int(is_wanted))
    if is_on(nvml, handle) != is_wanted:
        word = "on" if is_wanted else "off"
        raise CardRefused(
            "ResetRequired",
            f"MIG is switched {word} with the card's next reset: restart the machine. We never reset it.",
        )


def _make(nvml: Any, handle: Any, wanted: dict[str, int]) -> None:
    offers = _offers(nvml, handle)
    if unknown := sorted(wanted.keys() - offers.keys()):
        raise CardRefused("UnknownProfile", f"This card has no {', '.join(unknown)}.")
    # The largest first: a small part at the wrong place keeps a large one out.
    order = sorted(wanted, key=lambda name: (-int(offers[name].sliceCount), -int(offers[name].memorySizeMB)))
    try:
        for name in order:
            for _ in range(wanted[name]):
                instance = nvml.nvmlDeviceCreateGpuInstance(handle, offers[name].id)
                nvml.nvmlGpuInstanceCreateComputeInstance(
                    instance, _compute_profile(nvml, instance, int(offers[name].sliceCount))
                )
    except nvml.NVMLError as error:
        _remove_all(nvml, handle)
        raise CardRefused("DoesNotFit", f"These parts do not fit together on the card: {error}.") from error


def _compute_profile(nvml: Any, instance: Any, slices: int) -> int:
    for kind in range(int(nvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT)):
        try:
            info = nvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(
                instance, kind, nvml.NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED
            )
        except nvml.NVMLError:  # this instance has no such kind
            continue
        if int(info.sliceCount) == slices:
            return int(info.id)
    raise CardRefused("CardRefused", f"The card offers no compute instance of {slices} slices.")


def _remove_all(nvml: Any, handle: Any) -> None:
    for instance in _instances(nvml, handle):
        for kind in range(int(nvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT)):
            try:
                info = nvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(
                    instance, kind, nvml.NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED
                )
            except nvml.NVMLError:
                continue
            compute, count = (nvml.c_nvmlComputeInstance_t * _MOST)(), c_uint(_MOST)
            nvml.nvmlGpuInstanceGetComputeInstances(instance, info.id, compute, byref(count))
            for one in compute[: count.value]:
                nvml.nvmlComputeInstanceDestroy(one)
        nvml.nvmlGpuInstanceDestroy(instance)


def _instances(nvml: Any, handle: Any) -> list[Any]:
    """GPU instances, also those without a compute instance, which are no device."""
    found: list[Any] = []
    for info in _offers(nvml, handle).values():
        instances, count = (nvml.c_nvmlGpuInstance_t * _MOST)(), c_uint(_MOST)
        nvml.nvmlDeviceGetGpuInstances(handle, info.id, instances, byref(count))
        found += instances[: count.value]
    return found


def _count(nvml: Any, handle: Any) -> int:
    return len(_instances(nvml, handle))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
