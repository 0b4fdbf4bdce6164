"""Objects as an API server gives them, with what the tests are about filled in."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from federation.drivers.base import NodeSeen
from federation.drivers.kubernetes.names import ANNOTATION_DEVICES, LABEL_MANAGED, LABEL_REF, MANAGED_BY
from federation.drivers.kubernetes.nodes import node_seen
from federation.drivers.kubernetes.pods import PodHeld, pod_held

NODE = "worker-1"
NODE_UID = "5c1f2a4e-8a44-4c55-9d0a-0c7b1f3c2d11"


def node(
    resources: Mapping[str, object] | None = None, *, labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None, allocatable: Mapping[str, object] | None = None,
    taints: Sequence[Mapping[str, str]] = (), conditions: Sequence[Mapping[str, str]] | None = None,
    unschedulable: bool = False, name: str = NODE, uid: str = NODE_UID,
) -> dict[str, Any]:  # fmt: skip
    """A Ready node of 64 cores and 512 GiB. `resources` are its extended resources, all of them handed out."""
    compute = {"cpu": "64", "memory": "536870912Ki", "ephemeral-storage": "900Gi", "pods": "110", "hugepages-2Mi": "0"}
    capacity = {**compute, **{key: str(value) for key, value in (resources or {}).items()}}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name, "uid": uid, "annotations": dict(annotations or {}),
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", **(labels or {})},
        },
        "spec": {"unschedulable": True} if unschedulable else {} if not taints else {"taints": list(taints)},
        "status": {
            "capacity": capacity,
            "allocatable": {**capacity, **{key: str(value) for key, value in (allocatable or {}).items()}},
            "conditions": [ready] if conditions is None else list(conditions),
        },
    }  # fmt: skip


def pod(
    name: str = "job", requests: Mapping[str, object] | None = None, *, ours: bool = False,
    annotations: Mapping[str, str] | None = None, granted: Sequence[tuple[str, int, int]] = (),
    node: str = NODE, phase: str = "Running", spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A pod of one container on the node."""
    amounts = {key: str(value) for key, value in (requests or {}).items()}
    notes = dict(annotations or {})
    if granted:
        notes[ANNOTATION_DEVICES] = json.dumps([list(grant) for grant in granted])
    labels = {LABEL_REF: f"ref-{name}", LABEL_MANAGED: MANAGED_BY} if ours else {"app": name}
    container = {"name": "main", "image": "busybox", "resources": {"requests": amounts, "limits": amounts}}
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "team", "name": name, "uid": f"uid-{name}", "labels": labels, "annotations": notes},
        "spec": {"nodeName": node, "containers": [container], **(spec or {})},
        "status": {"phase": phase, **(status or {})},
    }  # fmt: skip


def held(*pods: Mapping[str, Any]) -> list[PodHeld]:
    return [each for each in map(pod_held, pods) if each is not None]


def seen(
    on: Mapping[str, Any], *pods: Mapping[str, Any], slices: Sequence[Mapping[str, Any]] = (),
    claims: Sequence[Mapping[str, Any]] = (),
) -> NodeSeen:  # fmt: skip
    return node_seen(on, slices, claims, held(*pods))


def device(
    name: str, *, attributes: Mapping[str, object] | None = None, capacity: Mapping[str, object] | None = None,
    **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """A device of a ResourceSlice; attributes by their Python type, capacity as quantities or whole entries."""
    kinds = {bool: "bool", int: "int", str: "string"}
    return {
        "name": name,
        "attributes": {key: {kinds[type(value)]: value} for key, value in (attributes or {}).items()},
        "capacity": {
            key: value if isinstance(value, dict) else {"value": str(value)} for key, value in (capacity or {}).items()
        },
        **more,
    }  # fmt: skip


def resource_slice(
    driver: str, *devices: Mapping[str, Any], pool: str = NODE, generation: int = 1, count: int = 1, **more: Any
) -> dict[str, Any]:
    placed = (
        more if {"allNodes", "nodeSelector", "nodeName", "perDeviceNodeSelection"} & set(more) else {"nodeName": NODE}
    )
    return {
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice",
        "metadata": {"name": f"{pool}-{driver}-{generation}"},
        "spec": {
            "driver": driver, "devices": list(devices),
            "pool": {"name": pool, "generation": generation, "resourceSliceCount": count}, **placed, **more,
        },
    }  # fmt: skip


def claim(
    driver: str, *devices: str, pool: str = NODE, ours: bool = False, pods: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    """An allocated ResourceClaim. `more` is added to each of its results."""
    labels = {LABEL_REF: "ref", LABEL_MANAGED: MANAGED_BY} if ours else {}
    results = [{"request": "gpu", "driver": driver, "pool": pool, "device": name, **more} for name in devices]
    return {
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
        "metadata": {"namespace": "team", "name": "claim", "labels": labels},
        "status": {
            "allocation": {"devices": {"results": results}},
            "reservedFor": [{"resource": "pods", "name": uid, "uid": uid} for uid in pods],
        },
    }  # fmt: skip
