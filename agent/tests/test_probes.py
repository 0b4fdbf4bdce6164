"""What each vendor's tool printed somewhere, and what the probe makes of it. Sources are in the outputs' heads."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from agentsite import wait_for
from aquifer_agent import probes, processes
from aquifer_agent.probes import (
    amd,
    ascend,
    cambricon,
    enflame,
    hygon,
    iluvatar,
    intel,
    kunlunxin,
    metax,
    moore_threads,
    nvidia_smi,
    texts,
    tools,
)
from aquifer_agent.probes.types import Device, Figure, Pair
from outputs_of import OUTPUTS, json_of, output_of, tool


def facts(pairs: Iterable[Pair]) -> list[tuple[Any, ...]]:
    return [(d.uuid, d.model, d.memory_mib, d.health) for d, _ in pairs]


def figures(pairs: Iterable[Pair]) -> list[tuple[Any, ...]]:
    return [(f.busy_percent, f.memory_used_mib, f.power_watts, f.temperature_celsius) for _, f in pairs]


def test_every_recorded_output_names_its_source() -> None:
    files = [path for path in OUTPUTS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == set(probes.PROBES)
    assert [str(p) for p in files if "\n# Source: " not in "\n" + p.read_text()[:600]] == []


def test_ascend() -> None:
    chips = ascend.summary(output_of("ascend/info-910b.txt"))
    assert [(npu, chip) for npu, chip, *_ in chips] == [("0", "0"), ("1", "0")]
    pairs = [(device, figure) for *_, device, figure in chips]
    assert facts(pairs) == [
        ("0000:5a:00.0", "910B2C", 65536, "healthy"), ("0000:29:00.0", "910B2C", 65536, "healthy"),
    ]  # fmt: skip
    assert figures(pairs) == [(0, 3317, 89.9, 53), (0, 3316, 93.8, 53)]


def test_ascend_of_two_dies() -> None:
    chips = ascend.summary(output_of("ascend/info-two-dies.txt"))
    assert [(npu, chip, d.uuid, f.power_watts) for npu, chip, d, f in chips] == [
        ("0", "0", "0000:9d:00.0", 157.3), ("0", "1", "0000:9f:00.0", None),
    ]  # fmt: skip


def test_an_ascend_that_warns_works_and_one_that_alarms_does_not() -> None:
    text = output_of("ascend/info-910b.txt").replace("OK    ", "Alarm ", 1)
    assert [device.health for *_, device, _ in ascend.summary(text)] == ["unhealthy", "healthy"]
    text = output_of("ascend/info-910b.txt").replace("OK     ", "Warning", 1)
    assert [device.health for *_, device, _ in ascend.summary(text)] == ["healthy", "healthy"]


def test_cambricon() -> None:
    pairs = cambricon.parse(output_of("cambricon/cnmon.txt"))
    assert facts(pairs) == [
        ("0000:13:00.0", "MLU370-X8", 20638, "healthy"), ("0000:16:00.0", "MLU370-X8", 20638, "healthy"),
    ]  # fmt: skip
    assert figures(pairs) == [(0, 0, 107, 28), (0, 0, 107, 32)]
    assert not pairs[0][0].is_identified
    sick = output_of("cambricon/cnmon.txt").replace("0%                  0 |", "0%                 12 |", 1)
    assert [d.health for d, _ in cambricon.parse(sick)] == ["unhealthy", "healthy"]
    assert facts(cambricon.parse(output_of("cambricon/cnmon-without-ecc.txt"))) == [
        ("0000:39:00.0", "MLU370-X8", 23374, "healthy")
    ]


def test_enflame() -> None:
    new, old = (enflame.parse(output_of(f"enflame/q-{version}.txt")) for version in ("1.4", "1.2"))
    assert facts(new) == [("TR6Y46010302", "S60", 42976, "healthy")]
    assert figures(new) == [(0, 0, 96, 35)]
    assert facts(old) == [("TR1V57100501", "S60", 42976, "healthy")]
    assert figures(old) == [(0, 1129, 102, 41)]
    for bad in ("Health                  : False", "Total DBE               : 3"):
        name = bad.split(":")[0]
        text = "\n".join(
            bad if line.strip().startswith(name.strip()) else line
            for line in output_of("enflame/q-1.4.txt").splitlines()
        )
        assert [d.health for d, _ in enflame.parse(text)] == ["unhealthy"], bad


def test_hygon_with_its_commas_missing() -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(output_of("hygon/all.json"))
    pairs = hygon.parse(output_of("hygon/all.json"))
    assert facts(pairs) == [("card0", "BW", 65520, "healthy"), ("card1", "BW", 65520, "healthy")]
    assert figures(pairs) == [(0, 64169, 91, 57), (0, 64104, 84, 54)]
    assert not pairs[0][0].is_identified, "without --showuniqueid nobody knows which card this is"


def test_iluvatar_by_its_table_and_by_a_query() -> None:
    pairs = iluvatar.parse_table(output_of("iluvatar/table.txt"))
    assert facts(pairs) == [
        ("0000:10:00.0", "BI-V150", 32768, "healthy"),
        ("0000:13:00.0", "BI-V150", 32768, "healthy"),
    ]
    assert figures(pairs) == [(0, 64, None, 40), (0, 64, 104, 39)]
    # The query's answer is of the shape of nvidia-smi's; no recorded one could be found.
    asked = iluvatar.parse_query("0, GPU-x, Iluvatar BI-V150, 00000000:10:00.0, 32768, 64, 5, 40, [N/A]\n")
    assert (facts(asked), figures(asked)) == ([("GPU-x", "BI-V150", 32768, "healthy")], [(5, 64, None, 40)])
    assert iluvatar.parse_query("Field gpu_bus_id is not valid\n") == []


def test_intel() -> None:
    (listed,) = json_of("intel/discovery.json")["device_list"]
    pair = intel.card({**listed, **json_of("intel/discovery-0.json")}, json_of("intel/stats-0.json"))
    assert facts([pair]) == [("00000000-0000-0000-0000-020a00008086", "Graphics [0xe211]", 24480, "healthy")]
    assert figures([pair]) == [(None, 8107, 63.26, 37)]
    assert figures([intel.card(listed, {})]) == [(None, None, None, None)]


def test_kunlunxin() -> None:
    pairs = kunlunxin.parse(output_of("kunlunxin/machine.txt"))
    assert facts(pairs) == [
        ("02K15K624CV00304/0", "P800", 98304, "healthy"), ("02K15K624CV0030V/1", "P800", 98304, "healthy"),
    ]  # fmt: skip
    assert figures(pairs) == [(0, 90440, 86, 36), (0, 90440, 86, 39)]
    assert kunlunxin.parse('XPU-SMI\n\nnot a row "\n') == []


@pytest.mark.parametrize(
    ("name", "fact", "figure"),
    [
        ("2.1", ("0000:2a:00.0", "MXC550", 65536, "healthy"), (0, 810, 44, 31)),
        ("2.2", ("0000:01:00.0", "C500", 65536, "healthy"), (0, 858, 48, 45)),
        ("2.3", ("0000:98:00.0", "Mars X201", 65536, "healthy"), (0, 858, 38, 44)),
    ],
)
def test_metax_draws_its_table_in_three_ways(name: str, fact: tuple[Any, ...], figure: tuple[Any, ...]) -> None:
    pairs = metax.parse(output_of(f"metax/table-{name}.txt"))
    assert (facts(pairs)[0], figures(pairs)[0]) == (fact, figure)


def test_metax_lists_uuids_and_states() -> None:
    assert metax.listing(output_of("metax/list.txt")) == {
        "0000:08:00.0": ("GPU-e702f06b-bbd6-bc06-5196-90a5554a24ba", "healthy"),
        "0000:3c:00.0": ("GPU-0e715b45-bcef-1500-e2db-752724095700", "unhealthy"),
    }


def test_moore_threads() -> None:
    pairs = moore_threads.parse(output_of("moore-threads/table.txt"))
    assert (facts(pairs), figures(pairs)) == ([("0000:18:00.0", "S5000", 81920, "healthy")], [(0, 0, None, 47)])
    old = moore_threads.parse(output_of("moore-threads/table-1.12.txt"))
    assert (facts(old), figures(old)) == ([("0000:08:00.0", "S4000", 32768, "healthy")], [(88, 44302, None, 65)])
    assert moore_threads.uuids("GPU0 00000000:18:00.0\n    Product Name : MTT S5000\n    GPU UUID : abc-1\n") == {
        0: "abc-1"
    }


def test_amd_by_amd_smi() -> None:
    said = json_of("amd/mi355x.json")
    pairs = amd.parse(*(json.dumps(said[name]) for name in ("static", "metric", "list")))
    assert facts(pairs) == [("11111111-0000-1000-8000-000000000001", "MI355X", 294896, "healthy")]
    assert figures(pairs) == [(0, 283, 239, 36)]
    (bare,) = amd.parse(output_of("amd/static.json"), "[]")
    assert facts([bare]) == [("gpu0", "MI210", 65520, "healthy")]
    assert not bare[0].is_identified


def test_amd_in_compute_partitions_is_told_in_parts() -> None:
    static = [
        {"gpu": g, "bus": {"bdf": f"0000:05:00.{g}"}, "asic": {"market_name": "AMD Instinct MI300X"}, "vram": {}}
        for g in (0, 1)
    ]
    modes = {"current_partition": [{"gpu_id": g, "accelerator_type": "CPX"} for g in (0, 1)]}
    pairs = amd.parse(json.dumps(static), "[]", "[]", json.dumps(modes))
    assert [(d.uuid, d.model, d.parent_uuid) for d, _ in pairs] == [
        ("amd/0000:05:00", "MI300X", ""),
        ("0000:05:00.0", "MI300X/cpx", "amd/0000:05:00"),
        ("0000:05:00.1", "MI300X/cpx", "amd/0000:05:00"),
    ]
    mixed = amd.parse(json.dumps(static), "[]", "[]", output_of("amd/partition.json"))
    assert [d.parent_uuid for d, _ in mixed] == ["", "", "amd/0000:05:00"]


def test_amd_by_rocm_smi() -> None:
    pairs = amd.parse_rocm(output_of("amd/rocm.json"))
    assert facts(pairs) == [("card0", "0x7551", 32624, "healthy"), ("card1", "GPU", 4096, "healthy")]
    assert figures(pairs) == [(3, 27871, 19, 36), (0, 69, 12.134, 39)]


def test_nvidia_smi_with_a_part() -> None:
    names = nvidia_smi.listing(output_of("nvidia/list.txt"))
    assert len(names) == 3
    card, part = nvidia_smi.parse(output_of("nvidia/mig.xml").strip(), names)
    assert facts([card, part]) == [
        ("GPU-9c73eb7b-8d6d-6c0e-dc13-97873e2ede40", "A100-80G", 81920, "healthy"),
        ("MIG-a686709d-6dc2-542a-8851-0d2508448c10", "A100-80G/3g.40gb", 40448, "healthy"),
    ]
    assert (card[0].mode, part[0].mode, part[0].parent_uuid) == ("partitioned", "partitioned", card[0].uuid)
    assert figures([card, part]) == [(None, None, 61.2, 34), (None, 298, None, None)]
    with pytest.raises(tools.ToolFailed, match="no XML"):
        nvidia_smi.parse("NVIDIA-SMI has failed", {})


# Running a tool


def test_a_tool_that_hangs_is_killed_with_all_it_started(tmp_path: Path) -> None:
    tool(tmp_path, "hangs", "sleep 300 & echo $! > $0.pid; sleep 300")
    with pytest.raises(tools.ToolFailed, match=r"did not answer within 0\.3 s"):
        tools.Tool("hangs", str(tmp_path / "hangs")).run(seconds=0.3)
    child = int((tmp_path / "hangs.pid").read_text())
    wait_for(lambda: (seen := processes.table().get(child)) is None or seen.is_dead)


def test_a_tool_that_never_stops_talking_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "MOST_BYTES", 1 << 20)
    with pytest.raises(tools.ToolFailed, match="more than 1 MiB"):
        tools.Tool("talks", str(tool(tmp_path, "talks", "exec yes"))).run()


def test_a_tool_that_fails_is_quoted(tmp_path: Path) -> None:
    path = tool(tmp_path, "fails", "echo; echo 'dcmi module initialize failed. ret is -8005'; exit 12")
    with pytest.raises(tools.ToolFailed, match=r"fails info failed \(12\): dcmi module initialize failed"):
        tools.Tool("fails", str(path)).run("info")


class Script:
    """A `read` that does what it is told next."""

    def __init__(self) -> None:
        self.now, self.reads = 0.0, 0
        self.answer: list[Pair] | Exception = []

    def read(self) -> list[Pair]:
        self.reads += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def probe(self, tmp_path: Path) -> tools.ToolProbe:
        here = tools.Tool("x-smi", str(tool(tmp_path, "x-smi", "true")))
        return tools.ToolProbe([here], self.read, clock=lambda: self.now)


def pair(uuid: str, parent: str = "") -> Pair:
    return Device(uuid, "x", "X", 1, parent_uuid=parent), Figure(uuid, 1.0)


def test_a_tool_is_asked_now_and_then_and_what_it_lost_is_unhealthy(tmp_path: Path) -> None:
    script = Script()
    probe = script.probe(tmp_path)
    script.answer = [pair("a"), pair("a/1", "a"), pair("b")]
    assert [d.uuid for d, _ in probe()] == ["a", "a/1", "b"]
    script.now = 5
    list(probe())
    assert script.reads == 1
    script.now, script.answer = 11, [pair("b")]
    assert sorted((d.uuid, d.health, f.busy_percent) for d, f in probe()) == [
        ("a", "unhealthy", None), ("b", "healthy", 1.0),
    ], "a card stays, its part may go"  # fmt: skip
    script.now, script.answer = 22, [pair("a"), pair("b")]
    assert {d.health for d, _ in probe()} == {"healthy"}


def test_of_a_tool_that_fails_nobody_knows_and_it_is_left_alone_for_a_while(tmp_path: Path) -> None:
    script = Script()
    probe = script.probe(tmp_path)
    script.answer = [pair("a")]
    list(probe())
    script.now, script.answer = 11, tools.ToolFailed("x-smi did not answer within 8 s.")
    seen: list[Pair] = []
    with pytest.raises(tools.ToolFailed, match="did not answer"):
        list(probe())
    with pytest.raises(tools.ToolFailed, match="did not answer"):
        for one in probe():
            seen.append(one)
    assert [(d.uuid, d.health) for d, _ in seen] == [("a", "unknown")]
    assert script.reads == 2
    script.now, script.answer = 72, [pair("a")]
    assert [d.health for d, _ in probe()] == ["healthy"]


def test_without_any_tool_there_are_no_devices_and_no_complaint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for vendor, probe in probes.PROBES.items():
        if vendor != "nvidia":
            assert list(probe()) == [], vendor


def test_two_makers_tools_of_one_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, "xpu-smi", "true")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(texts, "PCI_DEVICES", tmp_path / "devices")
    (tmp_path / "devices" / "0000:03:00.0").mkdir(parents=True)
    vendor = tmp_path / "devices" / "0000:03:00.0" / "vendor"
    for said, theirs, ours in (("0x1d22", True, False), ("0x8086", False, True)):
        vendor.write_text(said + "\n")
        assert ((kunlunxin.SAME_NAME.path() is not None), (intel.XPU_SMI.path() is not None)) == (theirs, ours)


def test_the_numa_node_is_the_kernels_word_on_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "PCI_DEVICES", tmp_path)
    (tmp_path / "0000:5a:00.0").mkdir()
    (tmp_path / "0000:5a:00.0" / "numa_node").write_text("1\n")
    assert texts.numa_of(texts.pci("00000000:5A:00.0")) == 1
    (tmp_path / "0000:5a:00.0" / "numa_node").write_text("-1\n")
    assert texts.numa_of("0000:5a:00.0") is None
    assert texts.numa_of(None) is None
