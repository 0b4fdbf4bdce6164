"""A child process in its own session, and the certainty that nothing of it stays behind."""

# ruff: noqa: S603 - every command here is our own

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LIBC = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Grandchildren whose parent died become ours, so that `sweep_up` can find them."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def dies_with_parent(sign: int) -> Callable[[], None]:
    """For `preexec_fn`: the kernel sends `sign` to the child when the thread that started it is gone."""
    parent = os.getpid()

    def ask() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask


@dataclass(kw_only=True)
class Child:
    """What to start, how to stop it, and the process while there is one."""

    name: str
    command: Sequence[str | Path]
    env: Mapping[str, str]
    colour: int = 0
    user: int | None = None
    group: int | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 2.0
    log: Path | None = None  # its lines go straight there, and not to the terminal
    is_restarted: bool = True
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    restart_at: float | None = None
    crashes: int = 0
    session: int | None = None  # the one it opened, until that has been cleared
    rest: bytes = field(default=b"", repr=False)  # the unfinished last line of its output

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def start(self) -> None:
        self.restart_at, self.started_at, self.rest = None, time.monotonic(), b""
        log = self.log.open("ab") if self.log else None
        self.process = subprocess.Popen(
            [str(part) for part in self.command],
            env=dict(self.env),
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=self.user,
            group=self.group,
            extra_groups=[] if self.user is not None else None,
            # One thread only in this process, so running Python between fork and exec is safe.
            preexec_fn=dies_with_parent(self.stop_signal),
        )
        self.session = self.process.pid
        if log:
            log.close()
        if self.process.stdout:
            os.set_blocking(self.process.stdout.fileno(), False)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, sign: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sign)

    def kill_session(self) -> None:
        """Everything that still is in the session this child opened, the child included. Once: numbers are reused."""
        if self.session is not None:
            for pid in session_members(self.session):
                _kill(pid)
            self.session = None


def session_members(session: int) -> list[int]:
    """Processes of a session, of those below this process: a session of that number elsewhere is not ours."""
    seen = _processes()
    ours, fresh = set[int](), {os.getpid()}
    while fresh:
        ours |= fresh
        fresh = {pid for pid, (parent, _, _) in seen.items() if parent in fresh and pid not in ours}
    return [pid for pid in ours if pid in seen and seen[pid][1] == session and seen[pid][2] not in "ZX"]


def children_of(parent: int) -> dict[int, str]:
    """Process ids below `parent`, one level, with their state letter."""
    return {pid: state for pid, (ppid, _, state) in _processes().items() if ppid == parent}


def sweep_up(seconds: float = 1.0) -> list[int]:
    """Kill and reap every process still below this one; those that would not go, if any, are returned.

    Children of a killed process become ours (`adopt_orphans`), so going round until none is left ends with
    the whole tree gone.
    """
    until = time.monotonic() + seconds
    while left := children_of(os.getpid()):
        for pid, state in left.items():
            if state != "Z":
                _kill(pid)
        reap_strangers(set())
        if time.monotonic() > until:
            return sorted(children_of(os.getpid()))
        time.sleep(0.01)
    return []


def reap_strangers(ours: set[int]) -> None:
    """Collect ended orphans. Children of our own are left to their `Popen`, which wants the exit code."""
    try:
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in ours:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)
    except ChildProcessError:
        return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _processes() -> dict[int, tuple[int, int, str]]:
    """pid -> (parent, session, state) from /proc."""
    seen: dict[int, tuple[int, int, str]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            stat = Path("/proc", name, "stat").read_bytes()
        except OSError:
            continue
        state, parent, _, session = stat[stat.rindex(b")") + 2 :].split()[:4]
        seen[int(name)] = (int(parent), int(session), state.decode())
    return seen
