"""The small parts: log text, probes, limits."""

import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from agentsite import Site
from aquifer_agent import cgroups, files, limits, logs, probes
from aquifer_agent.limits import Group, LimitKind
from aquifer_agent.machine import system_uuid
from aquifer_agent.probes import nvidia, nvidia_names
from fakehub import FakeHub


def test_log_text_is_never_split_inside_a_character(tmp_path: Path) -> None:
    log = tmp_path / "log"
    whole = "aé漢😀" * 50
    log.write_bytes(whole.encode())
    for limit in (4, 5, 7, 1000):
        text, offset = "", 0
        while piece := logs.read_text(log, offset, limit, is_ended=False)[0]:
            text, offset = text + piece, offset + len(piece.encode())
        assert text == whole
    log.write_bytes("ok漢".encode()[:-1])
    assert logs.read_text(log, 0, 100, is_ended=False) == ("ok", 2)  # the rest may follow
    assert logs.read_text(log, 0, 100, is_ended=True) == ("ok??", 4)  # it will not
    assert logs.read_text(tmp_path / "none", 0, 100, is_ended=True) == ("", 0)


def test_log_text_is_as_long_as_the_bytes_it_stands_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for raw in (b"\xff\xfe\x00a", bytes(range(256)) * 3, "漢".encode()[1:] + b"x", b"\xf0\x9f\x98" + b"abc"):
        log.write_bytes(raw)
        text, size = logs.read_text(log, 0, 10_000, is_ended=True)
        assert size == len(raw) == len(text.encode())
        assert "\0" not in text  # databases refuse it


def test_the_record_of_an_end_fits_its_room_and_a_claim_is_given_once(tmp_path: Path) -> None:
    record = {"exit_code": 1, "message": "漢" * 9000}
    (tmp_path / "exit").write_bytes(files.padded_json(record, 4096))
    assert (tmp_path / "exit").stat().st_size == 4096
    assert (files.read_json(tmp_path / "exit") or {})["exit_code"] == 1
    assert [files.claim_json(tmp_path / "claim", {"who": who}) for who in "ab"] == [True, False]
    assert files.read_json(tmp_path / "claim") == {"who": "a"}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["claim", "exit"]


class NVMLError(Exception):
    pass


def _fake_nvml(cards: list[dict[str, Any]]) -> types.ModuleType:
    def ask(name: str) -> Any:
        def answer(card: dict[str, Any], *_: Any) -> Any:
            if card.get("lost") or name not in card:
                raise NVMLError(name)
            return card[name]

        return answer

    nvml = types.ModuleType("pynvml")
    vars(nvml).update(
        NVMLError=NVMLError,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: len(cards),
        nvmlDeviceGetHandleByIndex=lambda index: cards[index],
    )
    names = ("UUID", "Name", "MemoryInfo", "UtilizationRates", "PowerUsage", "Temperature", "PciInfo", "Serial")
    for name in (*names, "RemappedRows", "RetiredPagesPendingStatus"):
        setattr(nvml, f"nvmlDeviceGet{name}", ask(name))
    return nvml


def test_nvidia_cards_are_seen_also_when_one_falls_off_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = types.SimpleNamespace(total=81920 << 20, used=1024 << 20)
    card = {"UUID": "GPU-1", "Name": "NVIDIA A100-SXM4-80GB", "MemoryInfo": memory}
    card |= {"UtilizationRates": types.SimpleNamespace(gpu=37), "PowerUsage": 251_500, "Temperature": 61}
    card |= {"Serial": b"1650422007", "PciInfo": types.SimpleNamespace(busId=b"00000000:65:00.0")}
    sick = {"UUID": b"GPU-2", "Name": b"Tesla T4", "MemoryInfo": types.SimpleNamespace(total=15360 << 20, used=0)}
    sick |= {"RemappedRows": (0, 1, 0, 1)}
    monkeypatch.setitem(sys.modules, "pynvml", _fake_nvml([card, sick]))
    monkeypatch.setattr(nvidia, "_nvml", None)
    monkeypatch.setattr(nvidia, "_known", {})
    sight = probes.look()
    assert sight.problems == []
    assert [(d["index"], d["uuid"], d["model"], d["memory_mib"], d["health"]) for d in sight.devices] == [
        (0, "GPU-1", "A100-80G", 81920, "healthy"),
        (1, "GPU-2", "T4", 15360, "unhealthy"),
    ]
    assert [(d.get("serial"), d.get("pci")) for d in sight.devices] == [("1650422007", "0000:65:00.0"), (None, None)]
    first, second = sight.figures
    assert (first["busy_percent"], first["memory_used_mib"], first["power_watts"]) == (37, 1024, 251.5)
    assert (second["busy_percent"], second["temperature_celsius"]) == (None, None)
    card["lost"] = True
    sight = probes.look()
    assert [(d["uuid"], d["health"]) for d in sight.devices] == [("GPU-1", "unhealthy"), ("GPU-2", "unhealthy")]
    assert sight.figures[0]["busy_percent"] is None


def test_without_nvml_there_are_no_devices_and_no_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(nvidia, "_nvml", None)
    monkeypatch.setattr(nvidia, "_known", {})
    assert probes.look() == probes.Sight()


@pytest.mark.parametrize(
    ("told", "kept"), [("4C4C4544-0051-3510\n", "4c4c4544-0051-3510"), ("\xff" * 90, "\ufffd" * 64), (None, "")]
)
def test_the_system_uuid_is_as_the_firmware_says(tmp_path: Path, told: str | None, kept: str) -> None:
    if told is not None:
        (tmp_path / "product_uuid").write_text(told, encoding="latin-1")
    assert system_uuid(str(tmp_path / "product_uuid")) == kept


@pytest.mark.parametrize(
    ("product", "memory_mib", "name"),
    [
        ("NVIDIA H200", 143771, "H200"),
        ("NVIDIA H100 80GB HBM3", 81559, "H100"),
        ("NVIDIA H100 PCIe", 81559, "H100 PCIe"),
        ("NVIDIA A100-SXM4-40GB", 40536, "A100-40G"),
        ("NVIDIA A100 80GB PCIe", 81920, "A100-80G"),
        ("Tesla V100-SXM2-16GB", 16160, "V100M16"),
        ("Tesla P100-PCIE-12GB", 12193, "P100-PCIE-12GB"),
        ("Tesla T4", 15109, "T4"),
        ("NVIDIA GeForce  RTX 4090", 24564, "RTX 4090"),
    ],
)
def test_models_have_the_names_of_quotas_and_prices(product: str, memory_mib: int, name: str) -> None:
    assert nvidia_names.model_name(product, memory_mib) == name


def test_memory_is_limited_where_the_kernel_lets_us(hub: FakeHub, site: Site) -> None:
    kind = cgroups.detect("auto", site.state_dir).kind
    if kind == LimitKind.RLIMIT:
        pytest.skip("no cgroup can be made here")
    eat = "import subprocess, sys\nx = [bytearray(8 << 20) for _ in range(100)]\nprint('never')"
    hub.want("eats", "python3", "-c", eat, memory_mib=64)
    hub.want("many", "sh", "-c", "nproc; cat /proc/self/cgroup", memory_mib=64)
    site.start()
    work = hub.wait_state("eats", "failed")
    assert work["reason"] == "OutOfMemory" and "64 MiB" in work["message"]
    hub.wait_state("many", "succeeded")
    hub.wait(lambda: f"/{site.group_name}/many" in hub.logs.get("many", ""))
    assert hub.reports[0]["inventory"]["labels"]["aquifer.io/limits"] == kind
    groups = site.groups("eats")
    hub.want_absent("eats")
    hub.wait_gone("eats")
    assert groups and not any(os.path.exists(group) for group in groups)


def test_memory_is_limited_per_process_everywhere_else(hub: FakeHub, site: Site) -> None:
    hub.want("eats", "python3", "-c", "x = bytearray(600 << 20)", memory_mib=300)
    hub.want("fits", "python3", "-c", "x = bytearray(60 << 20)", memory_mib=300)
    site.start("--limits", "rlimit")
    assert hub.wait_state("eats", "failed")["exit_code"] == 1
    hub.wait(lambda: "MemoryError" in hub.logs.get("eats", ""))
    hub.wait_state("fits", "succeeded")
    assert hub.reports[0]["inventory"]["labels"]["aquifer.io/limits"] == "rlimit"


def test_a_driver_of_accelerators_may_reserve_addresses_without_end() -> None:
    code = (
        "import mmap, sys; from aquifer_agent.limits import Group\n"
        "Group().limit_this_process(256, has_devices=bool(int(sys.argv[1])))\n"
        "m = mmap.mmap(-1, 4 << 30, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "x = bytearray(int(sys.argv[2]) << 20)"
    )

    def ends(has_devices: int, mib: int) -> int:
        env = {"PYTHONPATH": os.pathsep.join(sys.path)}
        words = [sys.executable, "-c", code, str(has_devices), str(mib)]
        return subprocess.run(words, env=env, capture_output=True, check=False).returncode

    assert [ends(1, 10), ends(1, 400), ends(0, 10)] == [0, 1, 1]


def test_the_files_of_cgroup_v2_are_written_as_the_kernel_wants_them(tmp_path: Path) -> None:
    group = tmp_path / "run"
    group.mkdir()
    for file in ("memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max", "cgroup.procs"):
        (group / file).write_text("max\n" if file != "cgroup.procs" else "")
    made = Group(LimitKind.CGROUP2, (str(group),))
    made.create(cpu_milli=1500, memory_mib=64)
    wrote = {file.name: file.read_text() for file in group.iterdir()}
    assert wrote == {
        "memory.max": str(64 << 20),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "cpu.max": "150000 100000",
        "pids.max": str(limits.MOST_PROCESSES),
        "cgroup.procs": "",
    }
    (group / "memory.events").write_text("oom 1\noom_kill 0\n")
    assert not made.ran_out_of_memory()
    (group / "memory.events").write_text("oom 1\noom_kill 2\n")
    assert made.ran_out_of_memory()
    assert Group.from_json(made.to_json()) == made
