"""The process that holds the connection to one host: it is told what to call, calls it, and answers.

It opens the connection when first asked and again when it was lost. It never outlives its parent, rests at most a
minute, and takes note of what the host says by itself (events.py) while it lives.
"""

import contextlib
import json
import os
import select
import shutil
import socket
import sys
import threading
import time
import traceback
from typing import Any

from federation.drivers.base import Rejected, Unavailable
from federation.drivers.kvm import wire
from federation.drivers.kvm.server import Endpoint

IDLE_SECONDS = 60.0
HUNG_SECONDS = 30.0  # far longer than the parent waits


class Child:
    def __init__(self, line: socket.socket, parent: int) -> None:
        self._line, self._parent = line, parent
        self._busy_since = 0.0
        self._asked_at = time.monotonic()
        self._folder = ""

    def run(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()
        first = self._message()
        from federation.drivers.kvm.opened import Opened  # libvirt is imported here, and nowhere in the hub

        self._folder = first["folder"]
        host = Opened(wire.built(Endpoint, first["endpoint"]), first["settings"], first["folder"])
        while True:
            if not select.select([self._line], [], [], 0.5)[0]:
                host.heed()
                if time.monotonic() - self._asked_at > IDLE_SECONDS:
                    return
                continue
            message = self._message()
            self._asked_at = self._busy_since = time.monotonic()
            self._line.sendall(self._answer(host, message))
            self._busy_since = 0.0

    def _answer(self, host: Any, message: Any) -> bytes:
        try:
            return wire.packed({"value": host.call(message["call"], message["arguments"])})
        except Unavailable as error:
            return wire.packed({"unavailable": str(error)})
        except Rejected as error:
            return wire.packed({"rejected": [error.reason, error.message]})
        except Exception:
            return wire.packed({"bug": traceback.format_exc(limit=-6)})

    def _message(self) -> Any:
        head = self._exactly(wire.HEAD_BYTES)
        return json.loads(self._exactly(wire.length_of(head)))

    def _exactly(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            piece = self._line.recv(min(count - len(found), 1 << 16))
            if not piece:
                raise EOFError
            found += piece
        return bytes(found)

    def _watch(self) -> None:
        """A call of libvirt may never return: this ends the process all the same when nobody waits for it."""
        while os.getppid() == self._parent and not self._is_hung():
            time.sleep(1.0)
        self.clear()
        os._exit(1)

    def clear(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _is_hung(self) -> bool:
        since = self._busy_since
        return bool(since) and time.monotonic() - since > HUNG_SECONDS


def main() -> None:
    child = Child(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent has closed its end
        child.run()
    child.clear()
    os._exit(0)  # threads of libvirt may hang; nothing here is left to be put in order


if __name__ == "__main__":
    main()
