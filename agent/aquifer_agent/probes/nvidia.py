"""NVIDIA by NVML (the optional nvidia-ml-py); without it by nvidia-smi. No driver: no devices."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from aquifer_agent.probes import mig, nvidia_smi
from aquifer_agent.probes.nvidia_names import model_name
from aquifer_agent.probes.types import PARTITIONED, UNHEALTHY, Device, Figure, Pair

_MIB = 1024 * 1024
_known: dict[int, Device] = {}  # by NVML's index: a card that fell off the bus is still reported, as unhealthy
_nvml: Any = None  # kept open: opening it anew wakes every card


def look() -> Iterator[Pair]:
    """Every card, in NVML's order."""
    global _nvml
    if _nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
            nvml.nvmlInit()
        except Exception:  # not installed, no driver, no permission: there is nothing here for us
            yield from _lost() if _known else nvidia_smi.probe()
            return
        _nvml = nvml
    try:
        count = int(_nvml.nvmlDeviceGetCount())
    except _nvml.NVMLError:  # the driver was unloaded or updated under us
        _nvml = None
        yield from _lost()
        return
    for index in range(count):
        try:
            handle = _nvml.nvmlDeviceGetHandleByIndex(index)
            device = _known[index] = _device(_nvml, handle)
            parts = list(mig.parts(_nvml, handle, device))
        except _nvml.NVMLError:
            if index in _known:
                yield replace(_known[index], health=UNHEALTHY), Figure(_known[index].uuid)
            continue
        yield device, _figure(_nvml, handle, device.uuid)
        yield from parts


def nvml() -> Any:
    """The library, once a look has opened it; None without it."""
    return _nvml


def _lost() -> Iterator[Pair]:
    for device in _known.values():
        yield replace(device, health=UNHEALTHY), Figure(device.uuid)


def _device(nvml: Any, handle: Any) -> Device:
    memory_mib = int(nvml.nvmlDeviceGetMemoryInfo(handle).total) // _MIB
    model = model_name(_text(nvml.nvmlDeviceGetName(handle)), memory_mib)
    pci = _pci(nvml, handle)
    device = Device(
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        vendor="nvidia",
        model=model,
        memory_mib=memory_mib,
        health="unhealthy" if _has_failed_memory(nvml, handle) else "healthy",
        profiles=mig.profiles(nvml, handle, model),
        numa=_numa(pci),
        serial=_serial(nvml, handle),
        pci=pci,
    )
    return replace(device, mode=PARTITIONED) if mig.is_on(nvml, handle) else device


def _has_failed_memory(nvml: Any, handle: Any) -> bool:
    """Rows that could not be replaced, or pages that wait for a restart to be retired."""
    try:
        if bool(nvml.nvmlDeviceGetRemappedRows(handle)[3]):
            return True
    except nvml.NVMLError:  # older cards retire pages instead
        pass
    try:
        return bool(nvml.nvmlDeviceGetRetiredPagesPendingStatus(handle))
    except nvml.NVMLError:
        return False


def _figure(nvml: Any, handle: Any, uuid: str) -> Figure:
    def ask(question: Callable[[], float]) -> float | None:
        try:
            return float(question())
        except nvml.NVMLError:  # many cards do not answer all questions
            return None

    busy = ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    used = ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used / _MIB)
    return Figure(
        uuid=uuid,
        busy_percent=None if busy is None else min(max(busy, 0.0), 100.0),
        memory_used_mib=None if used is None else int(used),
        power_watts=ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
        temperature_celsius=ask(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
    )


def _pci(nvml: Any, handle: Any) -> str:
    """As Linux writes it: NVML writes the domain with eight digits, Linux with four."""
    try:
        domain, rest = _text(nvml.nvmlDeviceGetPciInfo(handle).busId).lower().split(":", 1)
    except (nvml.NVMLError, ValueError):
        return ""
    return f"{domain[-4:]}:{rest}"


def _serial(nvml: Any, handle: Any) -> str:
    """Boards for desktops have none to tell."""
    try:
        return _text(nvml.nvmlDeviceGetSerial(handle))[:64]
    except nvml.NVMLError:
        return ""


def _numa(pci: str) -> int | None:
    try:
        node = int(Path(f"/sys/bus/pci/devices/{pci}/numa_node").read_text())
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
