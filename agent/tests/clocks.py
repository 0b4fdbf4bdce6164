"""Clocks of an agent under test, moved from outside: a `sitecustomize` that Python loads before the agent.

`wall` is a file with seconds that the wall clock is off by, read at each look, so it can jump while the agent runs.
`rate` makes its monotonic clock, and how long it sleeps by it, run faster: an hour without a network takes seconds.
"""

from pathlib import Path

WALL, RATE = "TEST_CLOCK_WALL", "TEST_CLOCK_RATE"
_CODE = f"""
import os, select, time

if file := os.environ.get({WALL!r}):
    real_time = time.time

    def moved():
        with open(file) as off:
            return real_time() + float(off.read() or 0)

    time.time = moved
if rate := float(os.environ.get({RATE!r}, 0)):
    real_monotonic, real_select, began = time.monotonic, select.select, time.monotonic()
    time.monotonic = lambda: began + (real_monotonic() - began) * rate

    def shorter(reading, writing, failing, seconds=None):
        return real_select(reading, writing, failing, None if seconds is None else seconds / rate)

    select.select = shorter
"""


def install(folder: Path) -> str:
    """The folder that goes before all others into PYTHONPATH."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_CODE)
    return str(folder)
