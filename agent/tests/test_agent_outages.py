"""Wrong clocks, copied identities, hours without a network: work and its seconds are none the wiser."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import clocks
import pytest
from agentsite import PACKAGE, Site, wait_for
from aquifer_agent import folder
from fakehub import FakeHub, problem

DAY = 86_400.0


@pytest.fixture
def moved(tmp_path: Path) -> dict[str, str]:
    """Variables of an agent whose clocks are in our hands."""
    (tmp_path / "wall").write_text("0")
    path = clocks.install(tmp_path / "clocks")
    return {"PYTHONPATH": f"{path}{os.pathsep}{PACKAGE}", clocks.WALL: str(tmp_path / "wall")}


def _skew(report: dict[str, Any]) -> float:
    return datetime.fromisoformat(report["sent_at"]).timestamp() - time.time()


def test_wrong_and_jumping_clocks_are_told_and_change_nothing(
    hub: FakeHub, site: Site, moved: dict[str, str], tmp_path: Path
) -> None:
    hub.want("job", "sleep", "600")
    began = time.monotonic()
    site.start(**moved)
    hub.wait_state("job", "running")
    for off in (600.0, -600.0, DAY, -DAY, 0.0):
        (tmp_path / "wall").write_text(str(off))
        hub.wait_reports(3)
        assert abs(_skew(hub.reports[-1]) - off) < 5
        ran = (hub.work("job") or {})["ran_seconds"]
        assert 0 <= ran <= time.monotonic() - began
    seconds = [
        r["work"][0]["ran_seconds"] for r in hub.reports if r["work"] and r["work"][0]["ran_seconds"] is not None
    ]
    assert seconds == sorted(seconds), "they only rise"
    uptime = [report["uptime_seconds"] for report in hub.reports]
    assert uptime == sorted(uptime)
    # A restart with the clock a day behind finds its work as it was.
    (tmp_path / "wall").write_text(str(-DAY))
    site.kill()
    site.start(**moved)
    hub.wait_reports(2)
    assert (hub.work("job") or {})["ran_seconds"] >= seconds[-1]
    hub.want_absent("job")
    hub.wait_gone("job")


def test_an_hour_without_a_network_costs_nothing(
    hub: FakeHub, site: Site, moved: dict[str, str], tmp_path: Path
) -> None:
    """The agent's clock runs 600 times as fast: six seconds are its hour."""
    go = tmp_path / "go"
    said = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"
    hub.want("ends", "sh", "-c", f"until [ -e {go} ]; do sleep 0.05; done; {said}; exit 3")
    hub.want("lasts", "sh", "-c", "echo here; exec sleep 600")
    site.start(**moved, **{clocks.RATE: "600"})
    hub.wait_state("ends", "running")
    hub.wait_state("lasts", "running")
    before = len(hub.reports)
    ran_before = (hub.work("ends") or {})["ran_seconds"]
    hub.stop()
    cut = time.monotonic()
    go.touch()
    wait_for((site.folder("ends") / folder.EXIT).exists)
    time.sleep(max(0.0, 6.0 - (time.monotonic() - cut)))
    assert len(hub.reports) == before
    hub.start_again()
    work = hub.wait_state("ends", "failed")
    record = json.loads((site.folder("ends") / folder.EXIT).read_text())
    assert (work["exit_code"], work["ran_seconds"]) == (3, record["ran_seconds"])
    assert ran_before < work["ran_seconds"] < ran_before + 6, "its own seconds, not those of the outage"
    assert (hub.work("lasts") or {})["state"] == "running"
    hub.wait(lambda: hub.logs["ends"] == "".join(f"line {i}\n" for i in range(3000)))
    assert site.log().count("Trying again") > 40, "an hour of trying, a minute apart at most"
    assert site.log().count("Taking on") == 2


class StrictHub(FakeHub):
    """Lets in one process at a time, as the real hub does: the second one when the first was not heard for a while."""

    LEASE_SECONDS = 1.5

    def __init__(self) -> None:
        self.heard: tuple[str, float] = ("", 0.0)
        self.refused: set[str] = set()
        super().__init__()

    def _sync(self, report: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
        boot, now = report["boot_id"], time.monotonic()
        if self.heard[0] not in ("", boot) and now - self.heard[1] < self.LEASE_SECONDS:
            self.refused.add(boot)
            return problem(409, "agent-identity-in-use")
        self.heard = (boot, now)
        return super()._sync(report)


@pytest.fixture
def strict() -> Iterator[StrictHub]:
    hub = StrictHub()
    yield hub
    hub.stop()


def test_a_copied_machine_is_refused_until_the_first_is_gone(strict: StrictHub, tmp_path: Path) -> None:
    first, second = Site(strict, tmp_path / "first"), Site(strict, tmp_path / "second")
    try:
        strict.want("job", "sh", "-c", "exec sleep 600")
        first.start()
        strict.wait_state("job", "running")
        own = strict.heard[0]
        shutil.copytree(first.state_dir, second.state_dir, ignore=shutil.ignore_patterns("runs", "lock", "agent.log"))
        second.start()
        wait_for(lambda: strict.refused)
        strict.wait_reports(5)
        assert {report["boot_id"] for report in strict.reports} == {own}
        assert "Another process reports with this identity" in second.log()
        assert second.leftovers() == [], "it was told nothing, so it runs nothing"
        strict.orders.clear()
        strict.wait_gone("job")
        first.kill()
        strict.wait(lambda: strict.reports[-1]["boot_id"] in strict.refused)
        strict.want("next", "true")
        strict.wait_state("next", "succeeded")
        assert (second.folder("next")).exists() and not first.folder("next").exists()
    finally:
        first.close()
        second.close()


MEMORY = """
import sys, time
from pathlib import Path
from aquifer_agent import cgroups, files, folder, processes
from aquifer_agent.agent import Agent
from aquifer_agent.hub import HubError
from aquifer_agent.identity import Identity
from aquifer_agent import conversation, hub

state, count, hours = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
for number in range(count):
    run = state / "runs" / f"run-{number:04d}"
    run.mkdir(parents=True)
    files.write_json(run / folder.SPEC, {"ref": run.name, "cluster_id": "c", "generation": 1, "epoch": 1,
                                         "spec": {"command": ["sleep", "1"], "env": {"A": "b" * 200}}})
    (run / folder.LOG).write_bytes(b"x" * 4000)
    files.write_json(run / folder.EXIT, folder.exit_record(0, 1.0))

class NoNetwork:
    def __init__(self, *_): self.answer, self.error = None, HubError("No answer.")
    def is_over(self): return True

conversation.Exchange = NoNetwork
now = [1000.0]
time.monotonic = lambda: now[0]

def mib():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024

agent = Agent(Identity("http://127.0.0.1:9", "t", "c", "lab", "m"), state, cgroups.detect("rlimit", state))
agent._runs.adopt()
agent._rest = lambda seconds: now.__setitem__(0, now[0] + max(seconds, 0.2))

def turn():
    agent._runs.step(agent._logs.is_behind)
    agent._room.look(agent._runs.held.values(), agent._logs.sent)
    agent._sync()
    agent._sleep()

for _ in range(20):
    turn()
before, turns, until = mib(), 0, now[0] + hours * 3600
while now[0] < until:
    turn()
    turns += 1
print(f'{{"runs": {count}, "hours": {hours}, "turns": {turns}, "before_mib": {before:.1f}, "after_mib": {mib():.1f}}}')
"""


def test_memory_does_not_grow_while_the_network_is_away(tmp_path: Path) -> None:
    """200 pieces of work and two hours of its own clock, in one process."""
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "state"), "200", "2"],
        env={"PYTHONPATH": str(PACKAGE), "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
        timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout)
    print(done.stdout)
    assert figures["after_mib"] - figures["before_mib"] < 4
    assert figures["after_mib"] < 64
