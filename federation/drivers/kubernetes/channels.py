"""A shell in a running pod, or one of its ports, as a channel. Kubernetes speaks both over a websocket.

In each message the first byte says which way it belongs to: for a command 0 in, 1 out, 2 err, 3 how it ended, 4 the
size of the screen; for a port 0 the bytes and 1 what went wrong, and the first message of each names the port.
"""

import json
import ssl
from collections import deque
from contextlib import suppress
from typing import Any

from websocket import (
    ABNF,
    WebSocket,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketTimeoutException,
)

from federation.drivers.abilities import Stream
from federation.drivers.base import Rejected, Unavailable
from federation.drivers.kubernetes.transport import Api

_IN, _OUT, _ERR, _END, _SIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_PIECE = 32 << 10


def open_socket(api: Api, path: str, query: Any, protocols: list[str]) -> WebSocket:
    """Raises Unavailable, and Rejected when the site says that this cannot be."""
    options = api.socket_options()
    socket = WebSocket(sslopt=options.pop("sslopt"), skip_utf8_validation=True)
    socket.settimeout(options.pop("timeout"))
    try:
        socket.connect(api.socket_address(path, query), subprotocols=protocols, suppress_origin=True, **options)
    except WebSocketBadStatusException as error:
        text = _message(error.resp_body or b"")
        if error.status_code in (400, 403, 404, 409, 422):
            raise Rejected("NotPossible", text or f"The site answers {error.status_code}.") from None
        raise Unavailable(text or f"The site answers {error.status_code}.") from None
    except (OSError, WebSocketException, ssl.SSLError) as error:
        raise Unavailable(f"The connection into the work could not be made ({type(error).__name__}).") from None
    return socket


def _message(data: Any) -> str:
    with suppress(ValueError):
        found = json.loads(data)
        if isinstance(found, dict):
            return str(found.get("message") or "")[:500]
    return ""


class _Link:
    """What both kinds of channel share: whole messages in, and out in pieces."""

    exit_code: int | None = None

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    def _message(self, seconds: float) -> tuple[int, bytes] | None:
        """Channel and bytes of the next message; None when none came in time. Raises EOFError at the end."""
        self._socket.settimeout(max(seconds, 0.01))
        try:
            code, frame = self._socket.recv_data_frame(True)
        except WebSocketTimeoutException:
            return None
        except (WebSocketConnectionClosedException, OSError, WebSocketException):
            raise EOFError from None
        if code == ABNF.OPCODE_CLOSE:
            raise EOFError
        data = frame.data
        if code not in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT) or not data:
            return None
        return data[0], bytes(data[1:])

    def _write(self, channel: int, data: bytes) -> None:
        self._socket.settimeout(10.0)
        try:
            for start in range(0, len(data), _PIECE):
                self._socket.send_binary(bytes([channel]) + data[start : start + _PIECE])
        except (OSError, WebSocketException) as error:
            raise Unavailable("The connection into the work broke.") from error

    def close(self) -> None:
        with suppress(OSError, WebSocketException):
            self._socket.close(timeout=1)
        # It does nothing when the other side has closed first, and would leave the connection open.
        with suppress(OSError):
            self._socket.shutdown()


class CommandChannel(_Link):
    """A command in a container. `exit_code` is set before receive() raises EOFError."""

    def send(self, data: bytes) -> None:
        if data:
            self._write(_IN, data)
        elif self._socket.subprotocol == "v5.channel.k8s.io":  # nothing: the end of the input
            with suppress(OSError, WebSocketException):
                self._socket.send_binary(bytes([_CLOSE, _IN]))

    def resize(self, columns: int, rows: int) -> None:
        self._write(_SIZE, json.dumps({"Width": columns, "Height": rows}).encode())

    def receive(self, seconds: float) -> tuple[Stream, bytes] | None:
        found = self._message(seconds)
        if found is None:
            return None
        channel, data = found
        if channel == _END:
            self.exit_code = _exit_code(data)
            return None
        if channel == _CLOSE or not data:
            return None
        return (Stream.ERR if channel == _ERR else Stream.OUT), data


def _exit_code(data: bytes) -> int:
    """From the status that ends a command: 0 for success, its code, or 126 when it could not be started."""
    try:
        status = json.loads(data)
        if status.get("status") == "Success":
            return 0
        for cause in (status.get("details") or {}).get("causes") or []:
            if cause.get("reason") == "ExitCode":
                return int(cause["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return 126


class PortChannel(_Link):
    """One TCP connection to a port of a pod."""

    def __init__(self, socket: WebSocket) -> None:
        super().__init__(socket)
        self._greeted: set[int] = set()
        self._waiting: deque[bytes] = deque()

    def send(self, data: bytes) -> None:
        self._write(_IN, data)

    def resize(self, columns: int, rows: int) -> None:
        """A port has no screen."""

    def receive(self, seconds: float) -> tuple[Stream, bytes] | None:
        found = self._message(seconds)
        if found is None:
            return None
        channel, data = found
        if channel not in self._greeted:  # the first message of each names the port
            self._greeted.add(channel)
            data = data[2:]
        if not data:
            return None
        if channel == 1:
            raise EOFError(data.decode(errors="replace")[:500])
        return Stream.OUT, data
