"""`./run`: refusals in words, an environment made once, secrets kept."""

import ast
import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from portal.supervise import console, environment, lock, product
from portal.supervise.output import rotate
from portal.supervise.steps import Failed, in_words

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "run"


def start(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUN), *arguments]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False)


# -- refusals ------------------------------------------------------------------------------------


def test_older_python_can_read_the_file_as_far_as_the_refusal() -> None:
    ast.parse(RUN.read_text(encoding="utf-8"), feature_version=(3, 7))


def test_older_python_is_refused_in_words() -> None:
    code = f"import sys; sys.version_info = (3, 9, 2); exec(open({str(RUN)!r}).read())"
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr.strip() == "Aquifer needs Python 3.11 or newer; this is 3.9. Install a newer one and start again."
    )


def test_a_port_in_use_is_one_line_with_a_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = start("--port", str(port), AQUIFER_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in done.stderr
    assert f"./run --port {port + 1}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("port", ["0", "70000"])
def test_an_impossible_port_is_one_line(tmp_path: Path, port: str) -> None:
    done = start("--port", port, AQUIFER_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"{port} is not a port" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_one_line() -> None:
    done = start(AQUIFER_DATA_DIR="/proc/aquifer")
    assert done.returncode == 1
    assert "/proc/aquifer" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_second_start_is_told_where_the_first_one_is(tmp_path: Path) -> None:
    held = lock.take(tmp_path / "run.lock")
    lock.write(held, "http://127.0.0.1:8123")
    try:
        done = start(AQUIFER_DATA_DIR=str(tmp_path))
    finally:
        os.close(held)
    assert done.returncode == 1
    assert f"running already at http://127.0.0.1:8123 (process {os.getpid()})" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    os.close(lock.take(tmp_path / "run.lock"))
    os.close(lock.take(tmp_path / "run.lock"))


def test_a_full_disk_is_said_before_anything_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "LOCAL", tmp_path)
    monkeypatch.setattr(environment, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(environment, "PYTHON", tmp_path / "venv" / "bin" / "python")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=20 * 2**20))
    with pytest.raises(Failed, match=r"Only 20 MiB are free in .*; Aquifer needs 1200 MiB"):
        environment.prepare("run")


def test_a_disk_that_fills_up_is_said_in_words() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/x/y")
    assert in_words(error) == "The disk is full (/x/y). Make room and start again."


def test_doctor_changes_nothing(tmp_path: Path) -> None:
    done = start("--doctor", AQUIFER_DATA_DIR=str(tmp_path / "new"), PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert "package index http://127.0.0.1:9/simple/uv/ cannot be reached" in done.stdout
    assert done.returncode == 1
    assert not (tmp_path / "new").exists()


# -- the environment -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "copied"),
    [
        ({"PIP_INDEX_URL": "https://a/simple"}, {"UV_DEFAULT_INDEX": "https://a/simple"}),
        ({"UV_DEFAULT_INDEX": "https://b/simple"}, {"PIP_INDEX_URL": "https://b/simple"}),
        ({"PIP_INDEX_URL": "https://a/simple", "UV_DEFAULT_INDEX": "https://b/simple"}, {}),
        ({"PIP_CERT": "/ca.pem"}, {"SSL_CERT_FILE": "/ca.pem"}),
    ],
)
def test_a_mirror_told_to_one_installer_is_told_to_the_other(told: dict[str, str], copied: dict[str, str]) -> None:
    assert environment.mirrors({"HOME": "/tmp", **told}) == {"UV_PYTHON_DOWNLOADS": "never", **copied}


def test_packages_are_installed_anew_when_the_lock_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment_in(tmp_path, monkeypatch)
    synced: list[str] = []
    monkeypatch.setattr(environment, "sync", lambda uv, python, name: synced.append(name))

    environment.prepare("run")
    environment.prepare("run")
    assert synced == ["run"]
    (tmp_path / "requirements" / "run.lock").write_text("run 2")
    environment.prepare("run")
    environment.prepare("dev")
    assert synced == ["run", "run", "dev"]
    environment.prepare("run")  # what tests need includes what running needs
    assert synced == ["run", "run", "dev"]


def test_an_environment_left_half_made_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv = environment_in(tmp_path, monkeypatch)
    called: list[str] = []
    monkeypatch.setattr(environment, "_call", lambda command, doing: called.append(doing))

    def full_disk(*_: object) -> None:
        raise Failed("The disk is full")

    monkeypatch.setattr(environment, "sync", lambda *_: None)
    environment.prepare("run")
    (tmp_path / "requirements" / "run.lock").write_text("run 2")
    monkeypatch.setattr(environment, "sync", full_disk)
    called.clear()
    with pytest.raises(Failed):
        environment.prepare("run")
    assert called == []  # a whole environment is brought up to date as it is
    monkeypatch.setattr(environment, "sync", lambda *_: None)
    environment.prepare("run")
    assert called == ["making .local/venv"]
    assert (venv / ".aquifer-lock").exists()


def environment_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with locks and a venv of this Python, in which nothing is really installed."""
    (folder / "requirements").mkdir()
    for name in ("run", "dev"):
        (folder / "requirements" / f"{name}.lock").write_text(f"{name} 1")
    venv = folder / "venv"
    (venv / "lib" / f"python3.{sys.version_info.minor}" / "site-packages").mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "bin" / "python").symlink_to(sys.executable)
    places = {"ROOT": folder, "LOCAL": folder, "LOGS": folder / "logs", "VENV": venv, "PYTHON": venv / "bin" / "python"}
    for name, value in places.items():
        monkeypatch.setattr(environment, name, value)
    monkeypatch.setattr(environment, "installer", lambda: "uv")
    monkeypatch.setattr(environment, "_call", lambda command, doing: None)
    return venv


def test_the_console_is_built_again_when_a_source_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "SOURCES", tmp_path)
    monkeypatch.setattr(console, "DIST", tmp_path / "dist")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.ts").write_text("one")
    (tmp_path / ".gitignore").write_text("node_modules/\ndist/\nsrc/made/*/messages.ts\n")
    assert not console.is_built()
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "sources.sha256").write_text(console.digest(tmp_path) + "\n")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "x.js").write_text("not ours")
    (tmp_path / "src" / "made" / "en").mkdir(parents=True)
    (tmp_path / "src" / "made" / "en" / "messages.ts").write_text("compiled")
    assert console.is_built()
    (tmp_path / "src" / "main.ts").write_text("two")
    assert not console.is_built()


def test_the_secret_key_is_made_once_and_readable_by_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AQUIFER_SECRET_KEY", raising=False)
    key = product.secret_key(tmp_path / "key")
    assert len(key) >= 32
    assert product.secret_key(tmp_path / "key") == key
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_the_agent_gets_none_of_the_hubs_secrets() -> None:
    env = {
        "AQUIFER_SECRET_KEY": "k",
        "AQUIFER_CREDENTIAL_KEYS": "c",
        "DATABASE_URL": "d",
        "REDIS_URL": "r",
        "PATH": "/bin",
    }
    address = product.Address("127.0.0.1", 8000)
    for child in (product.agent(env), product.agent_enrolment(env, address, "token")):
        assert not {"k", "c", "d", "r"} & set(child.env.values())
        assert "token" not in map(str, child.command)  # the process list is public


def test_the_agent_follows_its_hub_to_another_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "AGENT_STATE", tmp_path)
    product.point_agent(product.Address("127.0.0.1", 8000))
    assert list(tmp_path.iterdir()) == []
    identity = {"hub": "http://127.0.0.1:8000", "agent_token": "t", "allow_http": False}
    (tmp_path / "identity.json").write_text(json.dumps(identity))
    product.point_agent(product.Address("localhost", 8001))
    moved = json.loads((tmp_path / "identity.json").read_text())
    assert moved == identity | {"hub": "http://localhost:8001"}
    assert (tmp_path / "identity.json").stat().st_mode & 0o777 == 0o600
    product.point_agent(product.Address("192.0.2.7", 8001))
    moved = json.loads((tmp_path / "identity.json").read_text())
    assert moved == identity | {"hub": "http://192.0.2.7:8001", "allow_http": True}


def test_logs_of_earlier_starts_are_kept_thrice(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    for number in range(6):
        log.write_text(str(number))
        rotate(log)
    assert [(tmp_path / f"web.log.{n}").read_text() for n in (1, 2, 3)] == ["5", "4", "3"]
    assert len(list(tmp_path.iterdir())) == 3
