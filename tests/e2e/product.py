"""The whole product as processes for one test session: web, worker, beat and the agent of this machine.

Its own database on the test server, its own folder, a port of its own; HTTP is the only way in.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


class Refused(Exception):
    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem}")
        self.status, self.problem = status, problem


class Client:
    """A program with an access token."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.token}", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return json.loads(text) if answer.headers.get_content_type().endswith("json") else text.decode()
        except urllib.error.HTTPError as error:
            raise Refused(error.code, json.loads(error.read() or b"{}")) from error

    def get(self, path: str) -> Any:
        return self("GET", path)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("POST", path, body if body is not None else {}, **headers)


def until(look: Callable[[], T], *, seconds: float = 120.0, what: str = "") -> T:
    """What `look` gives as soon as it is true; fails with its last answer when time is up."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"Still waiting after {seconds:.0f} s for {what or look}: {found!r}")
        time.sleep(0.2)


class Product:
    """Start, look into, and kill parts of one running Aquifer."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.database = f"aquifer_e2e_{os.getpid()}"
        self._server = server
        parts = urlsplit(server)
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("AQUIFER_", "PYTEST"))},
            "AQUIFER_MODE": "local",
            "AQUIFER_DATA_DIR": str(folder),
            "AQUIFER_PUBLIC_URL": self.url,
            "AQUIFER_FRONTEND_DIST": str(ROOT / "frontend" / "dist"),
            "DATABASE_URL": urlunsplit(parts._replace(path=f"/{self.database}")),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "agent")]),
            "PYTHONWARNINGS": "ignore",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.port = port

    def start(self) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{self.database}"')
        self.manage("migrate", "-v0")
        self.start_web()
        self.start_workers()
        self.start_planner()

    def start_web(self) -> None:
        arguments = ["-m", "uvicorn", "portal.asgi:application", "--port", str(self.port), "--log-level", "warning"]
        self._spawn("web", arguments, AQUIFER_PROCESS="web")
        until(self._answers, what="the web server")

    def start_workers(self, **env: str) -> None:
        celery = ["-m", "celery", "-A", "portal.celery", "--quiet"]
        worker = [
            *celery,
            "worker",
            "-Q",
            "core,sites",
            "-c",
            "2",
            "--without-gossip",
            "--without-mingle",
            "-l",
            "warning",
        ]
        self._spawn("worker", worker, **env)
        self._spawn(
            "beat", [*celery, "beat", "--schedule", str(self.folder / "beat"), "--pidfile", "", "-l", "warning"]
        )

    def start_planner(self) -> None:
        self._spawn("planner", [str(ROOT / "manage.py"), "plan_queues"], AQUIFER_PROCESS="planner")

    def start_watcher(self) -> None:
        if "watcher" not in self.processes:  # several tests want one
            self._spawn("watcher", [str(ROOT / "manage.py"), "watch_sites"], AQUIFER_PROCESS="watcher")

    def start_agent(self) -> None:
        """This machine as a site: enrolled by a one-time token, then dialling out."""
        token = self.manage("enrol_this_machine", "--print-join-token").strip()
        state = ["--state-dir", str(self.folder / "agent")]
        if token:
            command = ["-m", "aquifer_agent", "enrol", "--hub", self.url, "--join-token-env", "JOIN", *state]
            self._run(command, JOIN=token)
        self._spawn("agent", ["-m", "aquifer_agent", "run", "--on-exit", "keep", *state])

    def manage(self, *arguments: str) -> str:
        return self._run([str(ROOT / "manage.py"), *arguments])

    def token(self) -> str:
        """A key of the platform's admin, made as `./run` makes its login: on the machine itself."""
        return self.manage("access_token", "--user", "admin").strip()

    def kill(self, name: str) -> None:
        """As a power cut would: at once, with all its children. The agent's work is no part of the agent."""
        process = self.processes.pop(name)
        if name != "agent":
            for child in _below(process.pid):
                os.kill(child, 9)
        process.kill()
        process.wait(10)

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)
        for child in _below(os.getpid()):  # work of the agent, if a test ended before it did
            if (Path("/proc") / str(child) / "cmdline").read_bytes().find(b"aquifer_agent") >= 0:
                os.kill(child, 9)
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _run(self, arguments: list[str], **env: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], env=self.env | env, capture_output=True, text=True, timeout=540, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def _spawn(self, name: str, arguments: list[str], **env: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *arguments], env=self.env | env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )


def _below(pid: int) -> list[int]:
    """Every process below this one, deepest last."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                found += [int(folder.name), *_below(int(folder.name))]
    return found


@contextmanager
def running(folder: Path) -> Iterator[Product]:
    product = Product(folder, os.environ["DATABASE_URL"])
    product.start()
    try:
        yield product
    finally:
        product.stop()
