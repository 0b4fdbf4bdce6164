"""What a run reads from and writes to disks, counted over its whole process tree and children that have ended."""

import os
import subprocess
import sys
from pathlib import Path

from aquifer_agent import processes
from aquifer_agent.machine import Meter


def test_bytes_of_children_that_ended_are_their_parents(tmp_path: Path) -> None:
    write = f"import os; f = os.open({str(tmp_path / 'x')!r}, 65); os.write(f, bytes(4 << 20)); os.fsync(f)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {write!r}]); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None and running.stdout.readline() == "1\n"
        read, written = processes.disk_bytes([running.pid])
        assert read is not None and written is not None
        in_memory = os.statvfs(tmp_path).f_fsid == os.statvfs("/dev/shm").f_fsid
        assert in_memory or written >= 4 << 20
        running.communicate("")
    assert processes.disk_bytes([running.pid]) == (None, None), "it is gone"


def test_a_rate_is_what_was_added_between_two_looks() -> None:
    meter = Meter()
    assert meter.per_second(10, 1) is None, "the first look has nothing to compare with"
    meter._last = (0, meter._last[1] - 2.0) if meter._last else None
    assert meter.per_second(4096, 1024) in (1, 2)
    assert meter.per_second(None, 1024) is None
    assert meter.per_second(9999, 1024) is None, "nobody counted meanwhile"
