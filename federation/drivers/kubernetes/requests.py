"""From the devices that placement chose to what a pod must ask of this cluster to get exactly those.

Three ways, by what the node shows: a ResourceClaim that names the device (DRA), a sharing layer's resources and
annotation (HAMi and the like), or a count of a device plugin's resource, where the kubelet chooses among equal cards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from federation.accelerators.catalogue import PARTITIONED, SHARED
from federation.drivers.base import DeviceGrant, DeviceSeen, Rejected
from federation.drivers.kubernetes.sharing import SHARING
from federation.drivers.kubernetes.transport import Json

# The device class to ask for, by driver and whether a part is wanted; other drivers name their class like themselves.
_CLASSES = {("gpu.nvidia.com", True): "mig.nvidia.com"}


@dataclass
class PodRequest:
    """What goes into the pod: limits of the container, annotations, variables, and the device requests of its claim."""

    limits: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    claim_requests: list[Json] = field(default_factory=list)


def request_for(
    grants: Sequence[DeviceGrant], seen: Mapping[str, DeviceSeen], classes: Mapping[str, str] | None = None
) -> PodRequest:
    """`seen` are the node's devices by uuid, as it shows them now; `classes` a cluster's own names of device classes.

    Raises Rejected when a device is not there any more, or cannot be handed out as was granted.
    """
    request = PodRequest()
    named: dict[str, list[str]] = {}
    for grant in grants:
        device = seen.get(grant.uuid)
        if device is None:
            raise Rejected("NoSuchDevice", f"The node has no device {grant.uuid} any more.")
        if not device.resource:
            raise Rejected("NotHandedOut", f"The cluster has no way to hand out {grant.uuid}.")
        if "/" not in device.resource:
            request.claim_requests.append(_claimed(device, grant, len(request.claim_requests), classes or {}))
        elif device.is_identified and device.resource in SHARING:
            _shared(request, named, grant, device)
        else:
            _counted(request, grant, device)
    for annotation, uuids in named.items():
        request.annotations[annotation] = ",".join(uuids)
    return request


def _add(request: PodRequest, resource: str, amount: int) -> None:
    request.limits[resource] = str(int(request.limits.get(resource, "0")) + amount)


def _counted(request: PodRequest, grant: DeviceGrant, device: DeviceSeen) -> None:
    """So many of a resource. A time-sliced card is advertised once for each of its shares."""
    if device.mode == SHARED and device.step_milli:
        _add(request, device.resource, max(grant.milli // device.step_milli, 1))
    elif grant.milli == 1000 or device.mode == PARTITIONED:
        _add(request, device.resource, 1)
    else:
        raise Rejected("CannotShare", f"{device.uuid} is handed out whole here, not {grant.milli}/1000 of it.")


def _shared(request: PodRequest, named: dict[str, list[str]], grant: DeviceGrant, device: DeviceSeen) -> None:
    """Every card of one pod gets the same amounts: that is how the sharing layers ask for them."""
    words = SHARING[device.resource]
    _add(request, device.resource, 1)
    amounts = {}
    if words.memory and (grant.milli < 1000 or words.needs_cores):
        amounts[words.memory] = str(max(grant.memory_mib // words.memory_mib, 1))
    if words.cores:
        amounts[words.cores] = str(max(grant.milli * words.cores_of // 1000, 1))
    for resource, amount in amounts.items():
        if request.limits.setdefault(resource, amount) != amount:
            raise Rejected("UnequalShares", "All cards of one member must be shared in the same way.")
    if words.annotation:
        named.setdefault(words.annotation, []).append(device.uuid)


def _claimed(device: DeviceSeen, grant: DeviceGrant, number: int, classes: Mapping[str, str]) -> Json:
    """One device request of a ResourceClaim, which only this device fulfils (or, without a name, one like it)."""
    if grant.milli != 1000 and device.mode != PARTITIONED:
        raise Rejected("CannotShare", f"{device.uuid} is handed out whole here, not {grant.milli}/1000 of it.")
    driver = device.resource
    expression = f'device.driver == "{driver}"'
    if device.is_identified:
        quoted = device.uuid.replace("\\", "\\\\").replace('"', '\\"')
        expression += f' && device.attributes["{driver}"].uuid == "{quoted}"'
    name = classes.get(driver) or _CLASSES.get((driver, bool(device.parent_uuid)), driver)
    return {
        "name": f"device-{number}",
        "exactly": {"deviceClassName": name, "selectors": [{"cel": {"expression": expression}}]},
    }
