#!/usr/bin/env python3
"""Reach a port of running work from one's own computer, through Aquifer. Needs Python 3.9 and nothing else.

    AQUIFER_TOKEN=aq_... python3 aquifer-forward https://aquifer.example WORKLOAD 8888

listens on 127.0.0.1:8888; each connection there is carried to port 8888 of the work. The token needs the permission
`workload.shell`. It is read from the environment or asked for, so that it stands in no list of processes.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import getpass
import hashlib
import json
import os
import ssl
import struct
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

PIECE = 32 << 10
MOST_FRAME = 16 << 20
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_REFUSED = {
    403: "the token is not valid, has not the permission workload.shell here, or there is no such work",
    404: "there is no Aquifer at this address",
    502: "Aquifer does not answer",
    503: "Aquifer does not answer",
}


class Trouble(Exception):
    """Said to the user in one line."""


class Socket:
    """The client's side of one websocket (RFC 6455): whole messages in, whole messages out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, hub: str, path: str, token: str, ca_file: str | None) -> Socket:
        """Raises Trouble, OSError."""
        parts = urlsplit(hub)
        is_tls = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if is_tls else 80)
        context = ssl.create_default_context(cafile=ca_file) if is_tls else None
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port, ssl=context), 15)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            (
                f"GET {parts.path.rstrip('/')}{path} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n"
                f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\nAuthorization: Bearer {token}\r\n\r\n"
            ).encode()
        )
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 15)).decode("latin-1")
        status = head.split(" ", 2)[1] if head.startswith("HTTP/1.") else ""
        if status != "101":
            why = _REFUSED.get(int(status), "") if status.isdigit() else "this is no web server"
            raise Trouble(f"refused ({status}): {why}" if why else f"refused with {status}")
        wanted = base64.b64encode(hashlib.sha1((key + _MAGIC).encode()).digest()).decode()  # noqa: S324  # as the RFC says
        if f"sec-websocket-accept: {wanted}".lower() not in head.lower():
            raise Trouble("what answers there speaks no websocket")
        return cls(reader, writer)

    async def receive(self) -> tuple[int, bytes] | None:
        """Kind and bytes of the next message; None when it is closed."""
        whole, kind = b"", BINARY
        while True:
            first, second = await self._reader.readexactly(2)
            size = second & 127
            if size == 126:
                (size,) = struct.unpack(">H", await self._reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await self._reader.readexactly(8))
            if size > MOST_FRAME or second & 128:
                raise Trouble("what answers there speaks no websocket")
            data, code = await self._reader.readexactly(size), first & 15
            if code == CLOSE:
                return None
            if code == PING:
                await self.send(PONG, data)
            elif code in (CONTINUATION, TEXT, BINARY):
                kind = kind if code == CONTINUATION else code
                whole += data
                if first & 128:
                    return kind, whole

    async def send(self, kind: int, data: bytes) -> None:
        size = len(data)
        head = bytes([128 | kind])
        head += bytes([128 | size]) if size < 126 else bytes([128 | 126]) + struct.pack(">H", size)
        mask = os.urandom(4)
        whole = int.from_bytes(data, "big") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        self._writer.write(head + mask + whole.to_bytes(size, "big"))
        await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 2)


class Forwarder:
    def __init__(self, given: argparse.Namespace, token: str) -> None:
        self._given, self._token = given, token

    async def run(self) -> None:
        servers = []
        for local, port in self._given.ports:
            try:
                servers.append(await asyncio.start_server(self._at(port), "127.0.0.1", local))
            except OSError as error:
                raise Trouble(f"127.0.0.1:{local} cannot be listened on: {error.strerror}") from None
            print(f"127.0.0.1:{local} is port {port} of the work. Ctrl-C ends it.", flush=True)
        await asyncio.gather(*(server.serve_forever() for server in servers))

    def _at(self, port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._carry(port, reader, writer)
            except (Trouble, OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
                print(f"port {port}: {str(error) or type(error).__name__}", file=sys.stderr, flush=True)
            finally:
                writer.close()

        return one

    async def _carry(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        given = self._given
        path = f"/ws/workloads/{given.workload}/ports/{port}?replica={given.replica}"
        socket = await Socket.open(given.hub, path, self._token, given.ca_file)
        ways = [asyncio.ensure_future(_out(reader, socket)), asyncio.ensure_future(_in(socket, writer))]
        try:
            # Who has said all they have to say may still be listening: only the other end's end ends it.
            await ways[1]
        finally:
            ways[0].cancel()
            await socket.close()


async def _out(reader: asyncio.StreamReader, socket: Socket) -> None:
    while data := await reader.read(PIECE):
        await socket.send(BINARY, data)


async def _in(socket: Socket, writer: asyncio.StreamWriter) -> None:
    while (found := await socket.receive()) is not None:
        kind, data = found
        if kind == BINARY:
            writer.write(data)
            await writer.drain()
        elif kind == TEXT:
            said = json.loads(data)
            if said.get("type") == "end":
                if said.get("code"):
                    raise Trouble(said.get("message") or said["code"])
                return


def _ports(text: str) -> tuple[int, int]:
    local, _, port = text.rpartition(":")
    try:
        pair = int(local or port), int(port)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not PORT or LOCAL:PORT") from None
    if not all(0 < number < 65536 for number in pair):
        raise argparse.ArgumentTypeError(f"{text!r}: a port is a number from 1 to 65535")
    return pair


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="aquifer-forward", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("hub", help="the address of Aquifer, with https://")
    parser.add_argument("workload", help="the id of the workload")
    parser.add_argument("ports", nargs="+", type=_ports, metavar="[LOCAL:]PORT", help="a port of the work")
    parser.add_argument("--replica", type=int, default=0, help="which member of the workload (default: 0)")
    parser.add_argument("--ca-file", help="the certificate of the authority that vouches for Aquifer (PEM)")
    given = parser.parse_args()
    parts = urlsplit(given.hub)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        parser.error(f"{given.hub!r} is not an address like https://aquifer.example")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        parser.error("a token is sent by https only, but for this computer itself")
    token = os.environ.get("AQUIFER_TOKEN", "").strip()
    if not token and sys.stdin.isatty():
        token = getpass.getpass("Access token: ").strip()
    if not token:
        parser.error("set AQUIFER_TOKEN to an access token (console: Settings, Tokens)")
    try:
        asyncio.run(Forwarder(given, token).run())
    except KeyboardInterrupt:
        return 0
    except Trouble as trouble:
        print(f"aquifer-forward: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
