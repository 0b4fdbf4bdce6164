"""Dynamic Resource Allocation: devices of ResourceSlices as cards, and claims as their use."""

from typing import Any

import pytest

from federation.drivers.base import DeviceSeen, Health, NodeSeen
from federation.drivers.kubernetes.nodes import nodes_seen
from tests.federation.kubernetes.objects import NODE, NODE_UID, claim, device, held, node, pod, resource_slice, seen

NVIDIA = "gpu.nvidia.com"
HAMI = "hami-core-gpu.project-hami.io"


def gpu(number: int, **more: Any) -> dict[str, Any]:
    """As dra-driver-nvidia-gpu (cmd/gpu-kubelet-plugin/deviceinfo.go) publishes a whole card."""
    return device(
        f"gpu-{number}",
        attributes={"type": "gpu", "uuid": f"GPU-{number}", "productName": "NVIDIA A100-SXM4-80GB", "minor": number,
                    "pcieBusID": f"0000:{number:02x}:00.0", "numaNode": number // 4},
        capacity={"memory": "81920Mi"}, **more,
    )  # fmt: skip


def by_uuid(shown: NodeSeen) -> dict[str, DeviceSeen]:
    return {d.uuid: d for d in shown.devices}


def test_whole_cards_have_their_uuids() -> None:
    shown = seen(node(), slices=[resource_slice(NVIDIA, gpu(0), gpu(5))])
    first, second = shown.devices
    assert (first.uuid, first.vendor, first.model, first.memory_mib, first.index) == (
        "GPU-0",
        "nvidia",
        "A100-80G",
        81920,
        0,
    )
    assert (first.mode, first.step_milli, first.is_identified, first.resource) == ("exclusive", 1000, True, NVIDIA)
    assert (second.index, second.numa) == (5, 1)
    assert shown.message == ""


def test_an_older_server_writes_devices_one_level_deeper() -> None:
    given = gpu(0)
    old = {"name": given.pop("name"), "basic": given}
    assert [d.uuid for d in seen(node(), slices=[resource_slice(NVIDIA, old)]).devices] == ["GPU-0"]


def test_only_the_newest_generation_of_a_pool_counts() -> None:
    old = resource_slice(NVIDIA, gpu(0), gpu(1), gpu(2), generation=3)
    new = [resource_slice(NVIDIA, gpu(number), generation=4, count=2) for number in (0, 1)]
    shown = seen(node(), slices=[new[0], old, new[1]])
    assert sorted(by_uuid(shown)) == ["GPU-0", "GPU-1"]
    assert shown.message == ""


def test_a_pool_that_is_not_all_there_is_used_as_far_as_it_is_and_told() -> None:
    shown = seen(node(), slices=[resource_slice(NVIDIA, gpu(0), generation=4, count=2)])
    assert sorted(by_uuid(shown)) == ["GPU-0"]
    assert f"1 of 2 slices of pool {NODE} of {NVIDIA} are there" in shown.message


def named(key: str, value: str, where: str = "matchFields") -> dict[str, Any]:
    return {"nodeSelectorTerms": [{where: [{"key": key, "operator": "In", "values": [value]}]}]}


@pytest.mark.parametrize(
    ("placement", "count", "is_told"),
    [
        ({"nodeName": NODE}, 1, False), ({"nodeName": "worker-2"}, 0, False), ({"allNodes": True}, 0, True),
        ({"nodeSelector": named("metadata.name", NODE)}, 1, False),
        ({"nodeSelector": named("metadata.name", "worker-2")}, 0, False),
        ({"nodeSelector": named("kubernetes.io/hostname", NODE, "matchExpressions")}, 1, False),
        ({"nodeSelector": named("topology.kubernetes.io/rack", "r1", "matchExpressions")}, 0, True),
    ],
)  # fmt: skip
def test_devices_are_on_the_node_that_is_named(placement: dict[str, Any], count: int, is_told: bool) -> None:
    shown = seen(node(), slices=[resource_slice(NVIDIA, gpu(0), **placement)])
    assert len(shown.devices) == count
    assert ("reached by many nodes" in shown.message) is is_told


def test_each_device_may_say_its_node_itself() -> None:
    devices = [gpu(0, nodeName=NODE), gpu(1, nodeName="worker-2"), gpu(2, allNodes=True)]
    shown = seen(node(), slices=[resource_slice(NVIDIA, *devices, perDeviceNodeSelection=True)])
    assert sorted(by_uuid(shown)) == ["GPU-0"]


def test_static_mig_is_parts_of_a_card_that_is_not_handed_out() -> None:
    parts = [
        device(f"gpu-0-mig-19-{slot}-1",
               attributes={"type": "mig", "uuid": f"MIG-{slot}", "parentUUID": "GPU-0", "profile": "1g.10gb",
                           "productName": "NVIDIA A100-SXM4-80GB"},
               capacity={"memory": "9728Mi"})
        for slot in (0, 1)
    ]  # fmt: skip
    shown = by_uuid(
        seen(node(), slices=[resource_slice(NVIDIA, *parts, gpu(1))], claims=[claim(NVIDIA, "gpu-0-mig-19-1-1")])
    )
    assert sorted(shown) == ["GPU-0", "GPU-1", "MIG-0", "MIG-1"]
    assert (shown["GPU-0"].memory_mib, shown["GPU-0"].parent_uuid) == (81920, "")
    part = shown["MIG-1"]
    assert (part.parent_uuid, part.model, part.memory_mib, part.mode) == ("GPU-0", "A100-80G", 9728, "partitioned")
    assert [shown[uuid].foreign_milli for uuid in ("GPU-0", "GPU-1", "MIG-0", "MIG-1")] == [0, 0, 0, 1000]


def counters(number: int) -> list[dict[str, Any]]:
    return [{"counterSet": f"gpu-{number}-counter-set", "counters": {"memory-slice-0": {"value": "1"}}}]


def test_possible_parts_are_one_card() -> None:
    """Partitionable devices: the card and all that could be made of it draw on one set of shared counters."""
    possible = [
        device(f"gpu-0-mig-1g10gb-19-{slot}", attributes={"type": "mig", "productName": "NVIDIA A100-SXM4-80GB"},
               capacity={"memory": "9728Mi"}, consumesCounters=counters(0))
        for slot in range(7)
    ]  # fmt: skip
    slices = [resource_slice(NVIDIA, *possible, gpu(0, consumesCounters=counters(0)))]
    (card,) = seen(node(), slices=slices).devices
    assert (card.uuid, card.mode, card.step_milli, card.foreign_milli) == ("GPU-0", "exclusive", 1000, 0)
    (card,) = seen(node(), slices=slices, claims=[claim(NVIDIA, "gpu-0-mig-1g10gb-19-3")]).devices
    assert card.foreign_milli == 1000, "beside a part nobody can have the whole card"


def test_auto_partitions_of_amd_are_one_card_each() -> None:
    def mode(gpu: int, name: str, kind: str, share: int) -> dict[str, Any]:
        return device(
            f"gpu-{gpu}-{name}",
            attributes={"type": kind, "productName": "AMD_Instinct_MI300X_OAM", "gpuIndex": gpu,
                        "resource.kubernetes.io/pciBusID": f"0000:{gpu}9:00.0"},
            capacity={"memory": f"{192 // share}Gi", "partitions": str(share)}, allowMultipleAllocations=True,
            consumesCounters=[{"counterSet": f"gpu-{gpu}-mutex", "counters": {"partition-mode": {"value": "1"}}}],
        )  # fmt: skip

    devices = [mode(g, *m) for g in (0, 1) for m in (("spx-nps1", "amdgpu", 1), ("cpx-nps4", "amdgpu-partition", 8))]
    shown = seen(
        node(), slices=[resource_slice("gpu.amd.com", *devices)], claims=[claim("gpu.amd.com", "gpu-1-cpx-nps4")]
    )
    assert [(d.uuid, d.model, d.memory_mib, d.foreign_milli) for d in shown.devices] == [
        (f"{NODE_UID}/gpu.amd.com/0000:09:00.0", "MI300X", 196608, 0),
        (f"{NODE_UID}/gpu.amd.com/0000:19:00.0", "MI300X", 196608, 1000),
    ]


def test_partitions_of_amd_that_exist_are_parts_of_a_card() -> None:
    parts = [
        device(f"gpu-{i}-{128 + i}", attributes={"type": "amdgpu-partition", "productName": "AMD_Instinct_MI300X_OAM",
               "resource.kubernetes.io/pciBusID": "0000:19:00.0", "partitionProfile": "cpx_nps4"},
               capacity={"memory": "24Gi"})
        for i in range(8)
    ]  # fmt: skip
    shown = seen(node(), slices=[resource_slice("gpu.amd.com", *parts)])
    (card,) = [d for d in shown.devices if not d.parent_uuid]
    assert card.uuid == f"{NODE_UID}/gpu.amd.com/0000:19:00.0"
    assert {(d.parent_uuid, d.memory_mib) for d in shown.devices if d.parent_uuid} == {(card.uuid, 24576)}
    assert len(shown.devices) == 9


def test_a_card_for_containers_and_for_virtual_machines_is_one_card() -> None:
    vfio = device("gpu-vfio-0", attributes={"type": "vfio", "uuid": "GPU-0", "pcieBusID": "0000:00:00.0"})
    alone = device("gpu-vfio-1", attributes={"type": "vfio", "uuid": "GPU-9", "productName": "NVIDIA A10"})
    shown = by_uuid(
        seen(node(), slices=[resource_slice(NVIDIA, gpu(0), vfio, alone)], claims=[claim(NVIDIA, "gpu-vfio-0")])
    )
    assert {uuid: (d.mode, d.foreign_milli) for uuid, d in shown.items()} == {
        "GPU-0": ("exclusive", 1000), "GPU-9": ("passthrough", 0),
    }  # fmt: skip


def test_of_devices_that_exclude_each_other_the_type_says_which_is_the_card() -> None:
    """AMD writes 0 for memory that it cannot read: size tells nothing then."""

    def one(name: str, kind: str, product: str) -> dict[str, Any]:
        return device(name, attributes={"type": kind, "productName": product}, capacity={"memory": "0"},
                      consumesCounters=[{"counterSet": "gpu-0-mutex"}])  # fmt: skip

    devices = [one("a", "amdgpu-partition", "part"), one("z", "amdgpu", "AMD_Instinct_MI210")]
    (card,) = seen(node(), slices=[resource_slice("gpu.amd.com", *devices)]).devices
    assert (card.model, card.memory_mib) == ("MI210", 65536)


def test_a_card_that_one_driver_shows_whole_and_another_in_parts_is_not_handed_out() -> None:
    part = device("mig-0", attributes={"type": "mig", "uuid": "MIG-0", "parentUUID": "GPU-0"})
    sliced = device("hami-gpu-0", attributes={"uuid": "GPU-0", "type": "hami-gpu"}, capacity={"cores": "100"})
    shown = by_uuid(seen(node(), slices=[resource_slice(NVIDIA, gpu(0), part), resource_slice(HAMI, sliced)]))
    assert sorted(shown) == ["GPU-0", "MIG-0"]
    assert (shown["GPU-0"].mode, shown["MIG-0"].parent_uuid) == ("exclusive", "GPU-0")


def test_a_virtual_machine_has_all_of_a_card_that_containers_could_share() -> None:
    shared = device("hami-gpu-0", attributes={"uuid": "GPU-0", "type": "hami-gpu"}, capacity={"cores": "100"})
    vfio = device("gpu-vfio-0", attributes={"type": "vfio", "uuid": "GPU-0"})
    slices = [resource_slice(HAMI, shared, vfio)]
    (card,) = seen(node(), slices=slices, claims=[claim(HAMI, "gpu-vfio-0", consumedCapacity={"cores": "10"})]).devices
    assert card.foreign_milli == 1000


def policy(value: str, default: str) -> dict[str, Any]:
    return {"value": value, "requestPolicy": {"default": default}}


@pytest.mark.parametrize(
    ("driver", "more", "capacity", "expected"),
    [
        # HAMi's driver: the older server dropped allowMultipleAllocations, the claims share all the same.
        (HAMI, {}, {"cores": "100", "memory": "81920Mi"}, ("sliced", 0, 0)),
        ("dra.hygon.com", {"allowMultipleAllocations": True},
         {"cores": policy("120", "120"), "memory": policy("64Gi", "64Gi"), "slices": policy("4", "1")},
         ("sliced", 0, 4)),
        (NVIDIA, {"allowMultipleAllocations": True}, {"memory": policy("81920Mi", "0"), "shares": policy("4", "1")},
         ("shared", 250, 4)),
        (NVIDIA, {"allowMultipleAllocations": True}, {"memory": policy("81920Mi", "81920Mi")}, ("sliced", 0, 0)),
        (NVIDIA, {"allowMultipleAllocations": True}, {"memory": policy("81920Mi", "0")}, ("shared", 0, 0)),
    ],
)  # fmt: skip
def test_capacity_that_claims_share(
    driver: str, more: dict[str, Any], capacity: dict[str, Any], expected: tuple[str, int, int]
) -> None:
    one = device("gpu-0", attributes={"uuid": "U0", "productName": "NVIDIA A100-SXM4-80GB"}, capacity=capacity, **more)
    (card,) = seen(node(), slices=[resource_slice(driver, one)]).devices
    assert (card.mode, card.step_milli, card.most_shares) == expected


@pytest.mark.parametrize(
    ("consumed", "milli", "memory"),
    [
        ({"cores": "50", "memory": "10Gi"}, 500, 10240), ({"memory": "20Gi"}, 250, 20480), ({}, 1000, 81920),
        ({f"{HAMI}/cores": "25", f"{HAMI}/memory": "1Gi"}, 250, 1024), ({"cores": "-3"}, 1000, 81920),
    ],
)  # fmt: skip
def test_claims_take_what_they_consume(consumed: dict[str, str], milli: int, memory: int) -> None:
    one = device(
        "hami-gpu-0", attributes={"uuid": "GPU-0", "type": "hami-gpu"}, capacity={"cores": "100", "memory": "80Gi"}
    )
    slices = [resource_slice(HAMI, one)]
    (card,) = seen(node(), slices=slices, claims=[claim(HAMI, "hami-gpu-0", consumedCapacity=consumed)]).devices
    assert (card.foreign_milli, card.foreign_memory_mib) == (milli, memory)


def test_claims_of_ours_and_onlookers_are_not_foreign() -> None:
    claims = [
        claim(NVIDIA, "gpu-0", ours=True), claim(NVIDIA, "gpu-1", pods=["uid-ours"]),
        claim(NVIDIA, "gpu-2", adminAccess=True), claim(NVIDIA, "gpu-3", pods=["uid-theirs"]), claim(NVIDIA, "gpu-9"),
        {"status": {}}, {},
    ]  # fmt: skip
    pods = [pod("ours", ours=True), pod("theirs")]
    shown = by_uuid(seen(node(), *pods, slices=[resource_slice(NVIDIA, *map(gpu, range(4)))], claims=claims))
    assert [shown[f"GPU-{n}"].foreign_milli for n in range(4)] == [0, 0, 0, 1000]


def test_taints_of_devices_are_trouble_unless_they_are_remarks() -> None:
    devices = [
        gpu(0, taints=[{"key": f"{NVIDIA}/xid", "value": "79", "effect": "NoSchedule"}]),
        gpu(1, taints=[{"key": f"{NVIDIA}/unmonitored", "effect": "None"}]), gpu(2, taints=[{"effect": "NoExecute"}]),
    ]  # fmt: skip
    shown = by_uuid(seen(node(), slices=[resource_slice(NVIDIA, *devices)]))
    assert [shown[f"GPU-{n}"].health for n in range(3)] == [Health.UNHEALTHY, Health.HEALTHY, Health.UNHEALTHY]


@pytest.mark.parametrize(
    ("driver", "attributes", "capacity", "vendor"),
    [
        ("gpu.example.com", {"uuid": "u", "model": "LATEST-GPU-MODEL", "index": 0}, {"memory": "80Gi"}, "example.com"),
        ("tpu.google.com", {"index": 0}, {}, "google.com"), ("gpu.metax-tech.com", {"model": "MXC500"}, {}, "metax"),
        ("cards.acme.com", {"model": "X1"}, {"memory": "16Gi"}, "acme.com"),
        ("compute-domain.nvidia.com", {"type": "channel", "id": 0}, {}, ""),
        ("dra.cpu", {"model": "x"}, {"memory": "1Gi"}, ""),
        ("sriovnetwork.k8snetworkplumbingwg.io", {"model": "x"}, {"memory": "1Gi"}, ""),
        ("dra.net", {"ifName": "eth0"}, {}, ""),
    ],
)  # fmt: skip
def test_drivers_that_nobody_knows(
    driver: str, attributes: dict[str, object], capacity: dict[str, object], vendor: str
) -> None:
    shown = seen(node(), slices=[resource_slice(driver, device("d0", attributes=attributes, capacity=capacity))])
    assert [d.vendor for d in shown.devices] == ([vendor] if vendor else [])


# -- the same card seen twice -------------------------------------------------------------------------------------

REGISTER = "".join(f"GPU-{n},10,81920,100,NVIDIA-NVIDIA A100-SXM4-80GB,0,true,{n},hami-core:" for n in range(2))


def test_a_card_that_three_sources_show_is_one_card() -> None:
    on = node({"nvidia.com/gpu": 20}, annotations={"hami.io/node-nvidia-register": REGISTER})
    work = pod("theirs", annotations={"hami.io/vgpu-devices-allocated": "GPU-1,NVIDIA,8192,20:;"})
    shown = seen(on, work, slices=[resource_slice(NVIDIA, gpu(0), gpu(1))])
    assert [(d.uuid, d.mode, d.resource, d.foreign_milli) for d in shown.devices] == [
        ("GPU-0", "exclusive", NVIDIA, 0), ("GPU-1", "exclusive", NVIDIA, 200),
    ]  # fmt: skip
    assert shown.message == ""


def test_two_drivers_that_show_one_card_show_one_card() -> None:
    sliced = device("hami-gpu-0", attributes={"uuid": "GPU-0", "type": "hami-gpu", "productName": "NVIDIA A100"},
                    capacity={"cores": "100", "memory": "81920Mi"})  # fmt: skip
    slices = [resource_slice(NVIDIA, gpu(0)), resource_slice(HAMI, sliced)]
    (card,) = seen(node(), slices=slices, claims=[claim(NVIDIA, "gpu-0")]).devices
    assert (card.resource, card.mode, card.foreign_milli) == (HAMI, "sliced", 1000)


def test_cards_without_a_serial_are_paired_in_order() -> None:
    """HAMi's Ascend driver makes UUIDs of the node's name, AMD's has none: HAMi's annotation has real ones."""
    register = (
        '[{"id":"uuid-a","index":0,"count":4,"devmem":65536,"devcore":20,"type":"Ascend910B3","health":true},'
        '{"id":"uuid-b","index":1,"count":4,"devmem":65536,"devcore":20,"type":"Ascend910B3","health":true},'
        '{"id":"uuid-c","index":2,"count":4,"devmem":65536,"devcore":20,"type":"Ascend910B3","health":true}]'
    )
    devices = [
        device(
            f"npu-{n}-0", attributes={"uuid": f"{NODE}-{n}", "index": n, "productName": "Ascend910B3", "type": "NPU"}
        )
        for n in (0, 1)
    ]
    on = node({"huawei.com/Ascend910B3": 12}, annotations={"hami.io/node-register-Ascend910B3": register})
    work = pod("theirs", annotations={"hami.io/Ascend910B3-devices-allocated": "uuid-b,Ascend910B3,65536,100:;"})
    shown = seen(on, work, slices=[resource_slice("ascend.project-hami.io", *devices)])
    assert [(d.model, d.memory_mib, d.foreign_milli) for d in shown.devices] == [
        ("910B", 65536, 0),
        ("910B", 65536, 1000),
    ]
    assert "1 cards of ascend are seen by HAMi only, and not counted" in shown.message


def test_more_tokens_than_known_cards_are_told_and_not_counted() -> None:
    shown = seen(node({"nvidia.com/gpu": 4}), slices=[resource_slice(NVIDIA, gpu(0), gpu(1))])
    assert sorted(by_uuid(shown)) == ["GPU-0", "GPU-1"]
    assert "nvidia.com/gpu counts 4, 2 are known by name" in shown.message


def test_another_model_of_the_vendor_is_counted_beside_the_known() -> None:
    register = '[{"id":"a","count":4,"devmem":65536,"devcore":20,"type":"Ascend910B3","health":true}]'
    on = node(
        {"huawei.com/Ascend910B3": 4, "huawei.com/Ascend310P": 2},
        annotations={"hami.io/node-register-Ascend910B3": register},
    )
    assert [(d.model, d.is_identified) for d in seen(on).devices] == [("910B", True), ("310P", False), ("310P", False)]


def test_a_request_that_a_claim_fulfils_is_not_counted_again() -> None:
    mapped = {"requestMappings": [{"containerName": "main", "resourceName": "nvidia.com/gpu", "requestName": "r"}],
              "resourceClaimName": "c"}  # fmt: skip
    work = pod("theirs", {"nvidia.com/gpu": 1}, status={"extendedResourceClaimStatus": mapped})
    slices = [resource_slice(NVIDIA, gpu(0), gpu(1))]
    shown = seen(node(), work, slices=slices, claims=[claim(NVIDIA, "gpu-0", pods=["uid-theirs"])])
    assert [d.foreign_milli for d in shown.devices] == [1000, 0]
    assert shown.message == ""


def test_a_cluster_gives_each_node_its_own() -> None:
    nodes = [node({"nvidia.com/gpu": 1}, name=name, uid=name) for name in ("a", "b", "c")]
    slices = [
        resource_slice(NVIDIA, gpu(0), pool="a", nodeName="a"), resource_slice(NVIDIA, gpu(1), pool="b", nodeName="b"),
        resource_slice(NVIDIA, gpu(7), pool="fabric", nodeSelector=named("metadata.name", "c")),
    ]  # fmt: skip
    claims = [claim(NVIDIA, "gpu-1", pool="b"), claim(NVIDIA, "gpu-7", pool="fabric"), claim(NVIDIA, "x", pool="gone")]
    pods = held(pod("one", {"cpu": "2"}, node="a"), pod("two", {"cpu": "3"}, node="b"))
    shown = nodes_seen(nodes, slices, claims, pods)
    assert [(n.name, [(d.uuid, d.foreign_milli) for d in n.devices], n.foreign_cpu_milli) for n in shown] == [
        ("a", [("GPU-0", 0)], 2000), ("b", [("GPU-1", 1000)], 3000), ("c", [("GPU-7", 1000)], 0),
    ]  # fmt: skip
