"""What a pod holds, counted as the scheduler counts it."""

from typing import Any

import pytest

from federation.drivers.kubernetes.names import ANNOTATION_DEVICES, LABEL_MANAGED, LABEL_REF
from federation.drivers.kubernetes.pods import DeviceHeld, Told, pod_held
from tests.federation.kubernetes.objects import NODE, held, pod


def one(given: dict[str, Any]) -> Any:
    (only,) = held(given)
    return only


def container(
    cpu: str = "0", gpus: int = 0, *, always: bool = False, name: str = "c", memory: str = "0"
) -> dict[str, Any]:
    amounts = {"cpu": cpu, "memory": memory, **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    return {
        "name": name, "resources": {"requests": amounts}, **({"restartPolicy": "Always"} if always else {}),
    }  # fmt: skip


def amounts(**spec: Any) -> tuple[int, int, int]:
    """Milli-cores, MiB and GPUs of a pod with these parts of a spec."""
    given = one(pod(spec={"nodeName": NODE, **spec}, status=spec.pop("status", None)))
    return given.cpu_milli, given.memory_mib, sum(d.units for d in given.devices)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": [container("1500m", 1), container("500m", 2)]}, (2000, 0, 3)),
        # An init container that needs more than all that follows.
        ({"containers": [container("1")], "initContainers": [container("4", 2), container("2")]}, (4000, 0, 2)),
        # Sidecars run beside the containers, and beside the init containers after them.
        ({"containers": [container("1")], "initContainers": [container("1", always=True), container("3")]},
         (4000, 0, 0)),
        ({"containers": [container("1")], "initContainers": [container("3"), container("1", always=True)]},
         (3000, 0, 0)),
        ({"containers": [container("3")], "initContainers": [container("1", 1, always=True)] * 2}, (5000, 0, 2)),
        ({"containers": [container("1")], "overhead": {"cpu": "250m", "memory": "120Mi"}}, (1250, 120, 0)),
        # Resources of the pod as a whole replace the sum; overhead comes on top, extended resources stay.
        ({"containers": [container("1", 2)], "resources": {"requests": {"cpu": "8", "memory": "1Gi"}},
          "overhead": {"cpu": "1"}}, (9000, 1024, 2)),
        ({"containers": [{"name": "c", "resources": {"limits": {"cpu": "2", "nvidia.com/gpu": "1"}}}]}, (2000, 0, 1)),
        ({"containers": [container("100u", memory="1")]}, (1, 1, 0)),
        ({"containers": [{"name": "c"}]}, (0, 0, 0)),
        # Being made smaller: it holds the larger amount until the kubelet has done it.
        ({"containers": [container("1")], "status": {"containerStatuses": [
            {"name": "c", "allocatedResources": {"cpu": "3"}, "resources": {"requests": {"cpu": "2"}}}]}},
         (3000, 0, 0)),
    ],
)  # fmt: skip
def test_requests(spec: dict[str, Any], expected: tuple[int, int, int]) -> None:
    assert amounts(**spec) == expected


@pytest.mark.parametrize(
    ("given", "holds"),
    [
        (pod(phase="Running"), True), (pod(phase="Pending"), True), (pod(phase="Unknown"), True),
        (pod(phase="Succeeded"), False), (pod(phase="Failed"), False), (pod(node=""), False), ({}, False),
    ],
)  # fmt: skip
def test_what_has_ended_or_has_no_node_holds_nothing(given: dict[str, Any], holds: bool) -> None:
    assert (pod_held(given) is not None) is holds


def test_ours_has_both_labels() -> None:
    assert one(pod(ours=True)).is_ours
    for label in (LABEL_REF, LABEL_MANAGED):
        copied = pod(ours=True)
        del copied["metadata"]["labels"][label]
        assert not one(copied).is_ours
    other = pod(ours=True)
    other["metadata"]["labels"][LABEL_MANAGED] = "Helm"
    assert not one(other).is_ours


def test_devices_by_every_way_of_telling() -> None:
    notes = {
        "hami.io/vgpu-devices-allocated": "GPU-1,NVIDIA,3000,30:;", "huawei.com/AscendReal": "Ascend910-0,Ascend910-1",
    }  # fmt: skip
    given = one(pod("p", {"nvidia.com/gpu": 1, "cpu": 1}, ours=True, annotations=notes, granted=[("GPU-1", 300, 3000)]))
    assert set(given.devices) == {
        DeviceHeld("nvidia.com/gpu", Told.COUNT, 1), DeviceHeld("GPU-1", Told.HAMI, 30, 3000, "nvidia"),
        DeviceHeld("Ascend910-0", Told.PLUGIN, 0, 0, "ascend"), DeviceHeld("Ascend910-1", Told.PLUGIN, 0, 0, "ascend"),
        DeviceHeld("GPU-1", Told.GRANT, 300, 3000),
    }  # fmt: skip
    assert (given.namespace, given.name, given.uid, given.node) == ("team", "p", "uid-p", NODE)


def test_a_grant_on_a_pod_that_is_not_ours_is_not_believed() -> None:
    assert one(pod(granted=[("GPU-1", 1000, 1)])).devices == ()


def test_claims_by_name_by_template_and_for_extended_resources() -> None:
    spec = {
        "resourceClaims": [{"name": "a", "resourceClaimName": "own"}, {"name": "b", "resourceClaimTemplateName": "t"}]
    }
    status = {
        "resourceClaimStatuses": [{"name": "b", "resourceClaimName": "made-1"}],
        "extendedResourceClaimStatus": {"resourceClaimName": "made-2", "requestMappings": [
            {"resourceName": "nvidia.com/gpu"}]},
    }  # fmt: skip
    given = one(pod("p", {"nvidia.com/gpu": 1}, spec=spec, status=status))
    assert given.claims == ("own", "made-1", "made-2")
    assert given.devices == (), "the claim holds what the device plugin would otherwise"


@pytest.mark.parametrize(
    ("requests", "notes", "told"),
    [
        ({"cpu": "-1"}, {}, "cpu is not a quantity: '-1'"), ({"nvidia.com/gpu": "500m"}, {}, "not a whole number"),
        ({}, {ANNOTATION_DEVICES: "{"}, "aquifer.io/devices cannot be read"),
        ({}, {ANNOTATION_DEVICES: "[[1]]"}, "aquifer.io/devices cannot be read"),
    ],
)  # fmt: skip
def test_what_is_strange_is_left_out_and_told(requests: dict[str, str], notes: dict[str, str], told: str) -> None:
    given = one(pod("p", {"memory": "1Gi", **requests}, ours=True, annotations=notes))
    assert (given.cpu_milli, given.memory_mib, given.devices) == (0, 1024, ())
    assert told in " ".join(given.strange)
