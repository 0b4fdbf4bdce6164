"""A shell in a running container, or one of its ports, as a channel."""

import contextlib
import socket
import time
from collections import deque

from federation.drivers.abilities import Stream
from federation.drivers.base import Unavailable
from federation.drivers.docker.pipes import Pipe
from federation.drivers.docker.sockets import in_words, wait_to_read
from federation.drivers.docker.transport import Api, EngineError, path_of

_PIECE = 1 << 16
_HEAD = 8  # of a frame: which stream, three zeros, its length
_ERR = 2
_PATIENCE_SECONDS = 2.0


class Frames:
    """Takes apart what an engine sends when there is no terminal: frames of a stream and a length."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._left, self._stream = 0, 1

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Stream and bytes of each piece that is here; a frame need not be whole to be passed on."""
        self._rest += data
        found: list[tuple[int, bytes]] = []
        while self._rest:
            if not self._left:
                if len(self._rest) < _HEAD:
                    break
                self._stream, self._left = self._rest[0], int.from_bytes(self._rest[4:_HEAD], "big")
                del self._rest[:_HEAD]
                continue
            piece = bytes(self._rest[: self._left])
            del self._rest[: len(piece)]
            self._left -= len(piece)
            found.append((self._stream, piece))
        return found


class CommandChannel:
    """A command in a container. `exit_code` is set before receive() raises EOFError."""

    exit_code: int | None

    def __init__(self, api: Api, exec_id: str, pipe: Pipe, rest: bytes, *, is_tty: bool) -> None:
        self.exit_code = None
        self._api, self._id, self._pipe, self._is_tty = api, exec_id, pipe, is_tty
        self._frames = Frames()
        self._waiting: deque[tuple[Stream, bytes]] = deque()
        self._is_closed = False
        if rest:
            self._take(rest)

    def send(self, data: bytes) -> None:
        try:
            if data:
                self._pipe.send(data)
            else:
                self._pipe.end_input()
        except (OSError, ValueError) as error:
            raise Unavailable(in_words(error)) from None

    def resize(self, columns: int, rows: int) -> None:
        """The engine connects a moment before the command has its terminal, and then does not know of it yet."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                path = "/exec" + path_of(self._id) + "/resize"
                with self._api.begin() as deadline:
                    self._api.call(deadline, "POST", path, query={"h": rows, "w": columns})
                return
            except EngineError as error:
                if time.monotonic() > until or self._is_closed:
                    raise Unavailable(f"The size of the screen is not taken: {error.message}") from None
            time.sleep(0.05)

    def receive(self, seconds: float) -> tuple[Stream, bytes] | None:
        until = time.monotonic() + seconds
        while not self._waiting:
            try:
                data = self._pipe.receive(max(0.0, until - time.monotonic()))
            except (OSError, ValueError):
                data = b""
            if data is None:
                return None
            if not data:
                self._note_exit()
                raise EOFError
            self._take(data)
        return self._waiting.popleft()

    def _take(self, data: bytes) -> None:
        if self._is_tty:
            self._waiting.append((Stream.OUT, data))
            return
        for stream, piece in self._frames.feed(data):
            self._waiting.append((Stream.ERR if stream == _ERR else Stream.OUT, piece))

    def _note_exit(self) -> None:
        if self._is_closed or self.exit_code is not None:
            return
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                with self._api.begin() as deadline:
                    found = self._api.get(deadline, "/exec" + path_of(self._id) + "/json")
            except (EngineError, Unavailable):
                return  # the container went, and what it knew of the command with it
            if not found.get("Running") and found.get("ExitCode") is not None:
                self.exit_code = int(found["ExitCode"])
                return
            if time.monotonic() > until:
                return
            time.sleep(0.02)

    def close(self) -> None:
        self._is_closed = True
        self._pipe.close()


class PortChannel:
    """One TCP connection to a port of a container, from the host itself."""

    exit_code: int | None = None

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._is_closed = False

    def send(self, data: bytes) -> None:
        try:
            if data:
                self._link.sendall(data)
            else:
                self._link.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise Unavailable(in_words(error)) from None

    def resize(self, columns: int, rows: int) -> None:
        """A port has no screen."""

    def receive(self, seconds: float) -> tuple[Stream, bytes] | None:
        try:
            if not wait_to_read(self._link, seconds):
                return None
            data = self._link.recv(_PIECE)
        except (OSError, ValueError):
            raise EOFError from None
        if not data:
            raise EOFError
        return Stream.OUT, data

    def close(self) -> None:
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        self._link.close()
