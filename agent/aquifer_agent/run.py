"""One run, as its folder shows it. Everything here can be rebuilt from the folder by another process."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from aquifer_agent import containers, crash, files, processes
from aquifer_agent import folder as f
from aquifer_agent.limits import Group

_PACKAGE_PARENT = str(Path(__file__).resolve().parent.parent)
_PATIENCE_SECONDS = 5.0  # beyond its grace, before a shim that does not act is killed


class Run:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ref = folder.name
        self.plan = files.read_json(folder / f.SPEC) or {}
        self.spec: dict[str, Any] = self.plan.get("spec") or {}
        self.generation = int(self.plan.get("generation", 0))
        self.epoch = int(self.plan.get("epoch", 0))
        self.container: dict[str, Any] = self.plan.get("container") or {}
        self.claim: dict[str, Any] = {}
        self.started: dict[str, Any] = {}
        self.stop: dict[str, Any] = files.read_json(folder / f.STOP) or {}
        self.generation = max(self.generation, int(self.stop.get("generation", 0)))
        self.epoch = max(self.epoch, int(self.stop.get("epoch", 0)))
        self.exit: dict[str, Any] = {}
        self.stop_since: float | None = None  # boottime at which this process first saw the wish
        self.waits_for = ""  # why it has not started, in one word
        self.is_told = False  # this process has sent the shim its signal for the present wish
        self.look()

    @property
    def is_removal_wanted(self) -> bool:
        return bool(self.stop.get("remove"))

    def look(self) -> None:
        """Read what is new in the folder. Files appear once and do not change."""
        if not self.claim:
            self.claim = files.read_json(self.folder / f.CLAIM) or {}
        if not self.started:
            self.started = files.read_json(self.folder / f.STARTED) or {}
        if not self.exit:
            self.exit = files.read_json(self.folder / f.EXIT) or {}

    def is_shim_alive(self) -> bool:
        return processes.is_alive(self.claim)

    def state(self) -> str:
        if self.is_removal_wanted or (self.stop and not self.exit):
            return "stopping"
        if self.exit:
            return "failed" if self.exit["exit_code"] or self.exit["reason"] else "succeeded"
        return "running" if self.started else "starting"

    def ran_seconds(self) -> float | None:
        if self.exit:
            return float(self.exit["ran_seconds"])
        if not self.started:
            return None
        if self.started.get("boot_id") != processes.boot_id():
            return f.read_progress(self.folder)
        return round(processes.boottime() - float(self.started["began"]), 3)

    def report(self) -> dict[str, Any]:
        """This run in the words of the protocol, without figures."""
        if self.exit:
            reason, message = self.exit["reason"], self.exit["message"]
        else:
            waits_for = self.waits_for or ("ImagePulling" if (self.folder / f.PULLING).exists() else "")
            reason, message = str(self.stop.get("reason", "") or waits_for), ""
        return {
            "ref": self.ref,
            "generation": self.generation,
            "epoch": self.epoch,
            "state": self.state(),
            "ran_seconds": self.ran_seconds(),
            "exit_code": self.exit.get("exit_code"),
            "reason": str(reason)[:64],
            "message": str(message)[:1000],
            "log_bytes": f.log_size(self.folder),
        }

    def start_shim(self) -> "subprocess.Popen[bytes]":
        """A process of its own session that outlives us. Started twice it still runs the command once."""
        with open(self.folder / f.SHIM_LOG, "ab") as complaints:
            return subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", "aquifer_agent.shim", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=complaints,
                stderr=complaints,
                cwd="/",
                env=_shim_environment(),
                start_new_session=True,
            )

    def wish_stop(self, *, grace_seconds: float | None, remove: bool, reason: str) -> None:
        """Write down that this is to end. Raises OSError; the wish holds in memory all the same."""
        grace = self.spec.get("grace_seconds") if grace_seconds is None else grace_seconds
        wish = {
            "grace_seconds": 10 if grace is None else grace,
            "remove": remove or self.is_removal_wanted,
            "reason": reason,
            "generation": self.generation,
            "epoch": self.epoch,
        }
        if wish == self.stop:
            return
        self.stop = wish
        self.is_told = False
        files.write_json(self.folder / f.STOP, wish)

    def tell_stop(self) -> None:
        """Have the shim act on the wish; kill it and all it holds when it does not."""
        now = processes.boottime()
        if self.stop_since is None:
            self.stop_since = now
        if not self.is_told:
            self.is_told = processes.send(self.claim, signal.SIGTERM)
        if now > self.stop_since + float(self.stop.get("grace_seconds") or 0) + _PATIENCE_SECONDS:
            self.kill_all()

    def kill_all(self) -> bool:
        """SIGKILL to the shim and everything of the run that can be found. True when nobody is left."""
        group = Group.from_json(self.plan.get("limits") or {})
        table = processes.table()
        left = processes.descendants(self.claim["pid"], table) if processes.is_alive(self.claim) else []
        left += processes.in_session(self.started, table)
        left += [table[pid] for pid in processes.marked(f"{f.MARK}={self.folder}", table)]
        left = [process for process in left if not process.is_dead]
        processes.send(self.claim, signal.SIGKILL)
        group.kill()
        for process in left:
            processes.kill(process)
        if self.container and not containers.remove(self.container):
            return False  # the engine does not answer: nobody knows that nothing is left
        return not left and not group.pids() and group.remove() and not processes.is_alive(self.claim)

    def close(self, record: dict[str, Any]) -> None:
        """Write the end of a run whose shim could not. Raises OSError."""
        files.write_json(self.folder / f.EXIT, record)
        self.exit = record


def _shim_environment() -> dict[str, str]:
    names = (crash.VARIABLE, crash.ONCE, "PATH", "LD_LIBRARY_PATH", *containers.PASSED)
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "PYTHONPATH": _PACKAGE_PARENT, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
