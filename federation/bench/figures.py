"""What benches share: a database of their own, figures of time and memory."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

from celery import current_app
from django.db import OperationalError, connection, connections

MOST_SECONDS = "-c lock_timeout=60s -c statement_timeout=600s"


class BenchError(Exception):
    """It cannot be measured; the text says why."""


@contextmanager
def database() -> Iterator[None]:
    """Migrated and empty, beside the configured one, which is not touched. Hints go nowhere.

    Tests have such a database already, and use that.
    """
    if os.environ.get("AQUIFER_MODE") == "test" and str(connection.settings_dict["NAME"]).startswith("test_"):
        yield
        return
    current_app.conf.update(broker_url="memory://")
    settings, before = connection.settings_dict, connection.settings_dict["NAME"]
    settings["TEST"]["NAME"] = f"aquifer_bench_{os.getpid()}"
    settings["OPTIONS"]["options"] = MOST_SECONDS
    try:
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    except OperationalError as error:
        raise BenchError(f"No database can be made for the bench: {error}") from error
    try:
        yield
    finally:
        connections.close_all()
        connection.creation.destroy_test_db(before, verbosity=0)


class Clock:
    """with Clock() as clock: ...; then clock.seconds of the wall and clock.cpu of this process."""

    seconds = cpu = 0.0

    def __enter__(self) -> "Clock":
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def spread(name: str, seconds: Sequence[float]) -> dict[str, Any]:
    """p50, p99 and the longest, in milliseconds, and of how many."""
    if not seconds:
        return {f"{name}_count": 0}
    figures = {"p50": percentile(seconds, 50), "p99": percentile(seconds, 99), "max": max(seconds)}
    return {f"{name}_count": len(seconds), **{f"{name}_{k}_ms": round(v * 1000, 1) for k, v in figures.items()}}


def memory_mib(field: str = "VmRSS") -> float:
    """Of this process: VmRSS is now, VmHWM the most there ever was."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def copy_seconds(rows: int) -> float:
    """How long plain COPY takes for so many rows of the size of a device, with its two indexes: the limit of any way
    of writing them on this machine."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE bench_rows (id uuid PRIMARY KEY, node uuid, name text, f1 int, f2 int, f3 int)"
        )
        cursor.execute("CREATE INDEX ON bench_rows (name)")
        with Clock() as clock, cursor.copy("COPY bench_rows FROM STDIN") as copy:
            for number in range(rows):
                one = f"{number:032x}"
                copy.write_row((one, one, f"GPU-{one}", number, 80_000, 1000))
        cursor.execute("DROP TABLE bench_rows")
    return clock.seconds
