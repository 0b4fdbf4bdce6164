"""The limits of one run: a cgroup, v1 or v2, or else the limits of a single process.

A cgroup is one or more directories; what each can limit shows in the files it has, so v1 and v2 share code.
"""

import os
import resource
import signal
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

MOST_PROCESSES = 4096
_PERIOD_US = 100_000
_MIB = 1024 * 1024


class LimitKind(StrEnum):
    CGROUP2 = "cgroup2"
    CGROUP1 = "cgroup1"
    RLIMIT = "rlimit"


@dataclass(frozen=True, slots=True)
class Group:
    kind: LimitKind = LimitKind.RLIMIT
    paths: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Group":
        return cls(LimitKind(value.get("kind", LimitKind.RLIMIT)), tuple(value.get("paths", ())))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def create(self, *, cpu_milli: int, memory_mib: int) -> None:
        """Make it and set its limits; a limit of 0 is none. Raises OSError if memory cannot be limited."""
        memory = str(memory_mib * _MIB)
        quota = str(max(1000, cpu_milli * _PERIOD_US // 1000))
        for path in map(Path, self.paths):
            path.mkdir(parents=True, exist_ok=True)
            if memory_mib > 0:
                for file in ("memory.max", "memory.limit_in_bytes"):
                    if (path / file).exists():
                        (path / file).write_text(memory)
                write_optional(path / "memory.swap.max", "0")
                write_optional(path / "memory.oom.group", "1")
                write_optional(path / "memory.memsw.limit_in_bytes", memory)
            if cpu_milli > 0:
                write_optional(path / "cpu.max", f"{quota} {_PERIOD_US}")
                write_optional(path / "cpu.cfs_period_us", str(_PERIOD_US))
                write_optional(path / "cpu.cfs_quota_us", quota)
            write_optional(path / "pids.max", str(MOST_PROCESSES))

    def enter(self) -> None:
        """Move the calling process in; its children follow."""
        for path in self.paths:
            Path(path, "cgroup.procs").write_text("0")

    def limit_this_process(self, memory_mib: int, *, has_devices: bool) -> None:
        """Where there is no cgroup: per process, so a tree of processes may use a multiple of it.

        Drivers of accelerators reserve far more addresses than they use, and fail under RLIMIT_AS; RLIMIT_DATA
        counts only private memory that can be written.
        """
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file of a large process fills the disk
        if self.kind != LimitKind.RLIMIT:
            return
        os.nice(5)
        if memory_mib > 0:
            which = resource.RLIMIT_DATA if has_devices else resource.RLIMIT_AS
            resource.setrlimit(which, (memory_mib * _MIB, memory_mib * _MIB))

    def pids(self) -> list[int]:
        found: set[int] = set()
        for path in self.paths:
            try:
                found.update(int(pid) for pid in Path(path, "cgroup.procs").read_text().split())
            except OSError:
                continue
        return sorted(found)

    def kill(self) -> None:
        """Kill all members at once where the kernel can (v2), else one by one: call it until none is left."""
        for path in self.paths:
            write_optional(Path(path, "cgroup.kill"), "1")
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed a member for want of memory."""
        for path in self.paths:
            for file in ("memory.events", "memory.oom_control"):
                try:
                    lines = Path(path, file).read_text().splitlines()
                except OSError:
                    continue
                if any(line.startswith("oom_kill ") and int(line.split()[1]) > 0 for line in lines):
                    return True
        return False

    def remove(self) -> bool:
        """The kernel lets go of a member a moment after it has ended, hence the few tries. False if some stay."""
        for path in map(Path, self.paths):
            for _ in range(20):
                if remove_directory(path):
                    break
                time.sleep(0.005)
        return not any(os.path.exists(path) for path in self.paths)


def remove_directory(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def write_optional(file: Path, text: str) -> None:
    """Set what the kernel was built with and what was delegated to us; the rest is no loss."""
    try:
        if file.exists():
            file.write_text(text)
    except OSError:
        return
