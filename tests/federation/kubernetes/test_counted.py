"""Device plugins: what a node counts is not always a card."""

import pytest

from federation.drivers.base import Health
from tests.federation.kubernetes.objects import NODE, NODE_UID, node, pod, seen

A100 = {
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
    "nvidia.com/gpu.memory": "81920",
    "nvidia.com/gpu.count": "8",
}


def test_whole_cards_are_counted_and_named_by_the_labels() -> None:
    shown = seen(node({"nvidia.com/gpu": 8}, labels={**A100, "nvidia.com/gpu.replicas": "1"}))
    assert len(shown.devices) == 8
    first = shown.devices[0]
    assert (first.uuid, first.vendor, first.model, first.memory_mib) == (
        f"{NODE_UID}/nvidia.com/gpu/0", "nvidia", "A100-80G", 81920,
    )  # fmt: skip
    assert (first.mode, first.step_milli, first.most_shares, first.is_identified) == ("exclusive", 1000, 0, False)
    assert [d.index for d in shown.devices] == list(range(8))
    assert {d.resource for d in shown.devices} == {"nvidia.com/gpu"}
    assert shown.message == ""


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "nvidia.com/gpu.shared"])
def test_eight_cards_shared_by_four_are_eight_cards(resource: str) -> None:
    labels = {**A100, "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-SHARED", "nvidia.com/gpu.replicas": "4"}
    shown = seen(node({"nvidia.com/gpu": 0, resource: 32}, labels=labels))
    assert len(shown.devices) == 8
    assert {(d.model, d.mode, d.step_milli, d.most_shares) for d in shown.devices} == {("A100-80G", "shared", 250, 4)}


def test_tokens_that_are_a_multiple_of_the_cards_are_shares_of_them() -> None:
    shown = seen(node({"nvidia.com/gpu": 80, "nvidia.com/gpumem": 655360}, labels=A100))  # HAMi, its annotation missing
    assert [(d.mode, d.step_milli, d.most_shares) for d in shown.devices] == [("shared", 100, 10)] * 8


def test_tokens_that_do_not_come_out_even_are_told() -> None:
    shown = seen(node({"nvidia.com/gpu": 30}, labels={**A100, "nvidia.com/gpu.replicas": "4"}))
    assert len(shown.devices) == 8
    assert "30 of nvidia.com/gpu cannot be 4 for each card" in shown.message


def test_mig_single_is_parts_of_cards_by_the_name_of_the_card() -> None:
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "nvidia.com/gpu.count": "14",
        "nvidia.com/gpu.memory": "9728", "nvidia.com/mig.strategy": "single", "nvidia.com/gpu.replicas": "1",
    }  # fmt: skip
    shown = seen(node({"nvidia.com/gpu": 14}, labels=labels))
    cards = [d for d in shown.devices if not d.parent_uuid]
    parts = [d for d in shown.devices if d.parent_uuid]
    assert [(c.model, c.memory_mib, c.resource) for c in cards] == [("A100-80G", 81920, "")] * 2
    assert {(p.model, p.memory_mib, p.mode, p.step_milli, p.resource) for p in parts} == {
        ("A100-80G", 9728, "partitioned", 1000, "nvidia.com/gpu")
    }
    assert sorted(p.parent_uuid for p in parts) == sorted([cards[0].uuid] * 7 + [cards[1].uuid] * 7)
    assert not any(d.is_identified for d in shown.devices)
    assert shown == seen(node({"nvidia.com/gpu": 14}, labels=labels)), "dealt out the same way every time"


def test_mig_mixed_is_whole_cards_beside_parts_of_several_sizes() -> None:
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559",
        "nvidia.com/gpu.count": "8", "nvidia.com/mig.strategy": "mixed", "nvidia.com/mig-1g.10gb.memory": "9984",
    }  # fmt: skip
    shown = seen(node({"nvidia.com/gpu": 4, "nvidia.com/mig-1g.10gb": 8, "nvidia.com/mig-3g.40gb": 4}, labels=labels))
    whole = [d for d in shown.devices if d.resource == "nvidia.com/gpu"]
    assert [d.mode for d in whole] == ["exclusive"] * 4
    parts = [d for d in shown.devices if d.parent_uuid]
    assert (
        sorted((p.resource, p.memory_mib) for p in parts)
        == [("nvidia.com/mig-1g.10gb", 9984)] * 8 + [("nvidia.com/mig-3g.40gb", 40960)] * 4
    )
    by_card: dict[str, int] = {}
    for part in parts:
        by_card[part.parent_uuid] = by_card.get(part.parent_uuid, 0) + int(part.resource[15])
    assert len(by_card) == 4, "four of the eight cards are whole"
    assert max(by_card.values()) <= 7


@pytest.mark.parametrize(
    ("resources", "labels", "cards", "parts", "memory"),
    [
        ({"amd.com/gpu": 64}, {"amd.com/compute-memory-partition": "cpx_nps4"}, 8, 64, 24576),
        ({"amd.com/cpx_nps4": 64}, {}, 8, 64, 24576),
        ({"amd.com/spx_nps1": 5, "amd.com/cpx_nps1": 24}, {}, 8, 24, 24576),
        ({"amd.com/gpu": 8}, {"amd.com/compute-memory-partition": "spx_nps1"}, 8, 0, 0),
    ],
)
def test_partitions_of_amd_by_either_naming(
    resources: dict[str, int], labels: dict[str, str], cards: int, parts: int, memory: int
) -> None:
    product = {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM", "amd.com/gpu.vram": "192G"}
    shown = seen(node(resources, labels={**product, **labels}))
    assert [d.model for d in shown.devices] == ["MI300X"] * (cards + parts)
    assert len([d for d in shown.devices if not d.parent_uuid]) == cards
    assert {d.memory_mib for d in shown.devices if d.parent_uuid} == ({memory} if parts else set())
    assert {d.memory_mib for d in shown.devices if not d.parent_uuid} == {196608}


VENDOR_ROWS = [
    # MindCluster docs: resource by chip family; npu.chip.name is the exact chip.
    ({"huawei.com/Ascend910": 8}, {"node.kubernetes.io/npu.chip.name": "910B3"}, "ascend", "910B", 65536, 8,
     "exclusive"),
    ({"huawei.com/Ascend310P": 4}, {}, "ascend", "310P", 24576, 4, "exclusive"),
    # cambricon-k8s-device-plugin: unprefixed label Model; one token of .share for each container of env-share mode.
    ({"cambricon.com/mlu": 8}, {"Model": "MLU370-X8"}, "cambricon", "MLU370-X8", 49152, 8, "exclusive"),
    ({"cambricon.com/mlu.smlu.vcore": 800, "cambricon.com/mlu.smlu.vmemory": 1536, "cambricon.com/vmlu": 80},
     {"Model": "MLU370-X8"}, "cambricon", "MLU370-X8", 49152, 8, "sliced"),
    ({"hygon.com/dcu": 8}, {"hygon.com/dcu.name": "K100_AI", "hygon.com/dcu.vram": "64G"}, "hygon", "K100", 65536, 8,
     "exclusive"),
    ({"metax-tech.com/gpu": 8}, {"metax-tech.com/gpu.product": "MXC500", "metax-tech.com/gpu.memory": "64GB"}, "metax",
     "C500", 65536, 8, "exclusive"),
    ({"metax-tech.com/vfio-gpu": 2}, {"metax-tech.com/gpu.product": "MXC500"}, "metax", "C500", 65536, 2,
     "passthrough"),
    ({"mthreads.com/gpu": 8}, {}, "moore-threads", "unknown", 0, 8, "exclusive"),
    ({"mthreads.com/sgpu-core": 128, "mthreads.com/sgpu-memory": 768, "mthreads.com/vgpu": 800}, {}, "moore-threads",
     "unknown", 49152, 8, "sliced"),
    ({"iluvatar.com/gpu": 16}, {}, "iluvatar", "unknown", 0, 16, "exclusive"),
    ({"iluvatar.ai/gpu": 16, "iluvatar.com/gpu": 16}, {}, "iluvatar", "unknown", 0, 16, "exclusive"),
    ({"enflame.com/gcu": 8}, {"enflame.com/gcu.model": "S60", "enflame.com/gcu.memory": "49152"}, "enflame", "S60",
     49152, 8, "exclusive"),
    ({"enflame.com/shared-gcu": 48, "enflame.com/gcu-count": 8}, {"enflame.com/gcu.model": "S60"}, "enflame", "S60",
     49152, 8, "shared"),
    ({"kunlunxin.com/xpu": 8}, {}, "kunlunxin", "unknown", 0, 8, "exclusive"),
    ({"baidu.com/xpu": 4}, {}, "kunlunxin", "unknown", 0, 4, "exclusive"),
    ({"amd.com/gpu": 4}, {"beta.amd.com/gpu.product-name": "AMD_Instinct_MI210", "amd.com/gpu.vram": "64G"}, "amd",
     "MI210", 65536, 4, "exclusive"),
]  # fmt: skip


@pytest.mark.parametrize(("resources", "labels", "vendor", "model", "memory", "count", "mode"), VENDOR_ROWS)
def test_every_vendor(
    resources: dict[str, int], labels: dict[str, str], vendor: str, model: str, memory: int, count: int, mode: str
) -> None:
    shown = seen(node(resources, labels=labels))
    assert {(d.vendor, d.model, d.memory_mib, d.mode) for d in shown.devices} == {(vendor, model, memory, mode)}
    assert len(shown.devices) == count
    assert len({d.uuid for d in shown.devices}) == count
    assert shown.message == ""


def test_whole_cards_and_their_amounts_are_the_same_cards() -> None:
    on = node({"mthreads.com/gpu": 8, "mthreads.com/sgpu-core": 128, "mthreads.com/sgpu-memory": 768})
    shown = seen(on, pod("theirs", {"mthreads.com/sgpu-core": 4, "mthreads.com/sgpu-memory": 8}))
    assert [(d.mode, d.foreign_milli) for d in shown.devices] == [("exclusive", 0)] * 7 + [("exclusive", 250)]


def test_static_vnpus_are_parts_of_their_cards() -> None:
    shown = seen(node({"huawei.com/Ascend310P-4c": 2, "huawei.com/Ascend310P-2c.1cpu": 4}))
    cards = [d for d in shown.devices if not d.parent_uuid]
    assert [c.model for c in cards] == ["310P", "310P"]
    assert sorted(d.memory_mib for d in shown.devices if d.parent_uuid) == [6144] * 4 + [12288] * 2


def test_shares_without_a_count_of_cards_are_told_and_not_guessed() -> None:
    shown = seen(node({"kunlunxin.com/vxpu": 32}))
    assert shown.devices == ()
    assert "nothing says of how many cards kunlunxin.com/vxpu are shares" in shown.message


@pytest.mark.parametrize(
    ("resource", "count", "vendor", "model"),
    [
        ("habana.ai/gaudi", 8, "habana.ai", "gaudi"), ("birentech.com/gpu", 8, "birentech.com", "gpu"),
        ("google.com/tpu", 4, "google.com", "tpu"), ("furiosa.ai/rngd", 4, "furiosa.ai", "rngd"),
        ("nvidia.com/GA102GL_A10", 2, "nvidia", "GA102GL_A10"), ("gpu.intel.com/i915", 1, "gpu.intel.com", "i915"),
    ],
)  # fmt: skip
def test_an_unknown_accelerator_appears_as_such_and_is_usable_whole(
    resource: str, count: int, vendor: str, model: str
) -> None:
    shown = seen(node({resource: count}))
    assert len(shown.devices) == count
    assert {(d.vendor, d.model, d.mode, d.step_milli) for d in shown.devices} == {(vendor, model, "exclusive", 1000)}


@pytest.mark.parametrize(
    "resource",
    ["rdma/hca_shared_devices_a", "openshift.io/sriov_net", "intel.com/sriov_netdevice", "nvidia.com/hostdev_nic",
     "devices.kubevirt.io/kvm", "smarter-devices/fuse", "kubernetes.io/batch-cpu", "vpc.amazonaws.com/pod-eni",
     "attachable-volumes-aws-ebs", "hugepages-1Gi", "example.com/license", "qat.intel.com/generic", "xilinx.com/fpga",
     "networking.gke.io.networks/gpu-nic", "nvidia.com/gpumem", "huawei.com/Ascend910B3-memory", "huawei.com/npu-core",
     "squat.ai/video", "gpu.intel.com/memory.max"],
)  # fmt: skip
def test_what_is_no_accelerator_does_not_appear(resource: str) -> None:
    assert seen(node({resource: 4})).devices == ()


def test_what_is_advertised_a_thousand_times_is_no_card() -> None:
    shown = seen(node({"acme.com/thing": 1000, "nvidia.com/gpu": 100_000}))
    assert shown.devices == ()
    assert "too many to be cards" in shown.message
    assert "which no server has" in shown.message


def test_devices_that_are_not_handed_out_are_unhealthy_but_for_those_that_ours_hold() -> None:
    work = pod(
        "ours", {"nvidia.com/gpu": 1}, ours=True, granted=[(f"{NODE_UID}/nvidia.com/gpu/7", 1000, 81920)]
    )  # fmt: skip
    shown = seen(node({"nvidia.com/gpu": 8}, labels=A100, allocatable={"nvidia.com/gpu": 6}), work)
    assert [d.index for d in shown.devices if d.health is Health.UNHEALTHY] == [5, 6]


def test_a_shared_card_is_unhealthy_as_a_whole() -> None:
    labels = {**A100, "nvidia.com/gpu.replicas": "4"}
    shown = seen(node({"nvidia.com/gpu": 32}, labels=labels, allocatable={"nvidia.com/gpu": 28}))
    assert [d.index for d in shown.devices if d.health is Health.UNHEALTHY] == [7]


def test_a_node_that_is_made_anew_has_new_cards() -> None:
    first = {d.uuid for d in seen(node({"nvidia.com/gpu": 2})).devices}
    again = {d.uuid for d in seen(node({"nvidia.com/gpu": 2}, uid="another")).devices}
    assert not first & again
    assert {d.uuid for d in seen(node({"nvidia.com/gpu": 2}, uid="")).devices} == {
        f"{NODE}/nvidia.com/gpu/0", f"{NODE}/nvidia.com/gpu/1",
    }  # fmt: skip
