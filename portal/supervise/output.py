"""The children's lines: each to its own log file, and to the terminal with its name in front."""

import os
import re
import selectors
from pathlib import Path
from typing import BinaryIO

from portal.supervise.processes import Child
from portal.supervise.steps import paint, say

_KEPT = 3  # earlier logs of each child
_COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what could move the cursor or recolour the terminal


class Output:
    """Reads whatever the children have written, without ever waiting for one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._selector = selectors.DefaultSelector()
        self._is_full = False
        self.is_shown = False
        self.has_names = True

    def listen(self, child: Child) -> None:
        if child.process is None or child.process.stdout is None:
            return
        self._selector.register(child.process.stdout, selectors.EVENT_READ, child)
        if child.name not in self._files:
            path = self.folder / f"{child.name}.log"
            rotate(path)
            self._files[child.name] = path.open("ab", buffering=0)

    def pump(self, seconds: float) -> None:
        """Wait at most `seconds` for something to be written, and pass it on."""
        for key, _ in self._selector.select(seconds):
            child: Child = key.data
            try:
                data = os.read(key.fd, 65536)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]  # it is the pipe registered above, not a number
                data, child.rest = (child.rest + b"\n" if child.rest else b""), b""
            self._pass_on(child, data)

    def drain(self, child: Child) -> None:
        """Read what an ended child still had to say; a grandchild that keeps the pipe open is not waited for."""
        stream = child.process.stdout if child.process else None
        for _ in range(40):
            if stream is None or stream.closed:
                return
            self.pump(0.05)

    def note(self, text: str, colour: int = 33) -> None:
        """A line of the supervisor's own."""
        say(f"{paint('aquifer'.ljust(8), colour)} {text}")

    def tail(self, name: str, lines: int = 12) -> str:
        try:
            text = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])

    def _pass_on(self, child: Child, data: bytes) -> None:
        *lines, child.rest = (child.rest + data).split(b"\n")
        if len(child.rest) > 65536:  # a line without an end must not fill the memory
            lines, child.rest = [*lines, child.rest], b""
        for line in (_COLOURS.sub(b"", line) for line in lines):
            self._write(child.name, line)
            if self.is_shown and line.strip():
                text = _UNSAFE.sub("?", line.decode(errors="replace"))
                say(f"{paint(child.name.ljust(8), child.colour)} {text}" if self.has_names else text)

    def _write(self, name: str, line: bytes) -> None:
        try:
            self._files[name].write(line + b"\n")
        except OSError as error:
            if not self._is_full:
                self._is_full = True
                self.note(f"log files cannot be written: {error.strerror}", 31)


def rotate(path: Path) -> None:
    """worker.log -> worker.log.1 -> .2 -> .3; the oldest goes."""
    for number in range(_KEPT, 0, -1):
        earlier = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if earlier.exists():
            earlier.replace(path.with_name(f"{path.name}.{number}"))
