"""The product's own worker and beat as processes, over a broker of files in a folder of the test."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlencode

from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
LEASE_SECONDS = 3  # a killed worker's rows are free again after this
_CELERY = [sys.executable, "-m", "celery", "-A", "portal.celery", "--quiet"]


class Workers:
    """Starts and stops them. What they say goes to `log`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self._running: list[subprocess.Popen[bytes]] = []
        self._env = {
            **os.environ,
            "AQUIFER_MODE": "test",
            "AQUIFER_DATA_DIR": str(folder),
            "AQUIFER_LEASE_SECONDS": str(LEASE_SECONDS),
            "DATABASE_URL": _url(),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PYTHONWARNINGS": "ignore",
        }

    @property
    def broker(self) -> Path:
        return self.folder / "broker"

    def beat(self) -> None:
        command = ["beat", "--loglevel", "warning", "--schedule", str(self.folder / "schedule"), "--pidfile", ""]
        self._start(command)

    def worker(self, *, crash_at: str = "", pool: str = "solo") -> subprocess.Popen[bytes]:
        """A worker. In the `solo` pool it works itself, so a crash point kills all of it, as a power cut would."""
        command = ["worker", "-Q", "core,sites", "-P", pool, "-c", "2", "--without-gossip", "--without-mingle"]
        crash = {"AQUIFER_CRASH_AT": crash_at, "AQUIFER_CRASH_ONCE": str(self.once(crash_at))} if crash_at else {}
        return self._start([*command, "--loglevel", "warning"], **crash)

    def once(self, crash_at: str) -> Path:
        """Is there once a process has died at this point."""
        return self.folder / f"crashed-{crash_at}"

    def _start(self, command: list[str], **env: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*_CELERY, *command], env={**self._env, **env}, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        self._running.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Let it finish what it has in hand."""
        process.send_signal(signal.SIGTERM)
        process.wait(30)

    def end(self) -> None:
        for process in self._running:
            if process.poll() is None:  # the number of one that was reaped may be somebody else's by now
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def until(self, is_so: Callable[[], bool], what: str, seconds: float = 100.0) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} within {seconds:.0f} s. They said:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.1)


def _url() -> str:
    """The test database, as DATABASE_URL names it."""
    parts = connection.settings_dict
    query = urlencode({key: parts[key.upper()] for key in ("host", "port") if parts[key.upper()]})
    secret = f":{quote(parts['PASSWORD'])}" if parts["PASSWORD"] else ""
    return f"postgresql://{quote(parts['USER'])}{secret}@/{quote(parts['NAME'])}?{query}"
