"""Whatever a site says, a node comes out of it: no exception, nothing negative, nothing given out that is not there."""

import copy
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from federation.drivers.base import NodeSeen
from federation.drivers.kubernetes.nodes import nodes_seen
from federation.drivers.kubernetes.pods import pod_held
from tests.federation.kubernetes.objects import NODE, NODE_UID, claim, device, node, pod, resource_slice

_JUNK: tuple[Any, ...] = (
    None, True, False, 0, -1, 7, 2**70, -(2**70), 1.5, float("nan"), "", "x", "-3", "1e9", "9" * 50, [], [[]], [None],
    {}, {"": {}}, {"string": 4}, "٣", ",,,:;", "[1]", "[{}]", "NVIDIA-A100-SXM4-80GB-MIG-7g.80gb", "4", "1000000",
    "NoSchedule",
)  # fmt: skip

_LABELS = {
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81920", "nvidia.com/gpu.count": "4",
    "nvidia.com/gpu.replicas": "4", "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM", "amd.com/gpu.vram": "192G",
    "amd.com/compute-memory-partition": "cpx_nps4", "topology.kubernetes.io/rack": "r1",
}  # fmt: skip
_NOTES = {
    "hami.io/node-register-Ascend910B3": '[{"id":"asc-0","index":0,"count":4,"devmem":65536,"devcore":20,'
    '"type":"Ascend910B3","numa":0,"health":true},{"id":"asc-1","index":0,"count":4,"devmem":65536}]',
    "hami.io/node-dcu-register": "dcu-0,4,65536,60,DCU-K100_AI,0,true,0,hami-core:"
    "dcu-1,4,65536,60,DCU-K100_AI,0,true,1,x:",
    "hami.io/node-handshake-dcu": "Reported_2024-01-23 04:30:04",
}  # fmt: skip
_COUNTED = {
    "nvidia.com/gpu": 16, "nvidia.com/mig-1g.10gb": 9, "nvidia.com/mig-3g.40gb": 3, "amd.com/gpu": 16,
    "huawei.com/Ascend910B3": 8, "cambricon.com/mlu.smlu.vcore": 400, "cambricon.com/mlu.smlu.vmemory": 768,
    "cambricon.com/vmlu": 40, "enflame.com/shared-gcu": 12, "enflame.com/gcu-count": 2, "hygon.com/dcunum": 8,
    "acme.com/x1": 3, "rdma/hca": 8,
}  # fmt: skip
_COUNTERS = [{"counterSet": "set-0", "counters": {"a": {"value": "1"}}}]


def _cluster() -> dict[str, Any]:
    """A node with everything on it at once, and work of all kinds."""
    return {
        "nodes": [
            node(_COUNTED, labels=_LABELS, annotations=_NOTES, allocatable={"nvidia.com/gpu": 15},
                 taints=[{"key": "dedicated", "effect": "NoSchedule"}]),
        ],
        "slices": [
            resource_slice("dra.hygon.com", device("hcu-0", attributes={"uuid": "dcu-0", "type": "hcu"}, capacity={
                "cores": "120", "memory": "64Gi", "slices": {"value": "4", "requestPolicy": {"default": "1"}}},
                allowMultipleAllocations=True)),
            resource_slice(
                "gpu.example.com", device("g0", attributes={"uuid": "EX-0", "model": "M", "index": 3},
                                          capacity={"memory": "80Gi"}, consumesCounters=_COUNTERS),
                device("g0-part", attributes={"model": "M"}, capacity={"memory": "10Gi"}, consumesCounters=_COUNTERS,
                       taints=[{"key": "k", "effect": "NoExecute"}]),
            ),
            resource_slice("ascend.project-hami.io", device("npu-0", attributes={"uuid": "w-0", "index": 0})),
            resource_slice("net.example.com", device("eth0"), nodeSelector={"nodeSelectorTerms": [{"matchFields": [
                {"key": "metadata.name", "operator": "In", "values": [NODE]}]}]}),
        ],
        "claims": [
            claim("dra.hygon.com", "hcu-0", consumedCapacity={"cores": "60", "memory": "32Gi"}),
            claim("gpu.example.com", "g0-part", pods=["uid-ours"]), claim("gpu.example.com", "g0", adminAccess=True),
        ],
        "pods": [
            pod("theirs", {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": 3, "amd.com/gpu": 2, "acme.com/x1": 1}),
            pod("slices", {"hygon.com/dcunum": 1}, annotations={
                "hami.io/dcu-devices-allocated": "dcu-1,DCU,2000,60:;"}),
            pod("ours", {"nvidia.com/gpu": 1, "cpu": "1"}, ours=True,
                granted=[(f"{NODE_UID}/nvidia.com/gpu/0", 250, 1)],
                spec={"initContainers": [{"name": "i", "restartPolicy": "Always", "resources": {}}],
                      "overhead": {"cpu": "1m"}, "resourceClaims": [{"resourceClaimName": "c"}]}),
            pod("mlu", {"cambricon.com/vmlu": 1, "cambricon.com/mlu.smlu.vcore": 30}),
        ],
    }  # fmt: skip


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, child in children for place in _places(child, (*at, key)))]


_BASE = _cluster()
_PLACES = [
    place for place in _places(_BASE) if len(place) >= 2
]  # the four lists stay lists, as the API client makes them


def _mangled(changes: list[tuple[tuple[Any, ...], Any]]) -> dict[str, Any]:
    cluster = copy.deepcopy(_BASE)
    for place, junk in changes:
        target: Any = cluster
        try:
            for key in place[:-1]:
                target = target[key]
            if junk is _MISSING:
                del target[place[-1]]
            else:
                target[place[-1]] = copy.deepcopy(junk)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
    return cluster


_MISSING = object()


def _see(cluster: dict[str, Any]) -> list[NodeSeen]:
    held = [each for each in map(pod_held, cluster["pods"]) if each is not None]
    return nodes_seen(cluster["nodes"], cluster["slices"], cluster["claims"], held)


def _check(shown: NodeSeen) -> None:
    assert 0 <= shown.foreign_cpu_milli <= shown.cpu_milli
    assert 0 <= shown.foreign_memory_mib <= shown.memory_mib
    assert len(shown.message) <= 1000
    assert all(isinstance(text, str) for text in (*shown.labels.values(), shown.rack, shown.name))
    uuids = {d.uuid for d in shown.devices}
    assert len(uuids) == len(shown.devices) == len({d.index for d in shown.devices})
    for d in shown.devices:
        assert 0 < len(d.uuid) <= 100
        assert d.uuid.isprintable()
        assert d.vendor
        assert d.model
        assert d.index >= 0
        assert d.memory_mib >= 0
        assert 0 <= d.step_milli <= 1000
        assert d.most_shares >= 0
        assert 0 <= d.foreign_milli <= 1000
        assert 0 <= d.foreign_memory_mib <= d.memory_mib
        assert not d.parent_uuid or d.parent_uuid in uuids


def test_the_cluster_as_it_should_be_makes_use_of_everything() -> None:
    (shown,) = _see(_BASE)
    _check(shown)
    vendors = {d.vendor for d in shown.devices}
    assert vendors == {"nvidia", "amd", "ascend", "cambricon", "enflame", "hygon", "example.com", "acme.com"}
    assert sum(d.foreign_milli > 0 for d in shown.devices) > 5


@given(st.lists(st.tuples(st.sampled_from(_PLACES), st.sampled_from([*_JUNK, _MISSING])), min_size=1, max_size=6))
@settings(max_examples=400, deadline=None)
@example([((name, 0), None) for name in ("nodes", "slices", "claims", "pods")])
def test_no_junk_in_any_place_makes_it_fail(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    for shown in _see(_mangled(changes)):
        _check(shown)


def test_each_kind_of_junk_in_each_place_alone() -> None:
    """Not left to chance: one change at a time, everywhere."""
    for place in _PLACES:
        for junk in (None, -1, "x", [None], {"": {}}, 2**70, _MISSING):
            for shown in _see(_mangled([(place, junk)])):
                _check(shown)


@given(
    st.dictionaries(st.sampled_from(sorted(_COUNTED)), st.integers(0, 70), max_size=8),
    st.dictionaries(st.sampled_from(sorted(_COUNTED)), st.integers(0, 20), max_size=4),
    st.sampled_from(["0", "1", "3", "4", "7"]), st.integers(0, 8),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_foreign_tokens_are_placed_or_told(
    counted: dict[str, int], asked: dict[str, int], replicas: str, ours: int
) -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.replicas": replicas}
    grants = [(f"{NODE_UID}/nvidia.com/gpu/{n}", 1000, 0) for n in range(ours)]
    cluster = {
        "nodes": [node(counted, labels=labels)], "slices": [], "claims": [],
        "pods": [pod("theirs", asked), pod("ours", ours=True, granted=grants)],
    }  # fmt: skip
    (shown,) = _see(cluster)
    _check(shown)
    per_card = max(int(replicas), 1)
    cards = [d for d in shown.devices if d.resource == "nvidia.com/gpu"]
    wanted = asked.get("nvidia.com/gpu", 0)
    room = sum(1 for d in cards if int(d.uuid.rpartition("/")[2]) >= ours) * per_card
    assert len(cards) == -(-counted.get("nvidia.com/gpu", 0) // per_card)
    placed = sum(d.foreign_milli for d in cards)
    assert placed >= min(wanted, room) * (1000 // per_card), "all that fits is placed"
    if wanted > room:
        assert f"{wanted - room} of nvidia.com/gpu that no card here has room for" in shown.message
