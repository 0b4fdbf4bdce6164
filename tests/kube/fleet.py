"""Fake nodes and pods of a control plane, one at a time or by the thousand.

fleet.add(api, "nvidia", kwok=True)              one node of that kind in `vendors.KINDS`
fleet.add_all(api)                               one of each
fleet.many(api, nodes=5000, pods=20000)          load
fleet.remove(api)                                all of them, with their pods
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from tests.kube.api import Api, ApiError, Object
from tests.kube.kwok import MANAGED
from tests.kube.vendors import KINDS, NodeKind

MARK = "aquifer.test/fleet"  # a label of every node and pod made here

_CONDITIONS = {
    "Ready": ("True", "KubeletReady"),
    "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID"),
}


def add(
    api: Api,
    kind: str,
    name: str = "",
    *,
    kwok: bool = False,
    allocatable: Mapping[str, int] | None = None,
    is_ready: bool = True,
    unschedulable: bool = False,
    taints: Sequence[Object] = (),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    cpu: str = "128",
    memory: str = "1007Gi",
) -> Object:
    """Makes a node and returns it. `allocatable`: of which resource less can be had than is there (unhealthy ones)."""
    made = node(name or f"node-{kind}", KINDS[kind], cpu=cpu, memory=memory, is_ready=is_ready)
    made["metadata"]["labels"].update(labels or {})
    made["metadata"]["annotations"].update({**(annotations or {}), **(MANAGED if kwok else {})})
    made["spec"] = {"unschedulable": unschedulable, "taints": list(taints)}
    made["status"]["allocatable"].update({name: str(count) for name, count in (allocatable or {}).items()})
    created = api.post("/api/v1/nodes", made)
    for body in slices(created, KINDS[kind]):
        api.post("/apis/resource.k8s.io/v1/resourceslices", body)
    return created


def add_all(api: Api, prefix: str = "node-", *, kwok: bool = False) -> dict[str, Object]:
    """One node of every kind, by its kind."""
    return {kind: add(api, kind, f"{prefix}{kind}", kwok=kwok) for kind in KINDS}


def node(name: str, kind: NodeKind, *, cpu: str = "128", memory: str = "1007Gi", is_ready: bool = True) -> Object:
    architecture = "arm64" if kind.is_arm else "amd64"
    capacity = {"cpu": cpu, "memory": memory, "pods": "110", "ephemeral-storage": "1Ti"}
    capacity |= {resource: str(count) for resource, count in kind.resources.items()}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    conditions = {**_CONDITIONS, **({} if is_ready else {"Ready": ("False", "KubeletNotReady")})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": architecture,
                "topology.kubernetes.io/region": "test",
                "topology.kubernetes.io/zone": "test-a",
                MARK: "node",
                **kind.labels,
            },
            "annotations": kind.annotations(name),
        },
        "spec": {},
        "status": {
            "phase": "Running",  # KWOK's heart beats for such only
            "capacity": capacity,
            "allocatable": dict(capacity),
            "conditions": [
                {
                    "type": name,
                    "status": status,
                    "reason": reason,
                    "message": "",
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": now,
                }
                for name, (status, reason) in conditions.items()
            ],
            # Nobody listens there: the API server must not look for a kubelet anywhere else.
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}},
            "nodeInfo": {
                "architecture": architecture,
                "operatingSystem": "linux",
                "osImage": "Debian GNU/Linux 12 (bookworm)",
                "kernelVersion": "6.1.0",
                "containerRuntimeVersion": "containerd://1.7.28",
                "kubeletVersion": "v1.36.3",
                "kubeProxyVersion": "v1.36.3",
                "bootID": "",
                "machineID": "",
                "systemUUID": "",
            },
        },
    }


def slices(created: Object, kind: NodeKind) -> Iterator[Object]:
    """The ResourceSlices of a node that was made; they belong to it, and go with it."""
    name, uid = created["metadata"]["name"], created["metadata"]["uid"]
    for each in kind.slices:
        yield {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "metadata": {
                "generateName": f"{name}-{each.driver}-",
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid, "controller": True}],
            },
            "spec": {
                "driver": each.driver,
                "nodeName": name,
                "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
                "devices": each.devices(name),
            },
        }


def pod(
    name: str,
    *,
    node: str = "",
    resources: Mapping[str, int | str] | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Object:
    """A pod of somebody else; with `node` it is bound there without the scheduler."""
    amounts = {resource: str(amount) for resource, amount in (resources or {}).items()}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {MARK: "pod", **(labels or {})}, "annotations": dict(annotations or {})},
        "spec": {
            "containers": [
                {"name": "main", "image": "localhost/busybox:1", "resources": {"limits": amounts, "requests": amounts}}
            ],
            "automountServiceAccountToken": False,
            **({"nodeName": node} if node else {}),
            **spec,
        },
    }


def many(
    api: Api,
    nodes: int,
    pods: int,
    *,
    kind: str = "nvidia",
    namespace: str = "default",
    prefix: str = "many-",
    resources: Mapping[str, int | str] | None = None,
    is_running: bool = True,
    connections: int = 32,
) -> None:
    """Thousands of nodes, and pods spread over them (each with one card of the kind, unless `resources` says else)."""
    names = [f"{prefix}{number:05d}" for number in range(nodes)]
    api.for_each((("POST", "/api/v1/nodes", node(name, KINDS[kind])) for name in names), connections)
    held = dict(resources) if resources is not None else dict.fromkeys(islice(KINDS[kind].resources, 1), 1)
    path = f"/api/v1/namespaces/{namespace}/pods"
    made = [(f"{prefix}{number:06d}", names[number % nodes]) for number in range(pods)]
    api.for_each((("POST", path, pod(name, node=where, resources=held)) for name, where in made), connections)
    if is_running:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        state = {"running": {"startedAt": now}}
        container = {"name": "main", "image": "localhost/busybox:1", "imageID": "", "restartCount": 0}
        container |= {"ready": True, "started": True, "state": state}
        status = {
            "phase": "Running",
            "startTime": now,
            "conditions": [{"type": name, "status": "True"} for name in ("PodScheduled", "Initialized", "Ready")],
            "containerStatuses": [container],
        }
        api.for_each((("PATCH", f"{path}/{name}/status", {"status": status}) for name, _ in made), connections)


def remove(api: Api, *names: str) -> None:
    """Takes away nodes of this module (all, or those named), what runs on them and their ResourceSlices, at once."""
    found = {item["metadata"]["name"] for item in api.items("/api/v1/nodes", labelSelector=MARK)}
    gone = found & set(names) if names else found
    calls: list[tuple[str, str, Object | None]] = []
    at_once = {"gracePeriodSeconds": 0}
    for item in api.items("/api/v1/pods"):
        if item["spec"].get("nodeName") in gone:
            where = item["metadata"]
            calls.append(("DELETE", f"/api/v1/namespaces/{where['namespace']}/pods/{where['name']}", at_once))
    calls += [("DELETE", f"/api/v1/nodes/{name}", None) for name in gone]
    try:
        for item in api.items("/apis/resource.k8s.io/v1/resourceslices"):
            if item["spec"].get("nodeName") in gone:
                calls.append(("DELETE", f"/apis/resource.k8s.io/v1/resourceslices/{item['metadata']['name']}", None))
    except ApiError as error:
        if error.status != 404:  # older servers don't have it
            raise
    api.for_each(calls, is_gone_fine=True)
