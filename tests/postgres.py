"""Real Postgres for the tests: DATABASE_URL, or an embedded server of our own for this run.

A pytest plugin (pyproject.toml loads it by name), because Django reads its settings before any conftest.
"""

import atexit
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from portal.supervise.postgres import Postgres

os.environ.setdefault("AQUIFER_MODE", "test")


def _start() -> str:
    """The address of a throw-away server that ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="aquifer-test-"))
    folder.chmod(0o755)  # as root the server runs as a user of its own
    postgres = Postgres(folder / "pg", folder / "log", is_for_tests=True)
    postgres.prepare()
    child = postgres.child()
    child.start()

    def stop() -> None:
        child.signal(child.stop_signal)
        if child.process:
            child.process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    until = time.monotonic() + 20
    while not postgres.is_ready():
        if time.monotonic() > until:
            raise RuntimeError(f"The test Postgres did not start: {(folder / 'log').read_text()[-500:]}")
        time.sleep(0.05)
    return postgres.url("postgres")


if not os.environ.get("DATABASE_URL") and "no:django" not in sys.argv:
    os.environ["DATABASE_URL"] = _start()
