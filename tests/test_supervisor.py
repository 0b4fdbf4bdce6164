"""The supervisor behind `./run`: what crashes comes back, what is stopped is gone with all it started.

Each test supervises in a process of its own, since a supervisor adopts and ends whatever is below it.
"""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRELUDE = """
import os, signal, sys, time
from pathlib import Path
from portal.supervise.processes import Child, children_of
from portal.supervise.supervisor import Probe, Stopped, Supervisor
here = Path(sys.argv[1])
def child(name, code, **more):
    return Child(name=name, command=[sys.executable, "-c", code], env={**os.environ, "HERE": str(here)}, **more)
def lines(name):
    return (here / name).read_text().split() if (here / name).exists() else []
NOTE = '''
import os, signal, sys, time
def note(name, text):
    with open(os.environ["HERE"] + "/" + name, "a") as file:
        file.write(text + "\\\\n")
'''
"""


def supervise(tmp_path: Path, script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + script, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_children_stop_in_reverse_order(tmp_path: Path) -> None:
    supervise(
        tmp_path,
        """
code = NOTE + '''
name = sys.argv[0]
def stop(*_):
    note("stopped", os.environ["NAME"])
    sys.exit()
signal.signal(signal.SIGTERM, stop)
note("up", os.environ["NAME"])
while True: signal.pause()
'''
with Supervisor(here) as supervisor:
    for name in ("postgres", "web", "worker", "agent"):
        one = child(name, code)
        one.env = {**one.env, "NAME": name}
        supervisor.start(one)
    assert supervisor.wait(lambda: len(lines("up")) == 4, 30)
assert lines("stopped") == ["agent", "worker", "web", "postgres"], lines("stopped")
""",
    )


def test_a_child_that_will_not_stop_goes_with_all_it_started(tmp_path: Path) -> None:
    supervise(
        tmp_path,
        """
code = NOTE + '''
import subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
stay = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
for is_own_session in (False, True):
    kid = subprocess.Popen([sys.executable, "-c", stay], start_new_session=is_own_session, stdout=subprocess.PIPE)
    kid.stdout.readline()
    note("kids", str(kid.pid))
note("kids", str(os.getpid()))
signal.pause()
'''
with Supervisor(here) as supervisor:
    supervisor.start(child("stubborn", code, stop_seconds=0.2))
    assert supervisor.wait(lambda: len(lines("kids")) == 3, 30)
assert [pid for pid in lines("kids") if Path("/proc", pid).exists()] == []
assert children_of(os.getpid()) == {}
""",
    )


def test_a_crashed_child_is_started_again_and_said_so(tmp_path: Path) -> None:
    said = supervise(
        tmp_path,
        """
code = NOTE + '''
note("starts", "x")
if not os.path.exists(os.environ["HERE"] + "/enough"):
    open(os.environ["HERE"] + "/enough", "w").close()
    sys.exit(3)
signal.pause()
'''
with Supervisor(here) as supervisor:
    supervisor.start(child("worker", code))
    assert supervisor.wait(lambda: len(lines("starts")) == 2, 30)
""",
    )
    assert "worker ended (exit code 3); starting it again in 1 s" in said


def test_a_hung_child_is_killed_and_started_again(tmp_path: Path) -> None:
    said = supervise(
        tmp_path,
        """
code = NOTE + 'note("starts", str(os.getpid())); signal.pause()'
(here / "probe").touch()
os.utime(here / "probe", (1, 1))
with Supervisor(here) as supervisor:
    supervisor.start(child("worker", code))
    supervisor.probes.append(Probe(here / "probe", 0.5, ("worker",)))
    assert supervisor.wait(lambda: len(lines("starts")) >= 2, 30)
""",
    )
    assert "worker gave no sign of life" in said


def test_a_fresh_probe_leaves_its_child_alone(tmp_path: Path) -> None:
    supervise(
        tmp_path,
        """
code = NOTE + 'note("starts", str(os.getpid())); signal.pause()'
(here / "probe").touch()
with Supervisor(here) as supervisor:
    supervisor.start(child("worker", code))
    supervisor.probes.append(Probe(here / "probe", 3600, ("worker",)))
    supervisor.children[0].started_at -= 7200
    assert supervisor.wait(lambda: len(lines("starts")) == 1, 30)
    for _ in range(5):
        supervisor.turn(0.05)
    assert supervisor.children[0].crashes == 0
""",
    )


def test_a_reused_process_number_harms_nobody(tmp_path: Path) -> None:
    """A child that ended long ago must not cost a stranger's session its life, though it has its number now."""
    stranger = [sys.executable, "-c", "import signal; print(1, flush=True); signal.pause()"]
    with subprocess.Popen(stranger, start_new_session=True, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        supervise(
            tmp_path,
            f"""
with Supervisor(here) as supervisor:
    one = supervisor.start(child("prepare", "pass", is_restarted=False))
    supervisor.wait(lambda: not one.is_running(), 30)
    one.session = {other.pid}
""",
        )
        assert other.poll() is None
        other.kill()


def test_a_session_is_cleared_once(tmp_path: Path) -> None:
    supervise(
        tmp_path,
        """
with Supervisor(here) as supervisor:
    one = supervisor.start(child("prepare", "pass", is_restarted=False))
    supervisor.wait(lambda: not one.is_running(), 30)
    supervisor.turn(0)
    assert one.session is None
    two = supervisor.start(child("worker", NOTE + 'note("up", "x"); signal.pause()'))
    supervisor.wait(lambda: lines("up"), 30)
    one.kill_session()
    assert two.is_running()
""",
    )


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_it_to_stop(tmp_path: Path, sign: signal.Signals) -> None:
    supervise(
        tmp_path,
        f"""
with Supervisor(here) as supervisor:
    supervisor.start(child("web", "import signal; signal.pause()"))
    os.kill(os.getpid(), {int(sign)})
    try:
        supervisor.run()
    except Stopped:
        print("asked")
assert children_of(os.getpid()) == {{}}
""",
    )


def test_children_go_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    script = """
with Supervisor(here) as supervisor:
    one = supervisor.start(child("web", NOTE + 'note("up", str(os.getpid())); signal.pause()'))
    supervisor.wait(lambda: lines("up"), 30)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", PRELUDE + script, str(tmp_path)], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    (pid,) = (tmp_path / "up").read_text().split()
    assert until(lambda: not is_alive(pid))


def test_what_a_child_writes_cannot_move_the_cursor(tmp_path: Path) -> None:
    said = supervise(
        tmp_path,
        """
with Supervisor(here) as supervisor:
    supervisor.output.is_shown = True
    one = supervisor.start(child("web", "print('a' + chr(27) + '[2Jb', flush=True)", is_restarted=False))
    supervisor.wait(lambda: not one.is_running(), 30)
    supervisor.output.drain(one)
""",
    )
    assert re.search(r"web +a\?\[2Jb", said)
    assert "\x1b" not in said


def until(condition: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_alive(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# -- all of it, as processes -------------------------------------------------------------------------


@pytest.mark.processes
def test_the_embedded_postgres_is_private_and_comes_back(tmp_path: Path) -> None:
    supervise(
        tmp_path,
        """
import psycopg
from portal.supervise.postgres import Postgres
from portal.supervise.up import start_postgres
here.chmod(0o755)
for turn in (1, 2):
    with Supervisor(here) as supervisor:
        postgres = Postgres(here / "pg", here / "postgres.log", is_for_tests=True)
        url = start_postgres(supervisor, postgres, "mine")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (turn int)")
            connection.execute("INSERT INTO kept VALUES (%s)", [turn])
            rows = connection.execute("SELECT count(*) FROM kept").fetchone()
            listens = connection.execute("SHOW listen_addresses").fetchone()
        assert (rows, listens) == ((turn,), ("",)), (rows, listens)
        assert (postgres.data.stat().st_mode & 0o777) == 0o700
    assert not (here / "pg" / "postmaster.pid").exists()
""",
    )


@pytest.mark.processes
def test_the_product_starts_stops_within_ten_seconds_and_starts_again(tmp_path: Path) -> None:
    """What `./run` hands over to, on an empty folder and then on the one it left."""
    tmp_path.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL", "AQUIFER_SECRET_KEY"}}
    env |= {"AQUIFER_DATA_DIR": str(tmp_path), "AQUIFER_MODE": "local", "AQUIFER_FRONTEND_DIST": str(tmp_path)}
    command = [sys.executable, "manage.py", "up", "--no-demo", "--port", str(port)]
    for _ in range(2):
        with (
            (tmp_path / "said").open("w") as log,
            subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log) as process,
        ):
            assert until(lambda: "Aquifer is ready" in said(tmp_path) or process.poll() is not None, 240)
            assert f"http://127.0.0.1:{port}/login/once#" in said(tmp_path), said(tmp_path)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            connection.close()
            asked = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            assert time.monotonic() - asked < 10
        assert of_this_folder(tmp_path) == []
        assert "Nothing is left running" in said(tmp_path)


def said(folder: Path) -> str:
    return (folder / "said").read_text()


def of_this_folder(folder: Path) -> list[str]:
    """Processes that carry this folder in their environment or command."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                text = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(str(folder)) in text:
                found.append(process.name)
    return found
