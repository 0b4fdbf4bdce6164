"""A bare connection to an engine that goes on: what it streams, and the hijacked connection into a command.

The library for HTTP cannot read on after a time limit, and one TLS connection must not be read and written by two
threads at once. So here TLS is done over memory: whoever holds the lock turns bytes, and nobody waits meanwhile.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Mapping

from federation.drivers.base import Unavailable
from federation.drivers.docker.sockets import (
    CONNECT_SECONDS,
    Endpoint,
    context_of,
    in_words,
    raw_socket,
    wait_to_read,
    wait_to_send,
)

_PIECE = 1 << 16
_SEND_SECONDS = 10.0
_MOST_HEAD = 1 << 16


class Pipe:
    """One thread sends while another receives; `close` may come from a third. Raises OSError."""

    def __init__(self, endpoint: Endpoint, seconds: float = CONNECT_SECONDS) -> None:
        endpoint.check()
        self._lock = threading.Lock()  # of TLS
        self._sending = threading.Lock()
        self._is_closed = False
        self._tls: ssl.SSLObject | None = None
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._link = raw_socket(endpoint, seconds)
        try:
            if not endpoint.is_local:
                name = endpoint.tls_server_name or endpoint.host
                self._tls = context_of(endpoint).wrap_bio(self._in, self._out, server_hostname=name)
                self._shake(time.monotonic() + seconds)
            self._link.setblocking(False)
        except BaseException:
            self._link.close()
            raise

    def _shake(self, ends: float) -> None:
        assert self._tls is not None
        while True:
            self._link.settimeout(max(0.05, ends - time.monotonic()))
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._link.sendall(self._out.read())
                data = self._link.recv(_PIECE)
                if not data:
                    raise ConnectionResetError("closed while it greeted") from None
                self._in.write(data)
                continue
            self._link.sendall(self._out.read())
            return

    def send(self, data: bytes) -> None:
        """All of it; waits while the other side takes nothing, ten seconds at most without progress."""
        with self._sending:
            for start in range(0, len(data), _PIECE):
                piece = data[start : start + _PIECE]
                if self._tls is not None:
                    with self._lock:
                        self._tls.write(piece)
                        piece = self._out.read()
                self._push(piece)

    def _push(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._is_closed:
                raise ConnectionAbortedError("closed")
            if not wait_to_send(self._link, _SEND_SECONDS):
                raise TimeoutError("timed out")
            with contextlib.suppress(BlockingIOError):
                view = view[self._link.send(view) :]

    def end_input(self) -> None:
        """Nothing more comes from us; we still listen."""
        with self._sending:
            if self._tls is None:
                self._link.shutdown(socket.SHUT_WR)
                return
            with self._lock:
                with contextlib.suppress(ssl.SSLError):
                    self._tls.unwrap()  # says goodbye; the other side's answer is not waited for
                data = self._out.read()
            self._push(data)

    def receive(self, seconds: float) -> bytes | None:
        """What came; None when nothing did in time; nothing at the end."""
        ends = time.monotonic() + seconds
        while True:
            if self._tls is not None and (data := self._decoded()) is not None:
                return data
            if self._is_closed:
                return b""
            if not wait_to_read(self._link, ends - time.monotonic()):
                return None
            try:
                data = self._link.recv(_PIECE)
            except BlockingIOError:
                continue
            except OSError:
                if self._is_closed:
                    return b""
                raise
            if self._tls is None:
                return data
            with self._lock:
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()

    def _decoded(self) -> bytes | None:
        assert self._tls is not None
        with self._lock:
            try:
                return self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                return None
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def close(self) -> None:
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)  # wakes who waits
        # The number is given back only when nobody selects on it any more; the object's end does that.

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            self._link.close()


class Answer:
    """A request over a pipe of its own, and its answer as it comes. Raises Unavailable."""

    def __init__(
        self, endpoint: Endpoint, method: str, target: str, *, body: bytes = b"", seconds: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        ends = time.monotonic() + seconds
        try:
            self.pipe = Pipe(endpoint, min(seconds, CONNECT_SECONDS))
            said = {"Host": endpoint.host, "User-Agent": "aquifer", "Content-Length": str(len(body)), **(headers or {})}
            if body:
                said["Content-Type"] = "application/json"
            lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
            self.pipe.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            self._rest = b""
            self._read_head(ends)
        except OSError as error:
            raise Unavailable(in_words(error)) from None
        self._left = 0  # of the present chunk, and of the whole if its length is known
        self._is_over = False
        if not self.is_chunked and "content-length" in self.headers:
            self._left = int(self.headers["content-length"])
            self._is_over = self._left == 0

    def _read_head(self, ends: float) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.pipe.receive(max(0.0, ends - time.monotonic()))
            if data is None:
                raise TimeoutError("timed out")
            if not data or len(head) > _MOST_HEAD:
                raise ConnectionResetError("no answer")
            head += data
        head, self._rest = head.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[1].isdigit():
            raise ConnectionResetError("no HTTP")
        self.status = int(words[1])
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}

    @property
    def is_chunked(self) -> bool:
        return self.headers.get("transfer-encoding", "").lower() == "chunked"

    def taken_over(self) -> tuple[Pipe, bytes]:
        """The bare connection, and what has come on it already."""
        return self.pipe, self._rest

    def read(self, seconds: float) -> bytes | None:
        """The next piece; None when none came in time; nothing at the end."""
        ends = time.monotonic() + seconds
        while True:
            if (piece := self._decoded()) is not None:
                return piece
            if self._is_over:
                return b""
            try:
                data = self.pipe.receive(max(0.0, ends - time.monotonic()))
            except OSError as error:
                raise Unavailable(in_words(error)) from None
            if data is None:
                return None
            if not data:
                self._is_over = True
                if self.is_chunked or self._left:
                    raise Unavailable("The connection to the host broke.")
            self._rest += data

    def _decoded(self) -> bytes | None:
        if self.is_chunked and not self._left and not self._is_over:
            line, found, rest = self._rest.lstrip(b"\r\n").partition(b"\r\n")
            if not found:
                return None
            try:
                self._left = int(line.partition(b";")[0], 16)
            except ValueError:
                raise Unavailable("The host's answer makes no sense.") from None
            self._rest = rest
            self._is_over = self._left == 0
        if self._is_over and (self.is_chunked or not self._rest):
            return None
        if not self._rest:
            return None
        if not self.is_chunked and "content-length" not in self.headers:
            piece, self._rest = self._rest, b""
            return piece
        piece, self._rest = self._rest[: self._left], self._rest[self._left :]
        self._left -= len(piece)
        if not self.is_chunked:
            self._is_over = self._left == 0
        return piece or None

    def whole(self, seconds: float, most: int = _PIECE) -> bytes:
        """All of a short answer (an error)."""
        ends, data = time.monotonic() + seconds, b""
        while len(data) < most and (piece := self.read(max(0.0, ends - time.monotonic()))):
            data += piece
        return data

    def close(self) -> None:
        self.pipe.close()
