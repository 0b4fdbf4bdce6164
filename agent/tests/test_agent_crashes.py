"""Whatever dies, and wherever: nothing runs twice, is lost or is left over."""

import os
import signal
from pathlib import Path

import pytest
from agentsite import Site, wait_for
from aquifer_agent import crash, files, processes
from aquifer_agent import folder as f
from aquifer_agent.run import Run
from crashpoints import at_each_point
from fakehub import FakeHub


def test_a_killed_agent_finds_its_work_again(hub: FakeHub, site: Site, tmp_path: Path) -> None:
    go = tmp_path / "go"
    hub.want("job", "sh", "-c", f"echo one; until [ -e {go} ]; do sleep 0.02; done; echo two; exit 5")
    hub.want("done", "sh", "-c", "exit 3")
    site.start()
    before = hub.wait_state("job", "running")
    hub.wait_state("done", "failed")
    pid = site.pid("job")
    site.kill()
    hub.reports.clear()
    site.start()
    again = hub.wait_state("job", "running")
    assert site.pid("job") == pid
    assert again["ran_seconds"] > before["ran_seconds"]
    assert hub.work("done") is not None and hub.wait_state("done", "failed")["exit_code"] == 3
    go.touch()
    work = hub.wait_state("job", "failed")
    assert (work["exit_code"], work["ran_seconds"] > again["ran_seconds"]) == (5, True)
    hub.wait(lambda: hub.logs.get("job") == "one\ntwo\n")


def test_work_that_ends_while_no_agent_runs_is_reported_by_the_next(hub: FakeHub, site: Site, tmp_path: Path) -> None:
    go = tmp_path / "go"
    hub.want("job", "sh", "-c", f"until [ -e {go} ]; do sleep 0.02; done; exit 9")
    site.start()
    hub.wait_state("job", "running")
    assert site.end() < 6  # a polite end keeps the work, too
    assert site.marked("job")
    go.touch()
    wait_for((site.folder("job") / f.EXIT).exists)
    site.start()
    assert hub.wait_state("job", "failed")["exit_code"] == 9


def test_work_whose_shim_is_killed_is_ended_and_reported(hub: FakeHub, site: Site) -> None:
    hub.want("job", "sh", "-c", "setsid sleep 600 & sleep 600")
    site.start("--limits", "rlimit")  # a cgroup would make it easy
    hub.wait_state("job", "running")
    wait_for(lambda: len(site.marked("job")) == 3)
    os.kill(int((files.read_json(site.folder("job") / f.CLAIM) or {})["pid"]), signal.SIGKILL)
    work = hub.wait_state("job", "failed")
    assert (work["reason"], work["exit_code"]) == ("ShimLost", 137)
    assert site.marked("job") == []


def test_a_restart_of_the_machine_is_told_and_nothing_begins_again(hub: FakeHub, site: Site, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    hub.want("job", "sh", "-c", f"echo $$ >> {ran}; sleep 600")
    site.start()
    hub.wait_state("job", "running")
    wait_for(ran.exists)
    site.kill()
    wait_for(Run(site.folder("job")).kill_all)
    for name in (f.CLAIM, f.STARTED):  # as files look after the power came back
        file = site.folder("job") / name
        files.write_json(file, (files.read_json(file) or {}) | {"boot_id": "before the power cut"})
    (site.folder("job") / f.PROGRESS).write_text("12.500          ")
    hub.reports.clear()
    site.start()
    work = hub.wait_state("job", "failed")
    assert (work["reason"], work["ran_seconds"]) == ("MachineRestarted", 12.5)
    assert len(ran.read_text().split()) == 1


def test_a_recycled_pid_is_not_taken_for_ours() -> None:
    mine = processes.identity(os.getpid())
    assert processes.is_alive(mine)
    for other in ({"started_ticks": mine["started_ticks"] - 1}, {"boot_id": "another"}, {"pid": 0}, {"pid": None}):
        assert not processes.is_alive(mine | other)
        assert not processes.send(mine | other, signal.SIGKILL)  # we are still here to say so


# What each crash may do to work that would succeed. The shim's death once the command has been let go is an
# end that is told; before that, the command has not run and is started again.
_LOST = {"shim-start-written", "shim-released", "shim-command-ended", "shim-group-gone"}


@pytest.mark.processes
def test_no_crash_runs_work_twice_or_loses_it(tmp_path: Path) -> None:
    at_each_point(crash.POINTS, lambda point: _crash_once(tmp_path / point, point), few=5)


def _crash_once(place: Path, point: str) -> None:
    place.mkdir()
    hub = FakeHub()
    site = Site(hub, place / "state")
    ran, crashed = place / "ran", place / "crashed"
    ref = f"job-{point}"
    variables = {crash.VARIABLE: point, crash.ONCE: str(crashed)}
    try:
        # Long enough to be seen running, and to be stopped in the second half.
        hub.want(ref, "sh", "-c", f"echo $$ >> {ran}; sleep 0.5; echo said", grace_seconds=1)
        site.start(**variables)
        _until(site, variables, lambda: (work := hub.work(ref)) and work["state"] in ("succeeded", "failed"))
        work = hub.work(ref) or {}
        times = len(ran.read_text().split()) if ran.exists() else 0
        if point in _LOST:
            assert (work["state"], work["reason"]) == ("failed", "ShimLost"), work
            assert times <= 1
        else:
            assert (work["state"], work["exit_code"]) == ("succeeded", 0), work
            assert times == 1
        hub.want_absent(ref)
        _until(site, variables, lambda: hub.work(ref) is None)

        second = f"stop-{point}"
        hub.want(second, "sh", "-c", f"echo $$ >> {ran}; exec sleep 600", grace_seconds=1)
        _until(site, variables, lambda: (work := hub.work(second)) and work["state"] == "running")
        hub.want_absent(second)
        _until(site, variables, lambda: hub.work(second) is None)
        assert crashed.exists(), "the point was never reached"
        assert len(ran.read_text().split()) == times + 1
        late = hub.order_of(second)
        hub.stray_orders = [late]  # an order that comes too late to run it again
        rejected = _until(site, variables, lambda: hub.work(second))
        assert (rejected["state"], rejected["reason"]) == ("rejected", "OldGeneration")
        assert site.leftovers() == []
    finally:
        site.close()
        hub.stop()


def _until(site: Site, variables: dict[str, str], is_so: object) -> dict[str, object]:
    """Wait, starting the agent again when the crash took it. Only what is reported from now on counts."""
    assert callable(is_so)
    seen = len(site.hub.reports)

    def look() -> object:
        if site.agents[-1].poll() is not None:
            assert site.agents[-1].returncode == 137, site.log()
            site.start(**variables)
        return len(site.hub.reports) > seen and is_so()

    found = wait_for(look, 30)
    return found if isinstance(found, dict) else {}
