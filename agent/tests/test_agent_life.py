"""One piece of work from order to end, on a real agent and real processes."""

import json
import os
import signal
from pathlib import Path

import pytest
from agentsite import Site, wait_for
from aquifer_agent import folder, processes, shim
from fakehub import AGENT_TOKEN, JOIN_TOKEN, FakeHub


def test_work_runs_to_success_with_its_log_and_exit_code(hub: FakeHub, site: Site) -> None:
    hub.want("job", "sh", "-c", "echo out; echo err >&2; echo grüße")
    site.start()
    work = hub.wait_state("job", "succeeded")
    assert (work["exit_code"], work["reason"], work["generation"], work["epoch"]) == (0, "", 1, 1)
    assert 0 <= work["ran_seconds"] < 15
    hub.wait(lambda: hub.logs.get("job") == "out\nerr\ngrüße\n")
    assert hub.offsets["job"] == work["log_bytes"] == len("out\nerr\ngrüße\n".encode())
    hub.want_absent("job")
    hub.wait_gone("job")
    assert site.leftovers() == []


def test_ends_that_are_not_good_say_why(hub: FakeHub, site: Site) -> None:
    hub.want("seven", "sh", "-c", "exit 7")
    hub.want("signal", "sh", "-c", "kill -ABRT $$")
    hub.want("nothing", "no-such-program", "x")
    hub.want("folder", "/etc")
    hub.want("no-shell", "echo $HOME")
    site.start()
    ends = {ref: hub.wait_state(ref, "failed") for ref in ("seven", "signal", "nothing", "folder", "no-shell")}
    assert {ref: (end["exit_code"], end["reason"]) for ref, end in ends.items()} == {
        "seven": (7, "NonZeroExit"),
        "signal": (128 + signal.SIGABRT, "KilledBySignal"),
        "nothing": (127, "CommandNotFound"),
        "folder": (126, "CommandNotRunnable"),
        "no-shell": (127, "CommandNotFound"),
    }
    assert "no-such-program" in ends["nothing"]["message"]


def test_work_sees_a_clean_environment_and_no_secret(hub: FakeHub, site: Site) -> None:
    code = "import json, os; print(json.dumps([dict(os.environ), os.getcwd()]))"
    hub.want("env", "python3", "-c", code, env={"MINE": "yes", "CUDA_VISIBLE_DEVICES": "7"}, replica=2, replicas=4)
    site.start()
    hub.wait_state("env", "succeeded")
    hub.wait(lambda: hub.logs.get("env", "").endswith("\n"))
    seen, place = json.loads(hub.logs["env"])
    home = str(site.folder("env") / "home")
    path, _ = seen.pop("PATH"), seen.pop("LC_CTYPE", None)  # Python sets the second one itself
    assert path.startswith("/usr/local/sbin:")
    assert seen == {
        "HOME": home,
        "LANG": "C.UTF-8",
        "MINE": "yes",
        "AQUIFER_REF": "env",
        "AQUIFER_RUN": str(site.folder("env")),
        "AQUIFER_REPLICA": "2",
        "AQUIFER_REPLICAS": "4",
        "NVIDIA_VISIBLE_DEVICES": "",
        "CUDA_VISIBLE_DEVICES": "",  # what was granted goes before what was asked for
    }
    assert place == home
    identity = site.state_dir / "identity.json"
    assert identity.stat().st_mode & 0o777 == 0o600
    for file in site.state_dir.rglob("*"):
        if file.is_file() and file != identity:
            text = file.read_text(errors="replace")
            assert AGENT_TOKEN not in text and JOIN_TOKEN not in text, file


def test_the_time_limit_ends_work(hub: FakeHub, site: Site) -> None:
    hub.want("long", "sleep", "60", max_seconds=1, grace_seconds=5)
    site.start()
    work = hub.wait_state("long", "failed")
    assert (work["reason"], work["exit_code"]) == ("TimeLimit", 128 + signal.SIGTERM)
    assert 1.0 <= work["ran_seconds"] < 10


def test_a_stop_leaves_nothing_of_work_that_hides_and_does_not_listen(hub: FakeHub, site: Site, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    hide = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):                       # forks twice, each time into a session of its own
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.environ.clear()
        break
open({str(pids)!r}, "a").write(f"{{os.getpid()}}\\n")
time.sleep(600)
"""
    hub.want("stubborn", "python3", "-c", hide, grace_seconds=1)
    site.start()
    hub.wait_state("stubborn", "running")
    wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 3)
    everyone = [processes.identity(int(pid)) for pid in pids.read_text().split()]
    assert all(processes.is_alive(one) for one in everyone)
    hub.want_absent("stubborn")
    assert hub.wait_state("stubborn", "stopping")["reason"] == "Stopped"
    hub.wait_gone("stubborn")
    assert not any(processes.is_alive(one) for one in everyone)
    assert site.leftovers() == []


def test_a_stop_lets_work_end_well(hub: FakeHub, site: Site, tmp_path: Path) -> None:
    said = tmp_path / "said"
    hub.want(
        "polite", "sh", "-c", f"trap 'echo saved | tee {said}; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    )
    site.start()
    hub.wait(lambda: hub.logs.get("polite") == "up\n")
    hub.want_absent("polite")
    hub.wait_gone("polite")
    assert said.read_text() == "saved\n"
    assert hub.logs["polite"].endswith("\nsaved\n")  # last words arrive before the work is gone


def test_what_a_command_leaves_in_the_background_goes_with_it(hub: FakeHub, site: Site) -> None:
    hub.want("leaves", "sh", "-c", "setsid sleep 600 & echo $!")
    site.start()
    hub.wait_state("leaves", "succeeded")
    hub.wait(lambda: hub.logs.get("leaves"))
    assert site.marked("leaves") == []


def test_live_figures_are_those_of_the_whole_tree(hub: FakeHub, site: Site) -> None:
    burn = "x = bytearray(80 << 20)\nwhile True: pass"
    hub.want("burn", "sh", "-c", f"python3 -c '{burn}' & wait", memory_mib=1024)
    site.start()
    hub.wait(lambda: (w := hub.work("burn")) and (w["cpu_milli"] or 0) > 200 and (w["memory_mib"] or 0) >= 80)
    report = hub.reports[-1]
    assert report["host"]["cpu_milli"] > 0 and report["host"]["memory_mib"] > 80
    assert report["sent_at"].startswith("20") and report["uptime_seconds"] > 0


def test_the_end_of_the_agent_takes_its_work_along_when_asked(hub: FakeHub, site: Site) -> None:
    hub.want("deaf", "sh", "-c", "trap '' TERM; echo up; sleep 600 & wait; sleep 600", grace_seconds=600)
    site.start("--on-exit", "stop")
    hub.wait(lambda: hub.logs.get("deaf") == "up\n")
    command = processes.identity(site.pid("deaf"))
    assert site.end() < 6
    assert not processes.is_alive(command)
    assert site.marked("deaf") == []
    site.start()  # what became of it is told at the next start, and it does not begin again
    work = hub.wait_state("deaf", "failed")
    assert work["reason"] == "AgentStopped"


def test_the_log_is_bounded_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MOST_LOG_BYTES", 1000)
    log = shim.Log(tmp_path / "log")
    for _ in range(100):
        log.add(b"x" * 64)
    text = (tmp_path / "log").read_bytes()
    assert len(text) == 1000
    assert text.startswith(b"x" * 900) and text.endswith(b"what follows is not kept]\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run work as somebody else")
def test_work_runs_as_another_user_when_asked_and_reads_nothing_of_ours(hub: FakeHub, site: Site) -> None:
    identity = site.state_dir / "identity.json"
    hub.want("who", "sh", "-c", f"id -un; touch kept && ls; cat {identity} /proc/$PPID/environ; sudo -n id -u")
    site.start("--run-as", "nobody")
    hub.wait_state("who", "failed", "succeeded")
    said = hub.wait(lambda: "kept" in hub.logs.get("who", "") and hub.logs["who"])
    assert said.startswith("nobody\nkept\n")
    assert said.count("Permission denied") == 2
    assert AGENT_TOKEN not in said and "SECRET" not in said
    nobody = site.call("run", "--state-dir", str(site.state_dir), "--run-as", "no-such-user")
    assert nobody.returncode == 2 and "no-such-user" in nobody.stderr


def test_one_round_starts_the_work_and_leaves_it(hub: FakeHub, site: Site) -> None:
    hub.want("job", "sh", "-c", "exit 4")
    assert site.start("--once").wait(20) == 0
    assert site.start("--once").wait(20) == 0
    wait_for((site.folder("job") / folder.EXIT).exists)
    assert site.start("--once").wait(20) == 0
    assert hub.wait_state("job", "failed")["exit_code"] == 4
