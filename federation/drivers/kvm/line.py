"""The hub's end of a connection to a host: a process of its own that can be ended when the host falls silent.

A call of libvirt cannot be given a time limit, and one on a half-open connection never comes back. So each host that
is spoken to has a child process which keeps the connection (child.py). It answers in time or is killed; the next call
starts another. A child ends by itself when nothing was asked for a minute, and when its parent is gone.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from hashlib import sha256
from typing import Any, Protocol, runtime_checkable

from federation.drivers.base import DriverConfig, Rejected, Unavailable
from federation.drivers.kvm import wire
from federation.drivers.kvm.server import Endpoint, endpoint_of

ANSWER_SECONDS = 9.0
MOST_LINES = 32  # of one process of the hub; the one that rested longest makes room


@runtime_checkable
class Asked(Protocol):
    """What a driver speaks to: a Line, or in tests a site in the same process."""

    def ask(self, call: str, *arguments: Any) -> Any:
        """The answer as JSON has it. Raises Unavailable, Rejected."""


class Bug(RuntimeError):
    """Something in our own code fell over, in the child."""


class Line:
    def __init__(self, config: DriverConfig, endpoint: Endpoint, seconds: float = ANSWER_SECONDS) -> None:
        self._config, self._endpoint, self._seconds = config, endpoint, seconds
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._folder = ""

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def ask(self, call: str, *arguments: Any) -> Any:
        deadline = time.monotonic() + self._seconds
        if not self._turn.acquire(timeout=self._seconds):
            raise Unavailable("The host is still busy with other calls.")
        try:
            return self._asked(deadline, call, arguments)
        finally:
            self._turn.release()

    def close(self) -> None:
        """Ends the child, in the middle of a call if need be."""
        self._end()

    # -- how -----------------------------------------------------------------------------------------

    def _asked(self, deadline: float, call: str, arguments: tuple[Any, ...]) -> Any:
        if self._child is not None and self._child.poll() is not None:
            self._end()  # it had rested long enough
        try:
            if self._child is None:
                self._begin(deadline)
            self._send(deadline, {"call": call, "arguments": arguments})
            answer = self._receive(deadline)
        except (OSError, ValueError, EOFError) as error:
            self._end()
            if isinstance(error, TimeoutError):
                raise Unavailable(f"The host did not answer within {self._seconds:.0f} seconds.") from None
            raise Unavailable("The process that speaks to the host ended.") from None
        return _said(answer)

    def _begin(self, deadline: float) -> None:
        ours, theirs = socket.socketpair()
        self._folder = tempfile.mkdtemp(prefix="aquifer-kvm-")
        with theirs:
            self._socket = ours
            self._child = subprocess.Popen(  # noqa: S603 - our own program, and nothing of anybody's on its command line
                [sys.executable, "-m", "federation.drivers.kvm.child", str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "PYTHONPATH": os.pathsep.join(p for p in sys.path if p) or os.getcwd(),
                    "HOME": self._folder,  # no settings of whoever runs the hub
                    "LANG": "C.UTF-8",
                },
            )
        self._send(
            deadline,
            {
                "cluster_id": self._config.cluster_id,
                "settings": dict(self._config.settings),
                "endpoint": self._endpoint,
                "folder": self._folder,
            },
        )

    def _send(self, deadline: float, message: Any) -> None:
        assert self._socket is not None
        self._socket.settimeout(max(deadline - time.monotonic(), 0.01))
        self._socket.sendall(wire.packed(message))

    def _receive(self, deadline: float) -> Any:
        head = self._exactly(deadline, wire.HEAD_BYTES)
        return json.loads(self._exactly(deadline, wire.length_of(head)))

    def _exactly(self, deadline: float, count: int) -> bytes:
        assert self._socket is not None
        found = bytearray()
        while len(found) < count:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.01))
            piece = self._socket.recv(min(count - len(found), 1 << 16))
            if not piece:
                raise EOFError
            found += piece
        return bytes(found)

    def _end(self) -> None:
        child, line, folder = self._child, self._socket, self._folder
        self._child = self._socket = None
        self._folder = ""
        if line is not None:
            line.close()
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, 9)  # ssh with it
            child.wait()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _said(answer: Any) -> Any:
    if "value" in answer:
        return answer["value"]
    if "rejected" in answer:
        raise Rejected(*answer["rejected"])
    if "unavailable" in answer:
        raise Unavailable(answer["unavailable"])
    raise Bug(str(answer.get("bug")))


_lines: "OrderedDict[tuple[int, str], Line]" = OrderedDict()
_lines_turn = threading.Lock()


def line_for(config: DriverConfig) -> Line:
    """The line of this process to the cluster's host, as it is set up now."""
    endpoint = endpoint_of(config)
    said = wire.packed([config.cluster_id, dict(config.settings), endpoint])
    key = (os.getpid(), sha256(said).hexdigest())
    with _lines_turn:
        line = _lines.pop(key, None) or Line(config, endpoint)
        _lines[key] = line
        spare = [k for k in _lines if k[0] == key[0]][:-MOST_LINES]
        closed = [_lines.pop(k) for k in spare]
    for old in closed:
        old.close()
    return line


def close_all() -> None:
    """For tests, and for whoever wants nothing left."""
    with _lines_turn:
        closed = [line for (pid, _), line in _lines.items() if pid == os.getpid()]
        _lines.clear()
    for line in closed:
        line.close()
