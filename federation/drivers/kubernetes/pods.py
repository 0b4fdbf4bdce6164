"""What one pod holds of its node, from its JSON: compute, memory, and the devices that it tells of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from federation.drivers.kubernetes import hami, quantities
from federation.drivers.kubernetes.names import ANNOTATION_DEVICES, LABEL_MANAGED, LABEL_REF, MANAGED_BY
from federation.drivers.kubernetes.shapes import number, rows, table, word
from federation.drivers.kubernetes.vendors import VENDORS

_OVER = ("Succeeded", "Failed")
_HOLDER_ANNOTATIONS = tuple((key, vendor.name) for vendor in VENDORS for key in vendor.held)


class Told(StrEnum):
    """Where it is said that a pod holds a device. What names a device goes before what counts."""

    COUNT = "count"  # a request: `units` of the resource `name`
    HAMI = "hami"  # HAMi's annotation: so much of the card `name`
    PLUGIN = "plugin"  # the device plugin's annotation: the device `name`, all of it
    GRANT = "grant"  # ours: what the hub granted of the device `name`


@dataclass(frozen=True, slots=True)
class DeviceHeld:
    name: str  # a resource for COUNT, otherwise a UUID or the vendor's own name of a device
    told: Told
    units: int = 0  # COUNT: of the resource. GRANT: thousandths of the device. HAMI: cores, in the card's own units
    memory_mib: int = 0
    vendor: str = ""  # HAMI and PLUGIN: whose annotation it is


@dataclass(frozen=True, slots=True)
class PodHeld:
    """What a pod holds. `claims` are the ResourceClaims that it uses, in its namespace; they know the devices."""

    namespace: str
    name: str
    uid: str
    node: str
    is_ours: bool
    cpu_milli: int = 0
    memory_mib: int = 0
    devices: tuple[DeviceHeld, ...] = ()
    claims: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()  # what could not be read, for people


def pod_held(pod: Mapping[str, Any]) -> PodHeld | None:
    """None when it holds nothing: it has ended, or has no node yet."""
    pod = table(pod)
    meta, spec, status = table(pod.get("metadata")), table(pod.get("spec")), table(pod.get("status"))
    node = word(spec.get("nodeName"))
    if not node or status.get("phase") in _OVER:
        return None
    strange: list[str] = []
    cpu, memory, counts = _requests(spec, status, strange)
    annotations = table(meta.get("annotations"))
    is_ours = is_of_ours(meta)
    devices = [DeviceHeld(name, Told.COUNT, units) for name, units in counts.items() if units]
    if annotations:
        devices += _named(annotations, spec, strange)
        if is_ours:
            devices += _granted(annotations, strange)
    return PodHeld(
        word(meta.get("namespace")), word(meta.get("name")), word(meta.get("uid")), node, is_ours, cpu, memory,
        tuple(devices), _claims(spec, status), tuple(strange),
    )  # fmt: skip


def is_of_ours(meta: Mapping[str, Any]) -> bool:
    """By the two labels that everything of ours carries; one alone may be somebody else's copy."""
    labels = table(meta.get("labels"))
    return labels.get(LABEL_MANAGED) == MANAGED_BY and bool(word(labels.get(LABEL_REF)))


def _requests(
    spec: Mapping[str, Any], status: Mapping[str, Any], strange: list[str]
) -> tuple[int, int, dict[str, int]]:
    """Milli-cores, bytes as MiB and extended resources, counted as the scheduler counts them.

    The containers run together, and with them the sidecars (init containers that are always restarted). Each other init
    container runs with the sidecars before it only; the pod holds the most that it needs at any time. What a pod asks
    for as a whole replaces the sum, overhead comes on top (the API server has copied it from the RuntimeClass).
    """
    resized = _resized(status)
    total: dict[str, int] = {}
    for container in rows(spec.get("containers")):
        _add(total, _asked(table(container), resized, strange))
    inits = rows(spec.get("initContainers"))
    if inits:
        sidecars: dict[str, int] = {}
        peak: dict[str, int] = {}
        for given in inits:
            container = table(given)
            asked = _asked(container, resized, strange)
            if container.get("restartPolicy") == "Always":
                _add(total, asked)
                _add(sidecars, asked)
            else:
                _add(asked, sidecars)
                _most(peak, asked)
        _most(total, peak)
    if "resources" in spec:
        whole = _read(table(spec["resources"]), strange)
        total.update((key, whole[key]) for key in ("cpu", "memory") if key in whole)
    if "overhead" in spec:
        _add(total, _read({"requests": spec["overhead"]}, strange))
    for mapping in rows(table(status.get("extendedResourceClaimStatus")).get("requestMappings")):
        total.pop(word(table(mapping).get("resourceName")), None)  # a claim holds these, not the device plugin
    return total.pop("cpu", 0), total.pop("memory", 0), total


def _resized(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """A pod that is being made smaller holds what it had, until the kubelet has done it."""
    return {
        name: state
        for key in ("containerStatuses", "initContainerStatuses")
        for state in map(table, rows(status.get(key)))
        if ("allocatedResources" in state or "resources" in state) and (name := word(state.get("name")))
    }


def _asked(
    container: Mapping[str, Any], resized: Mapping[str, Mapping[str, Any]], strange: list[str]
) -> dict[str, int]:
    asked = _read(table(container.get("resources")), strange)
    if resized and (state := resized.get(word(container.get("name")))):
        _most(asked, _read({"requests": state.get("allocatedResources")}, strange))
        _most(asked, _read({"requests": table(state.get("resources")).get("requests")}, strange))
    return asked


def _read(resources: Mapping[str, Any], strange: list[str]) -> dict[str, int]:
    asked: dict[str, int] = {}
    for key in ("limits", "requests"):  # what is only limited is asked for
        for name, amount in table(resources.get(key)).items():
            try:
                if name == "cpu":
                    asked[name] = quantities.milli(amount, up=True)
                elif name == "memory":
                    asked[name] = quantities.mib(amount, up=True)
                elif "/" in name:
                    asked[name] = quantities.whole(amount)
            except ValueError as error:
                strange.append(f"{name[:64]} is {error}")
    return asked


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _most(total: dict[str, int], other: Mapping[str, int]) -> None:
    for name, amount in other.items():
        if amount > total.get(name, -1):
            total[name] = amount


def _named(annotations: Mapping[str, Any], spec: Mapping[str, Any], strange: list[str]) -> list[DeviceHeld]:
    """Devices that annotations of HAMi or of a device plugin name."""
    found: list[DeviceHeld] = []
    for key, vendor in hami.ALLOCATED.items():
        text = annotations.get(key)
        if text:
            inits = [table(c).get("restartPolicy") == "Always" for c in rows(spec.get("initContainers"))]
            held, is_whole = hami.allocated(word(text, 65536), inits, len(rows(spec.get("containers"))))
            found += [DeviceHeld(name, Told.HAMI, cores, memory, vendor) for name, (cores, memory) in held.items()]
            if not is_whole:
                strange.append(f"{key} cannot be read in full")
    for key, vendor in _HOLDER_ANNOTATIONS:
        if text := word(annotations.get(key), 4096):
            found += [DeviceHeld(name, Told.PLUGIN, 0, 0, vendor) for name in text.replace(",", " ").split()]
    return found


def _granted(annotations: Mapping[str, Any], strange: list[str]) -> list[DeviceHeld]:
    text = annotations.get(ANNOTATION_DEVICES)
    if not text:
        return []
    try:
        given = json.loads(text) if isinstance(text, str) else None
        return [
            DeviceHeld(word(uuid), Told.GRANT, number(milli, 1000), number(mib))
            for uuid, milli, mib in rows(given)
            if word(uuid)
        ]
    except (ValueError, TypeError, RecursionError):
        strange.append(f"{ANNOTATION_DEVICES} cannot be read")
        return []


def _claims(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, ...]:
    names = [word(table(claim).get("resourceClaimName")) for claim in rows(spec.get("resourceClaims"))]
    names += [word(table(claim).get("resourceClaimName")) for claim in rows(status.get("resourceClaimStatuses"))]
    names.append(word(table(status.get("extendedResourceClaimStatus")).get("resourceClaimName")))
    return tuple(dict.fromkeys(filter(None, names)))
