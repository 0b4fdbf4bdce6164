"""A toy shell in work at a fake site. It knows a handful of commands and computes their output only as it is read.

`echo WORDS [>&2]`, `env`, `cat`, `sleep N`, `yes [WORD] [| head [-n N | -c N]]`, `stty size`, `true`, `false`,
`exit [N]`, and `;` between.
"""

import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from federation.drivers.abilities import DEFAULT_SHELL, Stream
from federation.drivers.base import Rejected, Unavailable

_SHELLS = frozenset({"sh", "bash", "/bin/sh", "/bin/bash"})
_COMMANDS = frozenset({"echo", "env", "cat", "sleep", "yes", "stty", "exit", "head", "true", "false"})
_MOST_INPUT_BYTES = 256 * 1024  # typed ahead; who types more waits
_PIECE = 32 * 1024
_PROMPT = b"$ "
_INTERRUPT, _END_OF_INPUT, _ERASE = 0x03, 0x04, 0x7F
_KILLED = 137

Piece = tuple[Stream, bytes] | None  # None: nothing just now
Run = Iterator[Piece]


class ToyShell:
    """A Channel to one command."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], *, is_tty: bool, is_alive: Callable[[], bool]
    ) -> None:
        self.exit_code: int | None = None
        self._env = dict(env)
        self._is_tty = is_tty
        self._is_alive = is_alive
        self._look_again_at = 0.0
        self._changed = threading.Condition()
        self._input = bytearray()
        self._echo = bytearray()
        self._is_input_over = self._is_interrupted = self._is_closed = False
        self._size = (80, 24)
        self._status = 0
        self._run = self._begin([str(word) for word in command])

    # The other side

    def send(self, data: bytes) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or len(self._input) < _MOST_INPUT_BYTES)
            if self._is_closed:
                raise Unavailable("The shell is closed.")
            if not data:
                self._is_input_over = True
            elif self._is_tty:
                self._type(data)
            else:
                self._input += data
            self._changed.notify_all()

    def _type(self, data: bytes) -> None:
        """As a terminal does: what is typed shows, and some keys mean something."""
        for key in data:
            if key == _INTERRUPT:
                self._is_interrupted = True
                self._input.clear()
                self._echo += b"^C\n"
            elif key == _END_OF_INPUT:
                self._is_input_over = True
            elif key == _ERASE:
                if self._input and self._input[-1:] != b"\n":
                    del self._input[-1]
                    self._echo += b"\b \b"
            else:
                key = 0x0A if key == 0x0D else key
                self._input.append(key)
                self._echo.append(key)

    def resize(self, columns: int, rows: int) -> None:
        self._size = (columns, rows)

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def receive(self, seconds: float) -> Piece:
        until = time.monotonic() + seconds
        with self._changed:
            while True:
                if self._is_closed or self.exit_code is not None:
                    raise EOFError
                if self._echo:
                    echoed, self._echo = bytes(self._echo), bytearray()
                    return Stream.OUT, self._shown(echoed)
                if (piece := self._step()) is not None:
                    return piece[0], self._shown(piece[1])
                if self.exit_code is not None:
                    raise EOFError
                if (left := until - time.monotonic()) <= 0:
                    return None
                self._changed.wait(min(left, 0.05))

    def _shown(self, data: bytes) -> bytes:
        return data.replace(b"\n", b"\r\n") if self._is_tty else data

    def _step(self) -> Piece:
        now = time.monotonic()
        if now >= self._look_again_at:
            self._look_again_at = now + 1.0
            if not self._is_alive():
                self.exit_code = _KILLED
                return None
        try:
            return next(self._run)
        except StopIteration:
            self.exit_code = self._status
            return None

    # The shell itself

    def _begin(self, command: list[str]) -> Run:
        if tuple(command) == DEFAULT_SHELL or (command and command[0] in _SHELLS and len(command) == 1):
            return self._talk()
        if len(command) == 3 and command[0] in _SHELLS and command[1] == "-c":
            return self._script(command[2])
        if not command or command[0] not in _COMMANDS:
            raise Rejected("CommandNotFound", f"There is no {command[0] if command else 'command'!r} here.")
        return self._command(command, Stream.OUT)

    def _talk(self) -> Run:
        """Line by line, until `exit` or the end of the input."""
        while True:
            if self._is_tty:
                yield Stream.OUT, _PROMPT
            while b"\n" not in self._input:
                self._is_interrupted = False
                if self._is_input_over and not self._input:
                    return
                yield None
            line, _, rest = bytes(self._input).partition(b"\n")
            self._input[:] = rest
            self._changed.notify_all()
            text = line.decode(errors="replace")
            yield from self._until_interrupted(self._script(text))
            if _ends(text):
                return

    def _until_interrupted(self, run: Run) -> Run:
        for piece in run:
            if self._is_interrupted:
                self._is_interrupted, self._status = False, 130
                return
            yield piece

    def _script(self, text: str) -> Run:
        for part in text.split(";"):
            try:
                words = shlex.split(part)
            except ValueError as error:
                self._status = 2
                yield Stream.ERR, f"sh: {error}\n".encode()
                return
            if not words:
                continue
            stream = Stream.ERR if words[-1] == ">&2" else Stream.OUT
            yield from self._command(words[:-1] if stream == Stream.ERR else words, stream)
            if words[0] == "exit":
                return

    def _command(self, words: list[str], stream: Stream) -> Run:
        name, rest = words[0], words[1:]
        self._status = 0
        if name == "echo":
            yield stream, (" ".join(rest) + "\n").encode()
        elif name == "env":
            yield stream, "".join(f"{key}={value}\n" for key, value in sorted(self._env.items())).encode()
        elif name == "stty":
            yield stream, f"{self._size[1]} {self._size[0]}\n".encode()
        elif name == "sleep":
            until = time.monotonic() + _number(rest[:1], 0.0)
            while time.monotonic() < until:
                yield None
        elif name == "cat":
            yield from self._cat(stream)
        elif name == "yes":
            yield from _yes(rest, stream)
        elif name in ("exit", "false", "true"):
            self._status = int(_number(rest[:1], 0.0)) & 255 if name == "exit" else int(name == "false")
        else:
            self._status = 127
            yield Stream.ERR, f"sh: {name}: not found\n".encode()

    def _cat(self, stream: Stream) -> Run:
        while True:
            end = self._input.rfind(b"\n") + 1 if self._is_tty else len(self._input)
            data = bytes(self._input[: min(end, _PIECE)])
            del self._input[: len(data)]
            self._changed.notify_all()
            if data:
                yield stream, data
            elif self._is_input_over:
                self._is_input_over = False
                return
            else:
                yield None


def _yes(words: list[str], stream: Stream) -> Run:
    """For ever, or as much of it as `head` takes."""
    before, _, after = " ".join(words).partition("|")
    line = (before.strip() or "y").encode() + b"\n"
    left: float = float("inf")
    if after:
        head = after.split()
        left = int(_number(head[2:3], 10.0)) * (1 if head[1:2] == ["-c"] else len(line))
    block = line * (_PIECE // len(line) or 1)
    while left > 0:
        data = block if left >= len(block) else block[: int(left)]
        left -= len(data)
        yield stream, data


def _ends(text: str) -> bool:
    return any(part.split()[:1] == ["exit"] for part in text.split(";"))


def _number(words: Sequence[str], default: float) -> float:
    try:
        return float(words[0])
    except (IndexError, ValueError):
        return default
