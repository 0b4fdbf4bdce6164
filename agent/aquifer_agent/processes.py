"""Processes as /proc shows them, named so that a recycled pid is never mistaken for the one we knew."""

import ctypes
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 1, 36, 38  # prctl(2)


def boottime() -> float:
    """Seconds since the machine started, the same for every process on it; no wall clock moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def boot_id() -> str:
    """Changes with every start of the machine: pids and boottime mean nothing across one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    state: str
    parent: int
    session: int
    cpu_ticks: int  # its own, and of its children that have ended
    started_ticks: int
    rss_bytes: int

    @property
    def is_dead(self) -> bool:
        """A zombie holds nothing but its number."""
        return self.state in "ZX"


def read(pid: int) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    field = text[text.rindex(")") + 2 :].split()  # the name before it may hold blanks and brackets
    return Process(
        pid=pid,
        state=field[0],
        parent=int(field[1]),
        session=int(field[3]),
        cpu_ticks=sum(map(int, field[11:15])),
        started_ticks=int(field[19]),
        rss_bytes=int(field[21]) * _PAGE_BYTES,
    )


def table() -> dict[int, Process]:
    """Every process of the machine that we may see, by pid."""
    found = (read(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process}


def descendants(root: int, processes: Mapping[int, Process]) -> list[Process]:
    """All below `root`, not itself. A sub-reaper keeps its orphans below it, so none can slip away."""
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    queue = [root]
    while queue:
        below = children.pop(queue.pop(), [])
        found += below
        queue += [process.pid for process in below]
    return found


def disk_bytes(pids: Iterable[int]) -> tuple[int, int] | tuple[None, None]:
    """Read from disks and written to them, by these and their children that ended; None where we may not look."""
    read = written = 0
    may_look = False
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        except OSError:  # it has ended, is somebody else's, or this kernel does not count
            continue
        counts = {name: int(value) for name, _, value in (line.partition(":") for line in lines)}
        may_look = True
        read += counts.get("read_bytes", 0)
        written += counts.get("write_bytes", 0)
    return (read, written) if may_look else (None, None)


def in_session(leader: Mapping[str, Any], processes: Mapping[int, Process]) -> list[Process]:
    """The session that this process led. Its number stays taken while a member lives, even without the leader."""
    number = leader.get("pid")
    head = processes.get(number) if isinstance(number, int) else None
    if not is_of_this_boot(leader) or (head and head.started_ticks != leader.get("started_ticks")):
        return []
    return [process for process in processes.values() if process.session == number and not process.is_dead]


def marked(mark: str, processes: Iterable[int] | None = None) -> list[int]:
    """Who was started with this `NAME=value` in the environment, as far as we may look."""
    found = []
    for pid in processes if processes is not None else table():
        try:
            if mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found


# One process and no other, ever: {"pid", "started_ticks", "boot_id"}, as it is kept in files.


def identity(pid: int) -> dict[str, Any]:
    process = read(pid)
    return {"pid": pid, "started_ticks": process.started_ticks if process else -1, "boot_id": boot_id()}


def is_of_this_boot(who: Mapping[str, Any]) -> bool:
    return who.get("boot_id") == boot_id()


def is_alive(who: Mapping[str, Any]) -> bool:
    pid = who.get("pid")
    process = read(pid) if isinstance(pid, int) and pid > 0 and is_of_this_boot(who) else None
    return process is not None and process.started_ticks == who.get("started_ticks") and not process.is_dead


def send(who: Mapping[str, Any], number: signal.Signals) -> bool:
    """Signal it; False if it is gone. We hold it by descriptor before we look, so it cannot be swapped."""
    pid = who.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_alive(who):
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def kill(process: Process) -> None:
    """SIGKILL to exactly this one."""
    send({"pid": process.pid, "started_ticks": process.started_ticks, "boot_id": boot_id()}, signal.SIGKILL)


# What a process asks of the kernel for itself.


def become_subreaper() -> None:
    """Orphans below us become our children, however often they fork and whatever session they make."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """SIGKILL for us when our parent ends. A change of user undoes it, so it comes after that."""
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)


def take_no_privileges() -> None:
    """No set-uid program can raise us again."""
    _prctl(_SET_NO_NEW_PRIVS, 1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")
