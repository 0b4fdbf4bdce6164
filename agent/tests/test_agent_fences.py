"""Orders of the past, orders that cannot be carried out, and two agents in one place."""

import resource
from pathlib import Path

import pytest
from agentsite import Site
from aquifer_agent import fences, files, processes
from aquifer_agent.cgroups import Limits
from aquifer_agent.fences import Fences
from aquifer_agent.limits import LimitKind
from aquifer_agent.orders import Order
from aquifer_agent.runs import Runs
from fakehub import FakeHub, order


def test_orders_of_the_past_are_refused_and_change_nothing(hub: FakeHub, site: Site) -> None:
    hub.epoch = 5
    hub.want("held", "sleep", "600", generation=4)
    site.start()
    hub.wait_state("held", "running")
    pid = site.pid("held")
    hub.orders["held"]["generation"] = 6  # the same work, confirmed by a newer plan
    hub.wait(lambda: (hub.work("held") or {})["generation"] == 6)
    spec = {"command": ["true"]}
    hub.stray_orders = [
        order("held", 5, 5, None),  # an older generation wants it gone
        order("old-epoch", 9, 4, spec),
        order("nobody", 3, 5, None),  # ended before it ever ran
    ]
    hub.wait_reports(2)
    hub.stray_orders.append(order("nobody", 3, 5, spec))
    for ref in ("old-epoch", "nobody"):
        work = hub.wait_state(ref, "rejected")
        assert (work["reason"], work["exit_code"], work["ran_seconds"]) == ("OldGeneration", None, None)
    assert hub.wait_state("held", "running")["generation"] == 6
    assert site.pid("held") == pid
    # It is all remembered by the next agent, and a newer generation is another matter.
    site.kill()
    hub.reports.clear()
    site.start()
    assert hub.wait_state("old-epoch", "rejected") and hub.wait_state("nobody", "rejected")
    assert hub.reports[0]["epoch"] == 5
    hub.stray_orders = [order("nobody", 4, 5, spec)]
    assert hub.wait_state("nobody", "succeeded")["generation"] == 4


def test_an_epoch_once_seen_is_kept(hub: FakeHub, site: Site) -> None:
    hub.epoch = 7
    site.start()
    hub.wait_reports(2)
    site.kill()
    hub.epoch = 6  # a hub restored from an old backup
    hub.want("job", "true")
    site.start()
    assert hub.wait_state("job", "rejected")["reason"] == "OldGeneration"
    assert hub.reports[-1]["epoch"] == 7


def test_orders_that_make_no_sense_are_rejected_or_left_alone(hub: FakeHub, site: Site, tmp_path: Path) -> None:
    bad = {
        "no-command": {"command": [], "image": "x"},
        "text": {"command": "rm -rf /"},
        "nul": {"command": ["a\0b"]},
        "env": {"command": ["true"], "env": {"A=B": "c"}},
        "negative": {"command": ["true"], "memory_mib": -1},
        "nan": {"command": ["true"], "max_seconds": float("nan")},
        "device": {"command": ["true"], "devices": [{"uuid": "GPU-none", "milli": 1000}]},
    }
    hub.stray_orders = [order(ref, 1, 1, spec) for ref, spec in bad.items()]
    hub.stray_orders += [
        order("../../escape", 1, 1, {"command": ["true"]}),
        {"ref": "half"},
        {"ref": "new", "generation": 1, "epoch": 1, "desired": "dance", "spec": {}},
    ]
    hub.want("good", "true")
    site.start("--runtime", "process")  # an image may have a command of its own
    hub.wait_state("good", "succeeded")
    reasons = {ref: hub.wait_state(ref, "rejected")["reason"] for ref in bad}
    assert reasons == {ref: "DeviceMissing" if ref == "device" else "InvalidSpec" for ref in bad}
    assert {item["ref"] for item in hub.reports[-1]["work"]} == {"good", *bad}
    assert not (tmp_path / "escape").exists()
    hub.stray_orders = []
    hub.wait(lambda: {item["ref"] for item in hub.reports[-1]["work"]} == {"good"})


def test_a_full_disk_is_a_clear_no(hub: FakeHub, site: Site) -> None:
    agent = site.start()
    hub.wait_reports()
    everything = resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    hub.want("job", "true")
    work = hub.wait_state("job", "rejected")
    assert work["reason"] == "AgentDiskFull"
    assert "cannot write" in work["message"]
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, everything)
    hub.wait_reports(3)
    assert hub.work("job") == work  # a no stays a no: the hub may have gone elsewhere
    hub.want_absent("job")
    hub.wait_gone("job")
    hub.want("job-2", "true")
    hub.wait_state("job-2", "succeeded")


def test_two_agents_with_one_state_are_refused(hub: FakeHub, site: Site) -> None:
    first = site.start()
    hub.wait_reports()
    second = site.call("run", "--state-dir", str(site.state_dir))
    assert second.returncode == 4
    assert "another agent runs" in second.stderr
    assert first.poll() is None


def test_tombstones_are_bounded_and_the_newest_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fences, "MOST_TOMBSTONES", 10)
    book = Fences(tmp_path / "fences.json", "c-1")
    for number in range(30):
        book.bury(f"ref-{number}", 1)
    book.bury("ref-29", 0)
    kept = Fences(tmp_path / "fences.json", "c-1")
    assert [kept.is_buried(f"ref-{number}", 1) for number in range(30)] == [False] * 20 + [True] * 10


def test_work_waits_for_the_share_of_a_device_that_still_ends(tmp_path: Path) -> None:
    runs = Runs(tmp_path, "c-1", Fences(tmp_path / "fences.json", "c-1"), Limits(LimitKind.RLIMIT))
    runs.adopt()

    def take(ref: str, milli: int) -> None:
        spec = {"command": ["true"], "devices": [{"uuid": "GPU-1", "milli": milli}]}
        runs.obey(Order(ref, 1, 1, True, spec), {"GPU-1": {}})

    take("old", 600)
    runs.held["old"].claim = {"pid": 0}  # started by somebody
    for ref, milli, is_free in (("half", 400, True), ("more", 401, False)):
        take(ref, milli)
        assert runs._are_devices_free(runs.held[ref]) is is_free, ref
    runs.held["old"].exit = {"exit_code": 0, "reason": ""}
    assert runs._are_devices_free(runs.held["more"])


def test_a_machine_that_changes_its_cluster_begins_afresh(hub: FakeHub, site: Site) -> None:
    hub.epoch = 9
    hub.want("old", "sleep", "600")
    site.start()
    hub.wait_state("old", "running")
    pid = processes.identity(site.pid("old"))
    site.kill()
    identity = site.state_dir / "identity.json"
    files.write_json(identity, (files.read_json(identity) or {}) | {"cluster_id": "c-2"})
    hub.epoch, hub.orders = 1, {}
    hub.reports.clear()
    site.start()
    hub.wait_gone("old")
    assert not processes.is_alive(pid)
    hub.want("new", "true")
    hub.wait_state("new", "succeeded")
