"""A whole node: whether new work may go there, what it has, and what others hold of it."""

from typing import Any

import pytest

from federation.drivers.base import DeviceSeen
from federation.drivers.kubernetes.mirror import trim_node
from federation.drivers.kubernetes.nodes import node_seen
from federation.reconcile.inventory import believable
from tests.federation.kubernetes.objects import NODE, NODE_UID, held, node, pod, seen

A100 = {
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
    "nvidia.com/gpu.memory": "81920",
    "nvidia.com/gpu.count": "4",
}
SHARED = {**A100, "nvidia.com/gpu.replicas": "4"}


def card(number: int) -> str:
    return f"{NODE_UID}/nvidia.com/gpu/{number}"


def foreign(devices: tuple[DeviceSeen, ...]) -> list[int]:
    return [d.foreign_milli for d in devices]


def test_amounts_are_what_the_node_lets_work_have() -> None:
    shown = seen(node(allocatable={"cpu": "63500m", "memory": "527433728Ki"}))
    assert (shown.name, shown.cpu_milli, shown.memory_mib) == (NODE, 63500, 515072)
    assert (shown.is_ready, shown.message, shown.devices) == (True, "", ())


@pytest.mark.parametrize("info", [{"systemUUID": "4c4c4544-0051"}, {"systemUUID": 7}, {}, None, "text"])
def test_which_machine_it_is_as_its_kubelet_says(info: Any) -> None:
    told = node()
    told["status"]["nodeInfo"] = info
    expected = "4c4c4544-0051" if isinstance(info, dict) and info.get("systemUUID") == "4c4c4544-0051" else ""
    assert node_seen(told, (), (), ()).system_uuid == expected
    assert node_seen(trim_node(told), (), (), ()).system_uuid == expected


def test_what_others_hold_is_foreign_and_what_ours_hold_is_not() -> None:
    theirs = pod("theirs", {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": 1})
    done = pod("done", {"cpu": "4", "nvidia.com/gpu": 1}, phase="Succeeded")
    ours = pod(
        "ours", {"cpu": "16", "memory": "64Gi", "nvidia.com/gpu": 1}, ours=True, granted=[(card(3), 1000, 81920)]
    )
    shown = seen(node({"nvidia.com/gpu": 4}, labels=A100), theirs, done, ours)
    assert (shown.foreign_cpu_milli, shown.foreign_memory_mib) == (4000, 8192)
    assert foreign(shown.devices) == [0, 0, 1000, 0], "the highest that ours do not name"
    assert [d.foreign_memory_mib for d in shown.devices] == [0, 0, 81920, 0]
    assert shown.message == ""


def test_foreign_tokens_of_shared_cards_fill_the_highest_that_ours_do_not_name() -> None:
    theirs = pod("theirs", {"nvidia.com/gpu": 6})
    ours = pod("ours", {"nvidia.com/gpu": 1}, ours=True, granted=[(card(3), 250, 20480)])
    shown = seen(node({"nvidia.com/gpu": 16}, labels=SHARED), theirs, ours)
    assert foreign(shown.devices) == [0, 500, 1000, 0]
    crowd = seen(node({"nvidia.com/gpu": 16}, labels=SHARED), theirs, ours, pod("more", {"nvidia.com/gpu": 9}))
    assert foreign(crowd.devices) == [1000, 1000, 1000, 750], "at last beside ours"
    assert crowd.message == ""


def test_shares_that_do_not_divide_a_thousand_fill_a_card_all_the_same() -> None:
    labels = {**A100, "nvidia.com/gpu.replicas": "3"}
    shown = seen(node({"nvidia.com/gpu": 12}, labels=labels), pod("theirs", {"nvidia.com/gpu": 4}))
    assert foreign(shown.devices) == [0, 0, 334, 1000]


def test_foreign_use_that_fits_nowhere_is_told() -> None:
    ours = pod("ours", ours=True, granted=[(card(0), 1000, 0), (card(1), 1000, 0)])
    shown = seen(node({"nvidia.com/gpu": 2}), pod("theirs", {"nvidia.com/gpu": 1, "amd.com/gpu": 2}), ours)
    assert foreign(shown.devices) == [0, 0]
    assert "foreign work holds 1 of nvidia.com/gpu that no card here has room for" in shown.message
    assert "foreign work holds 2 of amd.com/gpu" in shown.message


def test_unhealthy_cards_come_before_foreign_ones() -> None:
    on = node({"nvidia.com/gpu": 4}, labels=A100, allocatable={"nvidia.com/gpu": 3})
    shown = seen(on, pod("theirs", {"nvidia.com/gpu": 1}))
    assert [(d.health.value, d.foreign_milli) for d in shown.devices] == [
        ("healthy", 0), ("healthy", 0), ("healthy", 1000), ("unhealthy", 0),
    ]  # fmt: skip


def test_foreign_parts_are_the_highest_parts() -> None:
    theirs = pod("theirs", {"nvidia.com/mig-3g.40gb": 1})
    shown = seen(node({"nvidia.com/mig-3g.40gb": 4}, labels=A100), theirs)
    parts = [d for d in shown.devices if d.parent_uuid]
    assert foreign(tuple(parts)) == [0, 0, 0, 1000]
    assert foreign(tuple(d for d in shown.devices if not d.parent_uuid)) == [0] * 4


def test_foreign_amounts_take_their_part_of_a_card() -> None:
    on = node({"cambricon.com/mlu.smlu.vcore": 400, "cambricon.com/mlu.smlu.vmemory": 768, "cambricon.com/vmlu": 40})
    asks = {"cambricon.com/vmlu": 1, "cambricon.com/mlu.smlu.vcore": 30, "cambricon.com/mlu.smlu.vmemory": 40}
    assert foreign(seen(on, pod("theirs", asks)).devices) == [0, 0, 0, 300]


def taint(key: str, effect: str = "NoSchedule") -> dict[str, str]:
    return {"key": key, "value": "present", "effect": effect}


@pytest.mark.parametrize(
    ("given", "is_ready", "told"),
    [
        ({"conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady"}]}, False, "KubeletNotReady"),
        ({"conditions": [{"type": "Ready", "status": "Unknown"}]}, False, "it is not ready (Unknown)"),
        ({"conditions": []}, False, "it has not said that it is ready"),
        ({"unschedulable": True}, False, "No new work: it is cordoned."),
        ({"taints": [taint("dedicated")]}, False, "the taint dedicated:NoSchedule closes it"),
        ({"taints": [taint("node.kubernetes.io/not-ready", "NoExecute")]}, False, "node.kubernetes.io/not-ready"),
        ({"taints": [taint("dedicated", "PreferNoSchedule")]}, True, ""),
        ({"taints": [taint("nvidia.com/gpu"), taint("huawei.com/npu", "NoExecute")]}, True, ""),
        ({"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"},
                         {"type": "PIDPressure", "status": "False"}]}, True, "Under DiskPressure."),
    ],
)  # fmt: skip
def test_whether_new_work_may_go_there(given: dict[str, Any], is_ready: bool, told: str) -> None:
    shown = seen(node(**given))
    assert shown.is_ready is is_ready
    assert told in shown.message
    assert bool(shown.message) is bool(told)


def test_labels_that_matter_are_kept_and_the_rack_is_where_it_is_said() -> None:
    labels = {
        "topology.kubernetes.io/zone": "z1", "topology.kubernetes.io/rack": "r7", "nvidia.com/gpu.clique": "7b.1",
        "example.com/row": "4", "feature.node.kubernetes.io/cpu-cpuid.AVX": "true", "aquifer.io/network": "ib-1",
    }  # fmt: skip
    shown = seen(node(labels=labels))
    assert shown.rack == "r7"
    assert set(shown.labels) == {
        "topology.kubernetes.io/zone", "topology.kubernetes.io/rack", "nvidia.com/gpu.clique", "kubernetes.io/hostname",
        "kubernetes.io/arch", "aquifer.io/network",
    }  # fmt: skip
    other = node_seen(
        node(labels=labels), (), (), (), rack_labels=("none", "example.com/row"), keep=("example.com/row",)
    )
    assert (other.rack, other.labels["example.com/row"]) == ("4", "4")


def test_amounts_that_make_no_sense_are_left_out_and_told() -> None:
    on = node({"nvidia.com/gpu": "many", "amd.com/gpu": "2"}, allocatable={"cpu": "-4"})
    shown = seen(on, pod("theirs", {"cpu": "x", "memory": "1Gi"}))
    assert (shown.cpu_milli, shown.foreign_cpu_milli, shown.foreign_memory_mib) == (0, 0, 1024)
    assert [d.vendor for d in shown.devices] == ["amd", "amd"]
    for told in ("allocatable cpu is not a quantity", "nvidia.com/gpu is not a quantity", "team/theirs: cpu is"):
        assert told in shown.message


def test_many_complaints_are_counted_and_not_all_told() -> None:
    pods = [pod(f"p{n}", {"cpu": "x"}) for n in range(20)]
    message = node_seen(node(), (), (), held(*pods)).message
    assert "and 14 more" in message
    assert len(message) < 1000


def test_ours_without_an_annotation_is_not_foreign() -> None:
    shown = seen(node({"nvidia.com/gpu": 2}), pod("ours", {"nvidia.com/gpu": 1, "cpu": "2"}, ours=True))
    assert foreign(shown.devices) == [0, 0]
    assert shown.foreign_cpu_milli == 0


def test_what_a_site_writes_can_be_stored() -> None:
    """Text that a database does not take would stop the inventory of a whole cluster."""
    resource = "very.long.domain.of.a.vendor.that.nobody.knows.example.com/" + "x" * 63
    shown = seen(node({resource: 2}, labels={"topology.kubernetes.io/rack": "r\x00\ud8001" + "y" * 99}))
    assert shown.rack.startswith("r1y")
    assert len({d.uuid for d in shown.devices}) == 2
    assert all(len(d.uuid) <= 100 and len(d.vendor) <= 32 and len(d.model) <= 64 for d in shown.devices)


def test_the_hub_believes_devices_whose_memory_nobody_knows() -> None:
    shown = seen(node({"mthreads.com/gpu": 8}))
    assert {d.memory_mib for d in shown.devices} == {0}
    assert believable([shown]) == ([shown], [])


def test_positions_are_given_once() -> None:
    shown = seen(node({"nvidia.com/gpu": 4, "amd.com/gpu": 4, "nvidia.com/mig-1g.10gb": 7}, labels=A100))
    assert sorted(d.index for d in shown.devices) == list(range(len(shown.devices)))
