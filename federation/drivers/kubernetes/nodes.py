"""A node of a cluster in our words, from the JSON of nodes, pods, ResourceSlices and ResourceClaims. Pure; never raises
on what a site says: a strange value is left out, and told in the node's message."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from federation.accelerators.catalogue import EXCLUSIVE
from federation.drivers.base import DeviceSeen, NodeSeen
from federation.drivers.kubernetes import quantities, uses
from federation.drivers.kubernetes.devices import devices_of
from federation.drivers.kubernetes.pods import PodHeld
from federation.drivers.kubernetes.shapes import rows, table, word
from federation.drivers.kubernetes.sights import Sight, storable

OUR_LABELS = "aquifer.io/"  # what people give their nodes for work to ask for
RACK_LABELS = ("topology.kubernetes.io/rack",)
KEPT_LABELS = frozenset({
    "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.kubernetes.io/block",
    "topology.kubernetes.io/rack", "node.kubernetes.io/instance-type", "kubernetes.io/arch", "kubernetes.io/os",
    "kubernetes.io/hostname", "nvidia.com/gpu.product", "nvidia.com/gpu.clique", "nvidia.com/mig.strategy",
    "amd.com/gpu.product-name", "amd.com/compute-memory-partition", "node.kubernetes.io/npu.chip.name",
    "cloud.google.com/gce-topology-block", "cloud.google.com/gce-topology-subblock", "cloud.google.com/gke-nodepool",
    "topology.k8s.aws/network-node-layer-1", "topology.k8s.aws/network-node-layer-2",
    "topology.k8s.aws/network-node-layer-3", "eks.amazonaws.com/nodegroup", "kubernetes.azure.com/agentpool",
})  # fmt: skip

# Taints that only keep work without accelerators away: our pods tolerate them, so they do not close a node.
TOLERATED = frozenset({
    "nvidia.com/gpu", "amd.com/gpu", "huawei.com/npu", "huawei.com/Ascend910", "huawei.com/Ascend310P",
    "cambricon.com/mlu", "hygon.com/dcu", "metax-tech.com/gpu", "mthreads.com/gpu", "iluvatar.com/gpu",
    "iluvatar.ai/gpu", "enflame.com/gcu", "kunlunxin.com/xpu", "baidu.com/xpu", "birentech.com/gpu",
    "vastaitech.com/va",
})  # fmt: skip

_CLOSING = ("NoSchedule", "NoExecute")
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_CORDON = "node.kubernetes.io/unschedulable"
_MOST_TOLD = 6


def nodes_seen(
    nodes: Iterable[Mapping[str, Any]], slices: Iterable[Mapping[str, Any]], claims: Iterable[Mapping[str, Any]],
    held: Iterable[PodHeld], *, rack_labels: Sequence[str] = RACK_LABELS, keep: Collection[str] = (),
) -> list[NodeSeen]:  # fmt: skip
    """All nodes of a cluster. Sorts slices, claims and pods by node first, so that each node looks at its own only."""
    pods: dict[str, list[PodHeld]] = defaultdict(list)
    for pod in held:
        pods[pod.node].append(pod)
    slices_of: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    pools: dict[tuple[str, str], set[str]] = defaultdict(set)
    for each in slices:
        spec = table(table(each).get("spec"))
        slices_of[word(spec.get("nodeName"))].append(each)
        pools[word(spec.get("driver")), word(table(spec.get("pool")).get("name"))].add(word(spec.get("nodeName")))
    anywhere = slices_of.pop("", [])
    shared = {
        (word(spec.get("driver")), word(table(spec.get("pool")).get("name")))
        for spec in (table(table(each).get("spec")) for each in anywhere)
    }
    homes: dict[tuple[str, str], set[str]] = {key: names for key, names in pools.items() if key not in shared}
    claims_of: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for claim in claims:
        for name in _nodes_of(claim, homes):
            claims_of[name].append(claim)
    everywhere = claims_of.pop("", [])
    return [
        node_seen(
            node, slices_of.get(name, []) + anywhere, claims_of.get(name, []) + everywhere, pods.get(name, ()),
            rack_labels=rack_labels, keep=keep,
        )
        for node, name in ((n, word(table(n.get("metadata")).get("name"))) for n in map(table, nodes))
    ]  # fmt: skip


def _nodes_of(claim: Mapping[str, Any], homes: Mapping[tuple[str, str], set[str]]) -> set[str]:
    """Nodes whose devices a claim may hold: those of its devices' pools. "" for all of them."""
    allocation = table(table(table(claim).get("status")).get("allocation"))
    found: set[str] = set()
    for result in map(table, rows(table(allocation.get("devices")).get("results"))):
        found |= homes.get((word(result.get("driver")), word(result.get("pool"))), {""})
    return {""} if "" in found else found


def node_seen(
    node: Mapping[str, Any], slices: Sequence[Mapping[str, Any]], claims: Sequence[Mapping[str, Any]],
    held: Sequence[PodHeld], *, rack_labels: Sequence[str] = RACK_LABELS, keep: Collection[str] = (),
) -> NodeSeen:  # fmt: skip
    """One node. `slices`, `claims` and `held` may be those of the node or more, but `held` only of this node."""
    meta, spec, status = table(node.get("metadata")), table(node.get("spec")), table(node.get("status"))
    name, labels = word(meta.get("name")), table(meta.get("labels"))
    problems: list[str] = []
    reasons = _reasons(spec, status)
    cpu, memory = _allocatable(table(status.get("allocatable")), problems)
    devices = devices_of(
        word(meta.get("uid")) or name, name,
        {"labels": labels, "annotations": table(meta.get("annotations"))},
        {"capacity": table(status.get("capacity")), "allocatable": table(status.get("allocatable"))},
        slices, problems,
    )  # fmt: skip
    for pod in held:
        problems += [f"{pod.namespace}/{pod.name}: {each}" for each in pod.strange]
    crowded = uses.put(devices, held, claims, problems)
    foreign = [pod for pod in held if not pod.is_ours]
    foreign_cpu, foreign_memory = sum(p.cpu_milli for p in foreign), sum(p.memory_mib for p in foreign)
    kept = KEPT_LABELS.union(keep) if keep else KEPT_LABELS
    return NodeSeen(
        name, cpu, memory, tuple(_device(sight) for sight in devices.sights),
        is_ready=not reasons, message=_message(reasons, _pressures(status), crowded, problems),
        rack=next((text for key in rack_labels if (text := word(labels.get(key), 64))), ""),
        labels={
            key: text
            for key, value in labels.items()
            if (key in kept or key.startswith(OUR_LABELS)) and (text := word(value, 63))
        },
        foreign_cpu_milli=min(foreign_cpu, cpu), foreign_memory_mib=min(foreign_memory, memory),
        system_uuid=word(table(status.get("nodeInfo")).get("systemUUID"), 64),
    )  # fmt: skip


def is_tolerated(taint: Mapping[str, Any]) -> bool:
    return taint.get("effect") not in _CLOSING or taint.get("key") in TOLERATED


def _reasons(spec: Mapping[str, Any], status: Mapping[str, Any]) -> list[str]:
    """Why no new work goes there."""
    reasons = []
    ready = next((c for c in map(table, rows(status.get("conditions"))) if c.get("type") == "Ready"), None)
    if ready is None:
        reasons.append("it has not said that it is ready")
    elif ready.get("status") != "True":
        said = word(ready.get("reason")) or word(ready.get("status")) or "Unknown"
        reasons.append(f"it is not ready ({said})")
    if spec.get("unschedulable") is True:
        reasons.append("it is cordoned")
    for taint in map(table, rows(spec.get("taints"))):
        key = word(taint.get("key"), 128)
        if key and not is_tolerated(taint) and not (key == _CORDON and spec.get("unschedulable") is True):
            reasons.append(f"the taint {key}:{word(taint.get('effect'))} closes it")
    return reasons


def _pressures(status: Mapping[str, Any]) -> list[str]:
    conditions = map(table, rows(status.get("conditions")))
    return [c["type"] for c in conditions if c.get("type") in _PRESSURES and c.get("status") == "True"]


def _allocatable(given: Mapping[str, Any], problems: list[str]) -> tuple[int, int]:
    amounts = []
    for key, read in (("cpu", quantities.milli), ("memory", quantities.mib)):
        try:
            amounts.append(read(given.get(key)))
        except ValueError as error:
            problems.append(f"allocatable {key} is {error}")
            amounts.append(0)
    return amounts[0], amounts[1]


def _message(reasons: list[str], pressures: list[str], crowded: list[str], problems: list[str]) -> str:
    """One line for people: first what keeps work away, then what presses, then what was strange.

    Of what is strange only the first is told; what others hold beyond what there is comes before it.
    """
    told = []
    if reasons:
        told.append("No new work: " + ", ".join(dict.fromkeys(reasons)) + ".")
    if pressures:
        told.append(f"Under {', '.join(pressures)}.")
    strange = list(dict.fromkeys((*crowded, *problems)))
    if strange:
        more = f"; and {len(strange) - _MOST_TOLD} more" if len(strange) > _MOST_TOLD else ""
        told.append(f"Noted: {'; '.join(strange[:_MOST_TOLD])}{more}.")
    return word(" ".join(told), 1000)


def _device(sight: Sight) -> DeviceSeen:
    return DeviceSeen(
        sight.index or 0, storable(sight.uuid), word(sight.vendor, 32), word(sight.model, 64) or "unknown",
        sight.memory_mib, sight.health, sight.numa,
        mode=EXCLUSIVE if sight.is_divided else sight.mode,
        step_milli=1000 if sight.is_divided else sight.step_milli,
        most_shares=0 if sight.is_divided else sight.most_shares,
        parent_uuid=storable(sight.parent), is_identified=sight.is_identified, resource=sight.resource,
        foreign_milli=sight.foreign_milli, foreign_memory_mib=sight.foreign_memory_mib,
        pci=sight.pci,
    )  # fmt: skip
