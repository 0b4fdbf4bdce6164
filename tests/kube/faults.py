"""A bad line to an API server: a proxy in a thread, whose faults are switched while clients are connected.

    with BadLine(plane) as line:
        line.fault = Fault.HALF_OPEN        # what happens to every connection, old ones too
        line.answer(429, retry_after=7)     # what every request is answered, until `heal`
        line.expire(1000, chance=0.4)       # some of the next lists and watches are Expired

On the outside it is an API server of the plane's own authority. It counts what it is sent after TLS is made.
"""

import asyncio
import contextlib
import json
import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine
from datetime import timedelta
from enum import StrEnum
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.kube.certificates import Authority
from tests.kube.plane import ControlPlane


class Fault(StrEnum):
    NONE = "none"
    CUT = "cut"  # nobody listens
    RESET = "reset"
    CLOSED = "closed"  # each connection is closed as soon as something is sent
    HALF_OPEN = "half-open"  # bytes are taken and never answered
    SLOW = "slow"  # each answer comes twenty seconds late
    DRIP = "drip"  # a byte a second
    EXPIRED = "expired"  # certificates
    WRONG_HOST = "wrong-host"
    STRANGER = "stranger"


_CERTIFICATES = {Fault.EXPIRED, Fault.WRONG_HOST, Fault.STRANGER}
_LATE_SECONDS = 20.0


class BadLine:
    def __init__(self, plane: ControlPlane) -> None:
        self._up = urlsplit(plane.url)
        self._up_tls = ssl.create_default_context(cadata=plane.ca_pem)
        self._tls: dict[Fault, ssl.SSLContext] = {}
        hour, day = timedelta(hours=-1), timedelta(days=1)
        for fault, authority, address, lasts in (
            (Fault.NONE, plane.authority, "127.0.0.1", day),
            (Fault.EXPIRED, plane.authority, "127.0.0.1", hour),
            (Fault.WRONG_HOST, plane.authority, "127.0.0.2", day),
            (Fault.STRANGER, Authority(), "127.0.0.1", day),
        ):
            self._tls[fault] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            paths = authority.issue(plane.folder, f"line-{fault}", addresses=(address,), lasts=lasts)
            self._tls[fault].load_cert_chain(*paths)
        self._fault = Fault.NONE
        self._answer: bytes | None = None
        self._left, self._chance, self._only = 0, 0.0, ""
        self.watch_seconds: float | None = None
        """Watches are cut after so long."""
        self.received = bytearray()
        """What clients sent, decrypted, since `heal`."""
        self.expired = 0
        self._port = 0
        self._listener: socket.socket | None = None
        self._lines: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bad line")

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    # -- what a test orders ----------------------------------------------------------------------------

    @property
    def fault(self) -> Fault:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        async def change() -> None:
            self._fault = fault
            if fault in (Fault.CUT, Fault.RESET, *_CERTIFICATES):
                await self._drop()
            if fault == Fault.CUT:
                await self._deafen()
            elif self._listener is None:
                await self._listen()

        self._do(change)

    def answer(self, status: int, *, retry_after: int | None = None, body: bytes | None = None) -> None:
        """Every request is answered so and not passed on."""
        more = f"Retry-After: {retry_after}\r\n" if retry_after is not None else ""
        self._answer = _http(
            status, json.dumps({"kind": "Status", "code": status}).encode() if body is None else body, more
        )

    def expire(self, count: int, chance: float = 1.0, only: str = "") -> None:
        """So many lists and watches are answered 410 Expired, each that comes with this chance; or only those with
        `only` in their query."""
        self._chance, self._only, self._left = chance, only, count

    def heal(self) -> None:
        self._answer, self._left, self.watch_seconds = None, 0, None
        self.fault = Fault.NONE
        self.received.clear()

    def cut_now(self) -> None:
        """All connections break; new ones can be made."""
        self._do(self._drop)

    # -- connections -----------------------------------------------------------------------------------

    def _do(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)

    async def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=100)
        self._listener.setblocking(False)
        self._port = self._listener.getsockname()[1]
        self._begin(self._accept(self._listener))

    async def _deafen(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _drop(self) -> None:
        for line in list(self._lines):
            _reset(line)
        await asyncio.sleep(0)

    async def _end(self) -> None:
        await self._deafen()
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the next round

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        while listener is self._listener:
            try:
                accepted, _ = await self._loop.sock_accept(listener)
            except OSError:
                return
            self._begin(self._serve(accepted))

    async def _serve(self, accepted: socket.socket) -> None:
        self._lines.add(accepted)
        transport: asyncio.BaseTransport | None = None
        try:
            if self._fault == Fault.RESET:
                return
            while self._fault == Fault.HALF_OPEN:  # not even TLS is made
                await asyncio.sleep(0.02)
            reader = asyncio.StreamReader(limit=1 << 20)
            protocol = asyncio.StreamReaderProtocol(reader)
            tls = self._tls.get(self._fault, self._tls[Fault.NONE])
            transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, accepted, ssl=tls)
            writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
            while await self._request(reader, writer):
                pass
            writer.close()
            await asyncio.wait_for(writer.wait_closed(), 1)
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            self._lines.discard(accepted)
            if self._fault in (Fault.RESET, Fault.CUT):
                _reset(accepted)
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
            else:
                accepted.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; False when the connection is at its end."""
        head = await reader.readuntil(b"\r\n\r\n")
        size = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        body = await reader.readexactly(size)
        self.received += head + body
        if self._fault == Fault.CLOSED:
            return False
        if self._fault == Fault.SLOW:
            await asyncio.sleep(_LATE_SECONDS)
        target = head.split(b" ")[1].decode()
        answer = self._answer or self._gone(target)
        if answer:
            await self._send(writer, answer)
            return True
        is_watch = "watch=true" in target
        await self._pass_on(head, body, writer, is_watch)
        return not is_watch

    def _gone(self, target: str) -> bytes | None:
        """A real server says it in either of two ways when it is a watch."""
        is_list = "limit=" in target or "watch=true" in target
        if self._left <= 0 or not is_list or self._only not in target or random.random() > self._chance:
            return None
        self._left -= 1
        self.expired += 1
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
        status["message"] = "The resourceVersion is too old."
        if "watch=true" in target and random.random() < 0.5:
            return _http(200, json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
        return _http(410, json.dumps(status).encode())

    async def _pass_on(self, head: bytes, body: bytes, writer: asyncio.StreamWriter, is_watch: bool) -> None:
        """To the API server and back, on a connection of its own until that ends; the client's is kept."""
        up_reader, up = await asyncio.open_connection(self._up.hostname, self._up.port, ssl=self._up_tls)
        try:
            up.write(head[:-2] + b"Connection: close\r\n\r\n" + body)
            if not is_watch:
                await self._send(writer, _whole(await up_reader.read()))
                return
            ends = self._loop.time() + (self.watch_seconds if is_watch and self.watch_seconds else 1e9)
            while (left := ends - self._loop.time()) > 0:
                try:
                    piece = await asyncio.wait_for(up_reader.read(65536), min(left, 3600))
                except TimeoutError:
                    return
                if not piece:
                    return
                await self._send(writer, piece)
        finally:
            up.transport.abort()

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for start in range(0, len(data), 1 if self._fault == Fault.DRIP else len(data) or 1):
            while self._fault == Fault.HALF_OPEN:
                await asyncio.sleep(0.02)
            step = 1 if self._fault == Fault.DRIP else len(data) - start
            writer.write(data[start : start + step])
            await writer.drain()
            if step == len(data) - start:
                return
            await asyncio.sleep(1)


def _http(status: int, body: bytes, more: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def _whole(answer: bytes) -> bytes:
    """An answer that ends with its connection, as one that does not."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"content-length:"))]
    if b"Transfer-Encoding: chunked" in lines:
        lines.remove(b"Transfer-Encoding: chunked")
        chunked, rest = rest, b""
        while chunked:
            size, _, chunked = chunked.partition(b"\r\n")
            rest += chunked[: int(size, 16)]
            chunked = chunked[int(size, 16) + 2 :]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(rest), b"", rest])


def _reset(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.shutdown(socket.SHUT_RDWR)
