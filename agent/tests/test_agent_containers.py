"""Work in containers, on a real Docker engine and on a real Podman: as processes do, and nothing is left over."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agentsite import Site, wait_for
from aquifer_agent import crash, files
from aquifer_agent import folder as f
from aquifer_agent.run import Run
from crashpoints import at_each_point
from fakehub import FakeHub

from tests.docker import engine as rig
from tests.docker.fixtures import engine, podman  # noqa: F401 - fixtures, where only the agent's tests are run

IMAGE = rig.IMAGE


class Ground:
    """An engine, and how the agent's command line reaches it."""

    def __init__(self, name: str, variables: dict[str, str]) -> None:
        self.name, self.variables = name, variables
        self.words = ("--runtime", name, "--container-network", "none")

    def ask(self, *words: str) -> str:
        done = subprocess.run(
            [self.name, *words], env={**os.environ, **self.variables}, capture_output=True, text=True, timeout=60,
            check=True,
        )  # fmt: skip
        return done.stdout

    def containers(self) -> list[str]:
        """Also those that do not run."""
        return self.ask("ps", "--all", "--format", "{{.Names}}").split()


@pytest.fixture(params=["docker", "podman"], autouse=True)
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """Set up first and taken down last: what ends work in here (`Run.kill_all`) reaches the same engine."""
    if request.param == "docker":
        variables = {"DOCKER_HOST": request.getfixturevalue("engine").unix}
    else:
        variables = request.getfixturevalue("podman").variables
    ground = Ground(request.param, variables)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield ground
        assert ground.containers() == []


@pytest.fixture
def box(ground: Ground, site: Site) -> Callable[..., None]:
    """Starts the agent of this site with the engine's command line."""

    def start(*words: str, **more: str) -> None:
        site.start(*ground.words, *words, **ground.variables, **more)

    return start


pytestmark = [pytest.mark.docker, pytest.mark.processes]


def test_an_image_is_run_and_its_output_and_exit_code_come(
    hub: FakeHub, site: Site, ground: Ground, box: Callable[..., None]
) -> None:
    hub.want(
        "job",
        "sh",
        "-c",
        "echo $COLOUR in $(cat /etc/passwd | head -n 1); exit 3",
        image=IMAGE,
        env={"COLOUR": "teal #1 é"},
    )
    box()
    work = hub.wait_state("job", "failed")
    assert (work["exit_code"], work["reason"]) == (3, "NonZeroExit")
    hub.wait(lambda: hub.logs.get("job") == "teal #1 é in root:x:0:0:root:/root:/bin/sh\n")
    assert ground.containers() == [], "ended work leaves no container"
    labels = hub.reports[0]["inventory"]["labels"]
    assert labels["aquifer.io/runtimes"] == f"process,{ground.name}"
    assert labels[f"aquifer.io/{ground.name}"][0].isdigit()


def test_work_without_an_image_is_a_process_all_the_same(hub: FakeHub, site: Site, box: Callable[..., None]) -> None:
    hub.want("job", "sh", "-c", f"test -e {site.state_dir}")
    box()
    assert hub.wait_state("job", "succeeded")["exit_code"] == 0


def test_an_image_may_have_its_own_command(hub: FakeHub, box: Callable[..., None], ground: Ground) -> None:
    hub.want("job", image=IMAGE)
    box()
    assert hub.wait_state("job", "succeeded")["exit_code"] == 0, "a shell whose input has ended"
    assert ground.containers() == []


def test_limits_and_user_hold_inside(hub: FakeHub, box: Callable[..., None]) -> None:
    files_of = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
    said = f"id -u; cat {files_of} 2>/dev/null; true"
    hub.want("job", "sh", "-c", said, image=IMAGE, memory_mib=64, cpu_milli=500)
    box("--run-as", "nobody")
    hub.wait_state("job", "succeeded")
    hub.wait(lambda: "67108864" in hub.logs.get("job", ""))
    assert hub.logs["job"].split()[0] == "65534"


def test_running_out_of_memory_is_told(hub: FakeHub, box: Callable[..., None], ground: Ground) -> None:
    hub.want("job", "sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1", image=IMAGE, memory_mib=32)
    box()
    work = hub.wait_state("job", "failed")
    # Podman does not know it where cgroups of both versions are mounted, and then says what it saw: a signal.
    reasons = ("OutOfMemory",) if ground.name == "docker" else ("OutOfMemory", "KilledBySignal")
    assert work["reason"] in reasons
    assert work["exit_code"] == 137


def test_it_is_asked_to_end_and_then_made_to(hub: FakeHub, box: Callable[..., None], ground: Ground) -> None:
    hub.want(
        "kind",
        "sh",
        "-c",
        "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done",
        image=IMAGE,
        grace_seconds=20,
    )
    hub.want("deaf", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done", image=IMAGE, grace_seconds=1)
    box()
    for ref in ("kind", "deaf"):
        hub.wait_state(ref, "running")
        hub.wait(lambda ref=ref: hub.logs.get(ref) == "up\n")
    assert sorted(ground.containers()) == ["aquifer-deaf", "aquifer-kind"]
    hub.want_absent("kind")
    hub.want_absent("deaf")
    hub.wait(lambda: hub.work("kind") is None and hub.work("deaf") is None)
    # Podman that is told to end what has just ended adds a line of its own.
    assert hub.logs["kind"].startswith("up\nbye\n")
    assert hub.logs["kind"].count("\n") <= 3
    assert ground.containers() == []


def test_the_time_limit_holds(hub: FakeHub, box: Callable[..., None], ground: Ground) -> None:
    hub.want("job", "sleep", "600", image=IMAGE, max_seconds=1, grace_seconds=1)
    box()
    work = hub.wait_state("job", "failed")
    assert (work["reason"], ground.containers()) == ("TimeLimit", [])


def test_an_image_that_is_not_to_be_had_is_told(hub: FakeHub, box: Callable[..., None]) -> None:
    hub.want("job", "true", image="127.0.0.1:9/none:1")
    box()
    work = hub.wait_state("job", "failed", 60)
    assert (work["reason"], work["exit_code"], work["ran_seconds"]) == ("ImagePullFailed", 125, 0.0)
    assert "127.0.0.1:9" in work["message"]


def test_a_missing_command_is_told_apart(hub: FakeHub, box: Callable[..., None], ground: Ground) -> None:
    hub.want("job", "no-such-command", image=IMAGE)
    box()
    work = hub.wait_state("job", "failed")
    assert (work["reason"], work["exit_code"]) == ("CommandNotFound", 127)
    assert ground.containers() == []


def test_secrets_are_in_no_command_line(hub: FakeHub, site: Site, box: Callable[..., None]) -> None:
    hub.want("job", "sleep", "600", image=IMAGE, env={"PASSWORD": "hunter2-and-more"})
    box()
    hub.wait_state("job", "running")
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"hunter2-and-more" in line for line in lines)
    assert (site.folder("job") / "container.env").stat().st_mode & 0o077 == 0


def test_what_a_command_line_cannot_say_is_refused(hub: FakeHub, box: Callable[..., None]) -> None:
    hub.want("lines", "true", image=IMAGE, env={"KEY": "one\nNVIDIA_VISIBLE_DEVICES=all"})
    hub.want("option", "true", image="--privileged")
    box()
    for ref in ("lines", "option"):
        assert hub.wait_state(ref, "rejected")["reason"] == "InvalidSpec"


def test_a_killed_shim_leaves_no_container(hub: FakeHub, site: Site, box: Callable[..., None], ground: Ground) -> None:
    hub.want("job", "sleep", "600", image=IMAGE)
    box()
    hub.wait_state("job", "running")
    wait_for(lambda: ground.ask("ps", "--format", "{{.Names}}").split() == ["aquifer-job"])
    os.kill(int((files.read_json(site.folder("job") / f.CLAIM) or {})["pid"]), signal.SIGKILL)
    work = hub.wait_state("job", "failed")
    assert (work["reason"], work["exit_code"]) == ("ShimLost", 137)
    assert ground.containers() == []


def test_a_killed_agent_finds_its_containers_again(
    hub: FakeHub, site: Site, box: Callable[..., None], ground: Ground
) -> None:
    hub.want("job", "sh", "-c", "echo one; until [ -e /tmp/go ]; do sleep 0.05; done; echo two", image=IMAGE)
    box()
    before = hub.wait_state("job", "running")
    hub.wait(lambda: hub.logs.get("job") == "one\n")
    site.kill()
    hub.reports.clear()
    box()
    again = hub.wait_state("job", "running")
    assert again["ran_seconds"] > before["ran_seconds"]
    ground.ask("exec", "aquifer-job", "touch", "/tmp/go")
    hub.wait_state("job", "succeeded")
    hub.wait(lambda: hub.logs.get("job") == "one\ntwo\n")


def test_a_container_that_no_run_knows_is_removed(
    hub: FakeHub, site: Site, box: Callable[..., None], ground: Ground
) -> None:
    label = f"aquifer.io/agent-run={site.group_name}"
    ground.ask("create", "--name", "aquifer-forgotten", "--label", label, IMAGE, "true")
    ground.ask("create", "--name", "somebody-elses", IMAGE, "true")
    box()
    wait_for(lambda: ground.containers() == ["somebody-elses"])
    ground.ask("rm", "somebody-elses")


def test_use_of_a_container_is_counted(hub: FakeHub, box: Callable[..., None]) -> None:
    hub.want("job", "sh", "-c", "while :; do :; done", image=IMAGE)
    box()
    hub.wait(lambda: ((hub.work("job") or {}).get("cpu_milli") or 0) > 200)


# What each crash may do: as of processes, and beside it nothing of a container is left.
_LOST = {"shim-start-written", "shim-released", "shim-command-ended", "shim-group-gone"}


@pytest.mark.slow
@pytest.mark.parametrize("points", [crash.AGENT_POINTS, crash.SHIM_POINTS], ids=["agent", "shim"])
def test_no_crash_runs_a_container_twice_or_leaves_one(ground: Ground, tmp_path: Path, points: tuple[str, ...]) -> None:
    at_each_point(points, lambda point: _crash_once(ground, tmp_path / point, point), few=2)
    wait_for(lambda: ground.containers() == [])


def _crash_once(ground: Ground, place: Path, point: str) -> None:
    place.mkdir()
    hub = FakeHub()
    site = Site(hub, place / "state")
    crashed, ref = place / "crashed", f"c-{ground.name}-{point}"
    variables = {crash.VARIABLE: point, crash.ONCE: str(crashed), **ground.variables}

    def until(is_so: Callable[[], Any]) -> Any:
        seen = len(hub.reports)

        def look() -> Any:
            if site.agents[-1].poll() is not None:
                assert site.agents[-1].returncode == 137, site.log()
                site.start(*ground.words, **variables)
            return len(hub.reports) > seen and is_so()

        return wait_for(look, 60)

    try:
        hub.want(ref, "sh", "-c", "echo ran; sleep 0.5", image=IMAGE, grace_seconds=1)
        site.start(*ground.words, **variables)
        until(lambda: (work := hub.work(ref)) and work["state"] in ("succeeded", "failed"))
        work = hub.work(ref) or {}
        log = (site.folder(ref) / f.LOG).read_text()
        if point in _LOST:
            assert (work["state"], work["reason"]) == ("failed", "ShimLost"), work
            assert log.count("ran") <= 1
        else:
            assert (work["state"], work["exit_code"], log.count("ran")) == ("succeeded", 0, 1), (work, log)
        hub.want_absent(ref)
        until(lambda: hub.work(ref) is None)
        second = f"s-{ground.name}-{point}"
        hub.want(second, "sleep", "600", image=IMAGE, grace_seconds=1)
        until(lambda: (work := hub.work(second)) and work["state"] == "running")
        hub.want_absent(second)
        until(lambda: hub.work(second) is None)
        assert crashed.exists(), "the point was never reached"
        assert site.leftovers() == []
        assert [name for name in ground.containers() if point in name] == []
    finally:
        site.close()
        hub.stop()


def test_the_folder_of_a_run_says_how_its_container_is_removed(
    hub: FakeHub, site: Site, box: Callable[..., None], ground: Ground
) -> None:
    """Another process, without the options that the agent was started with, can end it."""
    hub.want("job", "sleep", "600", image=IMAGE)
    box()
    hub.wait_state("job", "running")
    plan = json.loads((site.folder("job") / f.SPEC).read_text())
    assert plan["container"]["name"] == "aquifer-job"
    assert Run(site.folder("job")).container["program"].endswith(ground.name)
