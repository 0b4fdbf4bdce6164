"""The whole inventory by lists, and the devices of one node: fetched here, read by nodes.py and devices.py."""

from collections.abc import Iterable, Iterator

from federation.drivers.base import DeviceSeen, NodeSeen
from federation.drivers.kubernetes import nodes as reading
from federation.drivers.kubernetes.nodes import TOLERATED, node_seen
from federation.drivers.kubernetes.pods import pod_held
from federation.drivers.kubernetes.transport import Api, ApiError, Deadline, Json, path_of

SLICES = "/apis/resource.k8s.io/v1/resourceslices"
CLAIMS = "/apis/resource.k8s.io/v1/resourceclaims"
LIVING = "status.phase!=Succeeded,status.phase!=Failed"


def nodes_seen(api: Api, deadline: Deadline) -> list[NodeSeen]:
    """Everything there is. Pods are read last: what holds a device now is at worst new to us, never forgotten."""
    nodes = list(api.items(deadline, "/api/v1/nodes"))
    slices = list(optional(api, deadline, SLICES))
    claims = list(optional(api, deadline, CLAIMS)) if slices else []
    pods = api.items(deadline, "/api/v1/pods", fieldSelector=LIVING)
    held = [one for pod in pods if (one := pod_held(pod)) is not None]
    return reading.nodes_seen(nodes, slices, claims, held)


def devices_of(api: Api, deadline: Deadline, name: str) -> tuple[Json | None, tuple[DeviceSeen, ...]]:
    """One node as it is now, and its devices. (None, ()) when there is no such node."""
    node = api.find(deadline, "/api/v1/nodes" + path_of(name)) if name and name.isprintable() else None
    if node is None:
        return None, ()
    slices = list(optional(api, deadline, SLICES))
    return node, node_seen(node, slices, [], ()).devices


def optional(api: Api, deadline: Deadline, path: str) -> Iterator[Json]:
    """The objects of a list that not every cluster has."""
    try:
        yield from api.items(deadline, path)
    except ApiError as error:
        if error.status not in (403, 404):
            raise


def tolerated(node: Json) -> tuple[Json, ...]:
    """The taints by which a node keeps work without accelerators away; ours is meant to be there."""
    taints: Iterable[Json] = (node.get("spec") or {}).get("taints") or ()
    return tuple(
        {"key": str(taint.get("key")), "operator": "Exists"} for taint in taints if str(taint.get("key")) in TOLERATED
    )
