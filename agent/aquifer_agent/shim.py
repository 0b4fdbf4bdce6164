"""`python -m aquifer_agent.shim <run folder>`: runs one command to its end, and outlives the agent.

It claims the run, starts the command, keeps its log within bounds, sees to time limit and stop, waits until
the last process below it is gone, and writes exit.json. It does so once: a run that is claimed stays claimed.
"""

import contextlib
import errno
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

from aquifer_agent import containers, crash, files, launch, processes, pulling
from aquifer_agent import folder as f
from aquifer_agent.limits import Group

PROGRESS_SECONDS = 5.0
_CUT = b"\n[aquifer: the log is full; what follows is not kept]\n"
_EXIT_ROOM = 4096
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO})


class Log:
    """output.log, up to its bound. A full disk loses output, never the work."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._room = f.MOST_LOG_BYTES - len(_CUT)
        self._is_cut = False

    def add(self, data: bytes) -> None:
        if self._is_cut:
            return
        kept = data[: self._room]
        self._room -= len(kept)
        if len(kept) < len(data):
            self._is_cut = True
            kept += _CUT
        with contextlib.suppress(OSError):
            files.write_all(self._fd, kept)


class Shim:
    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self.folder = folder
        self.plan = plan
        self.spec: dict[str, Any] = plan["spec"]
        self.container: dict[str, Any] = plan.get("container") or {}
        self.group = Group() if self.container else Group.from_json(plan.get("limits") or {})
        self.reason = ""
        self.status: int | None = None  # of the command itself, as waitpid gives it
        self.stop_wanted = False
        self.kill_at: float | None = None
        self.last: containers.State | None = None  # of the container, once it has ended

    def run(self) -> None:
        self._prepare()
        if (self.folder / f.STOP).exists():  # the wish to end came before the start
            self._grace_wanted()
            self._write_exit(f.exit_record(launch.COULD_NOT_START, 0.0, self.reason))
            return
        try:
            self.group.create(cpu_milli=self._number("cpu_milli"), memory_mib=self._number("memory_mib"))
        except OSError as error:
            self._write_exit(f.exit_record(launch.COULD_NOT_START, 0.0, "LimitsFailed", str(error)))
            return
        if self.container and (why := pulling.fetch(self)):
            self._write_exit(f.exit_record(launch.COULD_NOT_START, 0.0, *why))
            return
        child = launch.fork(self.plan, self.home, self.group)
        crash.point("shim-forked")
        self.pid, self.output = child.pid, child.output
        self.began = processes.boottime()
        started = {**processes.identity(self.pid), "began": self.began, "began_at": time.time()}
        files.write_json(self.folder / f.STARTED, started)
        crash.point("shim-start-written")
        failure = child.go()
        crash.point("shim-released")
        if failure:
            self._end_all()
            self._write_exit(f.exit_record(failure[0], 0.0, failure[1], failure[2]))
            return
        self._watch()
        crash.point("shim-command-ended")
        self.last = containers.look(self.container) if self.container else None
        self._end_all()
        ran = processes.boottime() - self.began  # as long as anything of it held the machine
        self._drain()
        crash.point("shim-group-gone")
        self._write_exit(self._record(ran))
        crash.point("shim-exit-written")

    def _prepare(self) -> None:
        """Everything that needs room on the disk, before anything is started."""
        self.home = launch.make_home(self.folder, self.plan.get("run_as"))
        self.log = Log(self.folder / f.LOG)
        if self.container:
            containers.write_environment(self.folder, self.plan)
        self.reserve = os.open(self.folder / ".exit", os.O_RDWR | os.O_CREAT, 0o600)
        os.posix_fallocate(self.reserve, 0, _EXIT_ROOM)
        self.progress = os.open(self.folder / f.PROGRESS, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(self.progress, b"%-16.3f" % 0.0, 0)
        self.wake, wake_write = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)

    def _number(self, name: str) -> int:
        return int(self.spec.get(name) or 0)

    def _watch(self) -> None:
        """Until the command has ended, or, once it is told to stop, until all of it has ended or grace is over."""
        limit = self.spec.get("max_seconds")
        limit_at = self.began + float(limit) if limit is not None else None
        progress_at = self.began + PROGRESS_SECONDS
        poller = select.poll()
        poller.register(self.wake, select.POLLIN)
        poller.register(self.output, select.POLLIN)
        while True:
            now = processes.boottime()
            if self.stop_wanted:
                self.stop_wanted = False
                self._stop(now, self._grace_wanted())
            if limit_at is not None and now >= limit_at:
                limit_at = None
                self.reason = self.reason or "TimeLimit"
                self._stop(now, self._grace())
            is_alone = self._reap()
            if is_alone or (self.kill_at is not None and now >= self.kill_at):
                return
            if self.status is not None and self.kill_at is None:
                return  # it ended by itself: what it left behind goes now
            if now >= progress_at:
                progress_at = now + PROGRESS_SECONDS
                with contextlib.suppress(OSError):
                    os.pwrite(self.progress, b"%-16.3f" % (now - self.began), 0)
            until = min(at for at in (progress_at, limit_at, self.kill_at) if at is not None)
            for fd, _ in poller.poll(max(0.0, until - now) * 1000 + 1):
                if fd == self.wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.wake, 4096)
                elif not self._read_some():
                    poller.unregister(self.output)

    def _read_some(self) -> bool:
        """Take what the command has written. False when nobody can write any more."""
        try:
            data = os.read(self.output, 65536)
        except BlockingIOError:
            return True
        self.log.add(data)
        return bool(data)

    def _drain(self) -> None:
        """All writers are gone; what is left in the pipe is at most one pipe full."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.output, 65536):
                self.log.add(data)

    def _reap(self) -> bool:
        """Take note of those who ended. True when nobody is left below us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self.pid:
                self.status = status

    def _grace(self) -> float:
        seconds = self.spec.get("grace_seconds")
        return 10.0 if seconds is None else float(seconds)

    def _grace_wanted(self) -> float:
        wish = files.read_json(self.folder / f.STOP) or {}
        self.reason = self.reason or str(wish.get("reason") or "Stopped")
        seconds = wish.get("grace_seconds")
        return float(seconds) if isinstance(seconds, int | float) else self._grace()

    def _stop(self, now: float, grace: float) -> None:
        """SIGTERM to the command's process group, once; a later wish can only shorten the grace."""
        is_first = self.kill_at is None
        self.kill_at = now + grace if self.kill_at is None else min(self.kill_at, now + grace)
        if is_first:
            for number in (signal.SIGTERM, signal.SIGCONT):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, number)

    def _end_all(self) -> None:
        """SIGKILL until no process is left below us, whatever sessions and groups they made for themselves."""
        pause = 0.001
        while not self._reap():
            self.group.kill()
            for process in processes.descendants(os.getpid(), processes.table()):
                processes.kill(process)
            time.sleep(pause)
            pause = min(pause * 2, 1.0)
        while self.container and not containers.remove(self.container):
            time.sleep(1.0)  # the engine does not answer: until it does, nobody knows that nothing is left

    def _record(self, ran: float) -> dict[str, Any]:
        code, number = 0, None
        if self.status is not None:
            if os.WIFSIGNALED(self.status):
                number = os.WTERMSIG(self.status)
                code = 128 + number
            else:
                code = os.WEXITSTATUS(self.status)
        reason, message = self.reason, ""
        if self.last is not None:
            code, number, reason, message = pulling.verdict(self.last, code, reason, self.spec)
        if code and not reason and self.group.ran_out_of_memory():
            reason, message = "OutOfMemory", f"It used more than its {self.spec.get('memory_mib')} MiB of memory."
        if code and not reason:
            reason = "KilledBySignal" if number else "NonZeroExit"
        if number and not message:
            message = f"Ended by {signal.Signals(number).name}." if number in set(signal.Signals) else ""
        if reason == "TimeLimit":
            code = code or 124  # what timeout(1) says
            message = f"It ran longer than its {self.spec.get('max_seconds')} s."
        elif reason and not code:
            code = 128 + signal.SIGTERM  # it took the stop well, but it did not finish its work
        return f.exit_record(code, ran, reason, message, number)

    def _write_exit(self, record: dict[str, Any]) -> None:
        """Into room that was set aside at the start: a full disk must not hide how the work ended."""
        self.group.remove()
        data = files.padded_json(record, _EXIT_ROOM)
        while True:
            try:
                os.pwrite(self.reserve, data, 0)
                os.fsync(self.reserve)
                os.rename(self.folder / ".exit", self.folder / f.EXIT)
                files.sync_folder(self.folder)
                return
            except FileNotFoundError:
                return  # somebody took the folder away: nobody wants to know
            except OSError:
                time.sleep(1.0)


def main() -> int:
    folder = Path(sys.argv[1])
    processes.become_subreaper()
    plan = files.read_json(folder / f.SPEC)
    if plan is None:
        return 1
    shim = Shim(folder, plan)

    def stop(number: int, frame: object) -> None:
        shim.stop_wanted = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        if not files.claim_json(folder / f.CLAIM, processes.identity(os.getpid())):
            return 0
        crash.point("shim-claimed")
        shim.run()
    except FileNotFoundError:
        return 0  # the folder was taken away before the run was claimed
    except OSError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return f.DISK_FULL_STATUS if error.errno in _NO_ROOM else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
