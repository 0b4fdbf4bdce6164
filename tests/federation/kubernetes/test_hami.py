"""HAMi: cards by their UUIDs, and what pods hold of them."""

import json
from typing import Any

import pytest

from federation.drivers.base import Health
from federation.drivers.kubernetes.hami import allocated
from tests.federation.kubernetes.objects import NODE, NODE_UID, node, pod, seen

# docs/develop/protocol.md of HAMi: nine fields, or seven from older plugins.
V100 = "GPU-00552014-5c87-89ac-b1a6-7b53aa24b0ec"
V100_B = "GPU-0fc3eda5-e98b-a25b-5b0d-cf5c855d1448"
NINE = (
    f"{V100},10,32768,100,NVIDIA-Tesla V100-PCIE-32GB,0,true,0,hami-core:"
    f"{V100_B},10,32768,100,NVIDIA-Tesla V100-PCIE-32GB,1,false,1,hami-core:"
)
SEVEN = (
    f"{V100},10,32768,100,NVIDIA-Tesla V100-PCIE-32GB,0,true:{V100_B},10,32768,100,NVIDIA-Tesla V100-PCIE-32GB,1,false:"
)
JSON = json.dumps([
    {"id": V100, "count": 10, "devmem": 32768, "devcore": 100, "type": "NVIDIA-Tesla V100-PCIE-32GB",
     "mode": "hami-core", "health": True},
    {"id": V100_B, "index": 1, "count": 10, "devmem": 32768, "devcore": 100, "type": "NVIDIA-Tesla V100-PCIE-32GB",
     "numa": 1, "mode": "hami-core"},
])  # fmt: skip


@pytest.mark.parametrize("register", [NINE, SEVEN, JSON], ids=["nine", "seven", "json"])
def test_split_cards_are_cards_with_their_uuids(register: str) -> None:
    shown = seen(node({"nvidia.com/gpu": 20}, annotations={"hami.io/node-nvidia-register": register}))
    first, second = shown.devices
    assert (first.uuid, second.uuid) == (V100, V100_B)
    assert (first.index, second.index, first.numa, second.numa) == (0, 1, 0, 1)
    assert (first.health, second.health) == (Health.HEALTHY, Health.UNHEALTHY)
    assert (first.vendor, first.model, first.memory_mib) == ("nvidia", "V100M32", 32768)
    assert (first.mode, first.step_milli, first.most_shares, first.is_identified) == ("sliced", 0, 10, True)
    assert first.resource == "nvidia.com/gpu"
    assert shown.message == ""


def test_memory_that_is_promised_twice_is_there_once() -> None:
    register = json.dumps([{"id": "GPU-1", "count": 10, "devmem": 163840, "devcore": 200, "health": True,
                            "type": "NVIDIA-NVIDIA A100-SXM4-80GB"}])  # fmt: skip
    on = node({"nvidia.com/gpu": 10}, annotations={"hami.io/node-nvidia-register": register})
    work = pod("theirs", annotations={"hami.io/vgpu-devices-allocated": "GPU-1,NVIDIA,81920,30:;"})
    (card,) = seen(on, work).devices
    assert (card.model, card.memory_mib) == ("A100-80G", 81920)
    assert (card.foreign_milli, card.foreign_memory_mib) == (300, 40960)


def test_a_card_of_less_memory_than_the_catalogue_says_has_less() -> None:
    register = json.dumps([{"id": "ID-1", "count": 4, "devmem": 32768, "devcore": 20, "health": True,
                            "type": "Ascend910B4"}])  # fmt: skip
    (card,) = seen(node(annotations={"hami.io/node-register-Ascend910B4": register})).devices
    assert (card.model, card.memory_mib, card.mode, card.resource) == (
        "910B", 32768, "partitioned", "huawei.com/Ascend910B4",
    )  # fmt: skip


ROWS: list[tuple[str, str, tuple[str, str, int, str, int, str]]] = [
    ("hami.io/node-amd-register",
     '[{"id":"8eff74b5-0000-1000-801b-b56457addd1b","index":0,"count":10,"devmem":196288,"devcore":304,'
     '"type":"AMD Instinct MI300X VF","numa":0,"health":true,"mode":"hami-core"}]',
     ("amd", "MI300X", 196288, "sliced", 10, "amd.com/gpu")),
    ("hami.io/node-register-Ascend310P",
     '[{"id":"A1B2","index":0,"count":7,"devmem":21527,"devcore":8,"type":"Ascend310P","health":true}]',
     ("ascend", "310P", 21527, "partitioned", 7, "huawei.com/Ascend310P")),
    ("hami.io/node-dcu-register", "TPXS300002100601,4,65536,60,DCU-K100_AI,0,true,0,hami-core:",
     ("hygon", "K100", 65536, "sliced", 4, "hygon.com/dcunum")),
    ("hami.io/node-BI-V150-register", "GPU-aa,100,32768,100,Iluvatar-BI-V150,0,true:",
     ("iluvatar", "BI-V150", 32768, "sliced", 100, "iluvatar.ai/BI-V150-vgpu")),
    ("hami.io/node-register-xpu",
     '[{"id":"XPU-1","index":0,"count":4,"devmem":98304,"devcore":100,"type":"P800","health":true}]',
     ("kunlunxin", "P800", 98304, "partitioned", 4, "kunlunxin.com/vxpu")),
    ("metax-tech.com/node-gpu-devices",
     '[{"uuid":"GPU-mx-1","bdf":"0000:1a:00.0","model":"MXC500","totalDevCount":16,"totalCompute":100,'
     '"totalVRam":65536,"numa":1,"healthy":true,"qosPolicy":"best-effort"}]',
     ("metax", "C500", 65536, "sliced", 16, "metax-tech.com/sgpu")),
]  # fmt: skip


@pytest.mark.parametrize(("key", "register", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_every_vendor_with_an_annotation(
    key: str, register: str, expected: tuple[str, str, int, str, int, str]
) -> None:
    (card,) = seen(node(annotations={key: register})).devices
    assert (card.vendor, card.model, card.memory_mib, card.mode, card.most_shares, card.resource) == expected
    assert card.health is Health.HEALTHY


def test_cards_in_parts_that_hami_makes_itself_are_given_whole() -> None:
    register = NINE.replace("hami-core", "mig")
    shown = seen(node(annotations={"hami.io/node-nvidia-register": register}))
    assert {(d.mode, d.step_milli, d.most_shares) for d in shown.devices} == {("partitioned", 1000, 1)}


def test_mps_shares_evenly_and_a_count_of_one_is_a_whole_card() -> None:
    mps = seen(node(annotations={"hami.io/node-nvidia-register": NINE.replace("hami-core", "mps")}))
    assert {(d.mode, d.step_milli, d.most_shares) for d in mps.devices} == {("shared", 100, 10)}
    one = seen(node(annotations={"hami.io/node-nvidia-register": NINE.replace(",10,", ",1,")}))
    assert {(d.mode, d.step_milli, d.most_shares) for d in one.devices} == {("exclusive", 1000, 0)}


def test_cards_of_a_plugin_that_is_gone_are_in_doubt() -> None:
    notes = {"hami.io/node-nvidia-register": NINE, "hami.io/node-handshake": "Deleted_2024-01-23 04:30:04"}
    shown = seen(node(annotations=notes))
    assert {d.health for d in shown.devices} == {Health.UNKNOWN}
    assert "HAMi has lost the device plugin of nvidia" in shown.message


@pytest.mark.parametrize("register", ["", "x", "[{", '[{"id": 3}, 4]', "a,b,c:", f"{NINE}broken,1:", '{"id": "x"}'])
def test_an_annotation_that_cannot_be_read_is_told(register: str) -> None:
    shown = seen(node(annotations={"hami.io/node-nvidia-register": register}))
    assert len(shown.devices) == (2 if register.startswith(NINE) else 0)
    if register:
        assert "hami.io/node-nvidia-register cannot be read in full" in shown.message


# -- what pods hold ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "inits", "containers", "held"),
    [
        ("U1,NVIDIA,3000,30:;U1,NVIDIA,5000,20:;", [], 2, {"U1": (50, 8000)}),
        ("U1,NVIDIA,3000,30:U2,NVIDIA,3000,30:;;", [], 2, {"U1": (30, 3000), "U2": (30, 3000)}),
        # An init container, a sidecar and the main container: the first is over when the third begins.
        ("U1,NVIDIA,9000,90:;U1,NVIDIA,1000,10:;U1,NVIDIA,2000,20:;", [False, True], 1, {"U1": (90, 9000)}),
        ("U1,NVIDIA,1000,10:;U1,NVIDIA,1000,10:;U1,NVIDIA,2000,20:;", [False, True], 1, {"U1": (30, 3000)}),
        ("U1[0-2],NVIDIA,10240,14:;", [], 1, {"U1": (14, 10240)}),
        ("", [], 1, {}),
    ],
)
def test_what_a_pod_holds(text: str, inits: list[bool], containers: int, held: dict[str, tuple[int, int]]) -> None:
    assert allocated(text, inits, containers) == (held, True)


@pytest.mark.parametrize("text", ["U1,NVIDIA,3000:;", ",NVIDIA,1,1:;", "U1,NVIDIA,-1,1:;", "U1,NVIDIA,x,1:;"])
def test_a_holding_that_cannot_be_read_is_left_out_and_told(text: str) -> None:
    assert allocated(text, [], 1) == ({}, False)
    on = node(annotations={"hami.io/node-nvidia-register": NINE})
    assert "cannot be read in full" in seen(on, pod(annotations={"hami.io/vgpu-devices-allocated": text})).message


def test_foreign_slices_are_on_their_cards_and_counted_once() -> None:
    on = node({"nvidia.com/gpu": 20}, annotations={"hami.io/node-nvidia-register": NINE})
    asks = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 8192, "nvidia.com/gpucores": 25}
    theirs = pod("theirs", asks, annotations={"hami.io/vgpu-devices-allocated": f"{V100_B},NVIDIA,8192,25:;"})
    ours = pod("ours", asks, ours=True, annotations={"hami.io/vgpu-devices-allocated": f"{V100},NVIDIA,8192,25:;"})
    first, second = seen(on, theirs, ours).devices
    assert (first.foreign_milli, first.foreign_memory_mib) == (0, 0)
    assert (second.foreign_milli, second.foreign_memory_mib) == (250, 8192)


def test_work_without_a_limit_of_cores_counts_by_its_memory() -> None:
    on = node(annotations={"hami.io/node-nvidia-register": NINE})
    first = seen(on, pod(annotations={"hami.io/vgpu-devices-allocated": f"{V100},NVIDIA,3000,0:;"})).devices[0]
    assert (first.foreign_milli, first.foreign_memory_mib) == (92, 3000)


def test_cores_are_in_the_cards_own_units() -> None:
    key, register, _ = ROWS[0]
    work = pod(annotations={"hami.io/amd-devices-allocated": "8eff74b5-0000-1000-801b-b56457addd1b,AMD,98304,152:;"})
    (card,) = seen(node(annotations={key: register}), work).devices
    assert card.foreign_milli == 500


@pytest.mark.parametrize(
    ("resources", "annotation", "name", "milli", "memory"),
    [
        ({"cambricon.com/mlu.smlu.vcore": 400, "cambricon.com/mlu.smlu.vmemory": 768},
         "hami.io/cambricon-mlu-devices-allocated", f"{NODE}-cambricon-mlu-2,MLU,24576,40:;", 400, 24576),
        ({"mthreads.com/sgpu-core": 64, "mthreads.com/sgpu-memory": 384}, "hami.io/mthreads-vgpu-devices-allocated",
         f"{NODE}-mthreads-2,Mthreads,16384,4:;", 250, 16384),
        ({"metax-tech.com/gpu": 4}, "hami.io/metax-gpu-devices-allocated",
         f"{NODE}-metax-2,Metax-GPU,65536,100:;", 1000, 0),
        ({"kunlunxin.com/xpu": 4}, "hami.io/kunlun-allocated", f"{NODE}-kunlun-2,kunlun,98304,100:;", 1000, 0),
    ],
)  # fmt: skip
def test_cards_that_hami_names_by_node_and_position(
    resources: dict[str, int], annotation: str, name: str, milli: int, memory: int
) -> None:
    shown = seen(node(resources), pod(annotations={annotation: name}))
    assert [(d.foreign_milli, d.foreign_memory_mib) for d in shown.devices] == [
        (0, 0), (0, 0), (milli, memory), (0, 0),
    ]  # fmt: skip
    assert not any(d.is_identified for d in shown.devices)


def test_a_foreign_pod_that_went_round_hami_takes_a_whole_card_that_ours_do_not_hold() -> None:
    on = node({"nvidia.com/gpu": 20}, annotations={"hami.io/node-nvidia-register": NINE})
    ours = pod("ours", ours=True, granted=[(V100_B, 500, 16384)])
    first, second = seen(on, pod("theirs", {"nvidia.com/gpu": 1}), ours).devices
    assert (first.foreign_milli, second.foreign_milli) == (1000, 0)


def test_more_than_a_card_has_is_told() -> None:
    on = node(annotations={"hami.io/node-nvidia-register": NINE})
    note = {"hami.io/vgpu-devices-allocated": f"{V100},NVIDIA,20000,60:;"}
    shown = seen(on, pod("one", annotations=note), pod("two", annotations=note))
    assert (shown.devices[0].foreign_milli, shown.devices[0].foreign_memory_mib) == (1000, 32768)
    assert f"foreign work holds more of {V100} than there is" in shown.message


def test_a_card_with_as_many_holders_as_it_may_have_is_full() -> None:
    on = node(annotations={"hami.io/node-nvidia-register": NINE.replace(",10,", ",2,")})
    pods = [pod(n, annotations={"hami.io/vgpu-devices-allocated": f"{V100},NVIDIA,1000,1:;"}) for n in ("one", "two")]
    assert [d.foreign_milli for d in seen(on, pods[0]).devices] == [10, 0]
    full = seen(on, *pods).devices[0]
    assert (full.foreign_milli, full.foreign_memory_mib) == (1000, 2000)


def test_a_holding_of_a_card_that_is_not_seen_is_told() -> None:
    on = node(annotations={"hami.io/node-nvidia-register": NINE})
    shown = seen(on, pod("theirs", annotations={"hami.io/vgpu-devices-allocated": "GPU-gone,NVIDIA,1,1:;"}))
    assert "team/theirs holds GPU-gone, which is not seen" in shown.message


def test_ascend_pods_name_their_devices_by_position() -> None:
    theirs: dict[str, Any] = pod(
        "theirs", {"huawei.com/Ascend910": 2}, annotations={"huawei.com/AscendReal": "Ascend910-0,Ascend910-3"}
    )
    shown = seen(node({"huawei.com/Ascend910": 4}), theirs)
    assert [d.foreign_milli for d in shown.devices] == [1000, 0, 0, 1000]
    assert shown.devices[0].uuid == f"{NODE_UID}/huawei.com/Ascend910/0"
