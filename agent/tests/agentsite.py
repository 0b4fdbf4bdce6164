"""One state directory and the agents started on it, as real processes that leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aquifer_agent import cgroups, files, processes
from aquifer_agent import folder as f
from aquifer_agent.identity import Identity
from aquifer_agent.run import Run
from fakehub import AGENT_TOKEN, JOIN_TOKEN, FakeHub

PACKAGE = Path(__file__).resolve().parent.parent


def wait_for(is_so: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Until it is so; fails the test when it is not in time."""
    until = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < until, "It never came to that."
        time.sleep(0.02)
    return found


class Site:
    """One state directory and the agents started on it."""

    def __init__(self, hub: FakeHub, state_dir: Path) -> None:
        self.hub = hub
        self.state_dir = state_dir
        self.agents: list[subprocess.Popen[bytes]] = []

    def call(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "aquifer_agent", *words],
            env=self._environment(variables), capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    def enrol(self, *words: str, token: str = JOIN_TOKEN) -> "subprocess.CompletedProcess[str]":
        base = ("enrol", "--hub", self.hub.url, "--join-token-env", "JOIN", "--state-dir", str(self.state_dir))
        return self.call(*base, *words, JOIN=token)

    def start(self, *words: str, **variables: str) -> "subprocess.Popen[bytes]":
        if not (self.state_dir / "identity.json").exists():
            self.state_dir.mkdir()
            known = Identity(self.hub.url, AGENT_TOKEN, "c-1", "lab", "machine")  # one start of Python less
            files.write_json(self.state_dir / "identity.json", asdict(known))
        with open(self.state_dir / "agent.log", "ab") as log:
            agent = subprocess.Popen(
                [sys.executable, "-m", "aquifer_agent", "run", "--state-dir", str(self.state_dir), *words],
                env=self._environment(variables), stdout=log, stderr=log,
            )  # fmt: skip
        self.agents.append(agent)
        return agent

    def kill(self) -> None:
        """kill -9 of the newest agent."""
        self.agents[-1].kill()
        self.agents[-1].wait()

    def end(self) -> float:
        """SIGTERM to the newest agent; how long it took to go."""
        began = time.monotonic()
        self.agents[-1].terminate()
        assert self.agents[-1].wait(20) == 0, self.log()
        return time.monotonic() - began

    def folder(self, ref: str) -> Path:
        return self.state_dir / "runs" / ref

    def pid(self, ref: str) -> int:
        """Of the command itself."""
        return int((files.read_json(self.folder(ref) / f.STARTED) or {})["pid"])

    @property
    def group_name(self) -> str:
        return cgroups.group_name(self.state_dir)

    def groups(self, ref: str) -> list[str]:
        """The cgroup directories of a run."""
        return list((files.read_json(self.folder(ref) / f.SPEC) or {})["limits"]["paths"])

    def log(self) -> str:
        return (self.state_dir / "agent.log").read_text()

    def marked(self, ref: str) -> list[int]:
        """Processes that bear the mark of this run."""
        return processes.marked(f"{f.MARK}={self.folder(ref)}")

    def leftovers(self) -> list[str]:
        """Run folders, and processes that bear the mark of a run."""
        runs = self.state_dir / "runs"
        held = [folder.name for folder in runs.iterdir()] if runs.exists() else []
        return held + [str(pid) for ref in self.hub.orders for pid in self.marked(ref)]

    def close(self) -> None:
        for agent in self.agents:
            if agent.poll() is None:
                agent.send_signal(signal.SIGKILL)
            agent.wait()
        runs = self.state_dir / "runs"
        for folder in runs.iterdir() if runs.exists() else []:
            run = Run(folder)
            wait_for(run.kill_all)
        cgroups.detect("auto", self.state_dir).close()

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE), "SECRET_OF_THE_HOST": "hush", **variables}
