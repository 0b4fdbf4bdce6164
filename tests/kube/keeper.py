"""Starts processes of a test and makes sure that nothing of them is left, however the test ends.

The keeper is a process of its own. It starts what it is told to, and notes how each step is undone. When its standard
input ends (the test closed it, or the test process was killed) it undoes everything, newest first, and exits. So the
way out after a crash is the way out after every test, and is tested by each of them.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PR_SET_PDEATHSIG = 1


class Keeper:
    """The test's end of it. `folder` is a temporary folder that goes at the end."""

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"aquifer-{name}-"))
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the test's affair
            text=True,
        )
        self.undo(["folder", str(self.folder)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None, grace: float = 0.0) -> int:
        """Starts a process, or starts it again after `stop`; its output is added to NAME.log. Returns its pid.

        In the end it is killed, or if it has something to put in order: told to end and killed after `grace` seconds.
        """
        log = str(self.log(name))
        return int(self._ask("start", name=name, argv=list(argv), env=dict(env or {}), log=log, grace=grace))

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def stop(self, name: str, seconds: float = 0.0) -> int:
        """Kills it, or SIGTERM first and SIGKILL after `seconds`. Returns the exit code."""
        return int(self._ask("stop", name=name, seconds=seconds))

    def signal(self, name: str, number: signal.Signals) -> None:
        self._ask("signal", name=name, number=int(number))

    def exit_code(self, name: str) -> int | None:
        """None while it runs."""
        code = self._ask("look", name=name)
        return None if code is None else int(code)

    def undo(self, step: Sequence[str]) -> None:
        """To be done at the end: ["folder", PATH] removes a folder, ["run", PROGRAM, ...] runs a program.

        Say it before the thing itself is done, so that a crash between the two leaves nothing.
        """
        self._ask("undo", step=list(step))

    def close(self) -> None:
        """Undoes everything and waits until it is undone. Safe to call again."""
        assert self._process.stdin and self._process.stdout
        if not self._process.stdin.closed:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()

    def _ask(self, verb: str, **more: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps({"do": verb, **more}) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise OSError(answer["error"])
        return answer["value"]


class _Kept:
    """The keeper's end."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._grace: dict[str, float] = {}
        self._steps: list[list[str]] = []

    def start(self, name: str, argv: list[str], env: dict[str, str], log: str, grace: float) -> int:
        if name not in self._running:
            self._steps.append(["process", name])
        self._grace[name] = grace
        with open(log, "ab") as output:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **env},
                preexec_fn=_die_with_parent,  # should the keeper itself be killed
            )
        self._running[name] = process
        return process.pid

    def stop(self, name: str, seconds: float) -> int:
        process = self._running[name]
        if seconds and process.poll() is None:
            process.terminate()
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                print(f"{name} ignored SIGTERM for {seconds:.0f} s", file=sys.stderr)
        process.kill()
        process.send_signal(signal.SIGCONT)  # one that was stopped
        return process.wait()

    def signal(self, name: str, number: int) -> None:
        self._running[name].send_signal(number)

    def look(self, name: str) -> int | None:
        return self._running[name].poll()

    def undo(self, step: list[str]) -> None:
        self._steps.append(step)

    def undo_all(self) -> None:
        while self._steps:
            kind, *rest = self._steps.pop()
            try:
                if kind == "process":
                    self.stop(rest[0], self._grace[rest[0]])
                elif kind == "folder":
                    shutil.rmtree(rest[0])
                else:
                    subprocess.run(rest, timeout=60, check=True)
            except Exception as error:  # the other steps matter more
                print(f"could not undo {kind} {rest}: {error}", file=sys.stderr)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _requests(parent: int) -> Iterator[dict[str, Any]]:
    """Lines of standard input until it ends, or until the parent is gone (a fork of it may hold the pipe open)."""
    waiting = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], 1.0)[0]:
            continue
        read = os.read(0, 1 << 16)
        if not read:
            return
        waiting += read
        *lines, waiting = waiting.split(b"\n")
        yield from (json.loads(line) for line in lines)


def _serve(parent: int) -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    kept = _Kept()
    for request in _requests(parent):
        try:
            answer = {"value": getattr(kept, request.pop("do"))(**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        try:
            print(json.dumps(answer), flush=True)
        except OSError:
            break
    kept.undo_all()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
