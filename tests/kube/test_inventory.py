"""A real cluster with nodes of every vendor: as many cards as there are, whatever is advertised.

The nodes are written by tests/kube/vendors.py, the reading by federation/drivers/kubernetes/vendors.py: two people's
reading of the same plugins, laid beside each other.
"""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from federation.drivers.base import DeviceGrant, DriverConfig, NodeSeen
from federation.drivers.kubernetes.driver import KubernetesDriver
from federation.drivers.kubernetes.requests import request_for
from federation.reconcile.inventory import believable
from tests.kube import fleet
from tests.kube.plane import ControlPlane
from tests.kube.vendors import KINDS

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]
VENDORS = {
    "nvidia", "amd", "ascend", "cambricon", "hygon", "metax", "moore-threads", "iluvatar", "enflame", "kunlunxin",
    "example.com",
}  # fmt: skip


def driver_of(plane: ControlPlane) -> KubernetesDriver:
    secrets = {"ca_pem": plane.ca_pem, "token": plane.admin_token}
    return KubernetesDriver(DriverConfig("c", "kubernetes", 1, {"server": plane.url}, secrets))


@pytest.fixture(scope="module")
def seen(plane: ControlPlane) -> Iterator[dict[str, NodeSeen]]:
    prefix = f"kinds-{uuid4().hex[:6]}-"
    with plane.api() as api:
        fleet.add_all(api, prefix)
        for _ in range(100):  # a controller takes the taint of new nodes away
            found = [node for node in driver_of(plane).inventory() if node.name.startswith(prefix)]
            if all(node.is_ready for node in found):
                break
            time.sleep(0.2)
        yield {node.name.removeprefix(prefix): node for node in found}
        fleet.remove(api)


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_cards_as_there_are(seen: dict[str, NodeSeen], kind: str) -> None:
    node = seen[kind]
    assert len([d for d in node.devices if not d.parent_uuid]) == KINDS[kind].cards, node.message
    assert believable([node]) == ([node], [])
    assert node.is_ready, node.message


def test_every_vendor_is_known_by_its_name_and_a_stranger_by_his_own(seen: dict[str, NodeSeen]) -> None:
    assert {d.vendor for n in seen.values() for d in n.devices} == VENDORS
    (unknown,) = {(d.vendor, d.model, d.mode) for d in seen["unknown"].devices}
    assert unknown == ("example.com", "npu", "exclusive")


@pytest.mark.parametrize("kind", [k for k, v in KINDS.items() if v.cards])
def test_each_card_or_its_parts_can_be_asked_for(seen: dict[str, NodeSeen], kind: str) -> None:
    """What placement may choose leads to a pod's request, for every way of handing out."""
    devices = {d.uuid: d for d in seen[kind].devices}
    parents = {d.parent_uuid for d in devices.values()}
    for device in devices.values():
        if device.uuid in parents:
            continue
        grant = DeviceGrant(device.index, device.uuid, 1000, device.memory_mib)
        request = request_for([grant], devices)
        assert request.limits or request.claim_requests


def test_a_part_of_a_card_is_asked_for_in_the_sharing_layers_own_words(seen: dict[str, NodeSeen]) -> None:
    wanted: dict[str, dict[str, Any]] = {
        "hami-nvidia": {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "40960", "nvidia.com/gpucores": "50"},
        "hami-hygon": {"hygon.com/dcunum": "1", "hygon.com/dcumem": "32760", "hygon.com/dcucores": "50"},
        "nvidia-shared": {"nvidia.com/gpu": "2"},
        "nvidia-shared-renamed": {"nvidia.com/gpu.shared": "2"},
    }
    for kind, limits in wanted.items():
        device = seen[kind].devices[0]
        request = request_for([DeviceGrant(0, device.uuid, 500, device.memory_mib // 2)], {device.uuid: device})
        assert request.limits == limits, kind
