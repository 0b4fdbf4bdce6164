"""Talking to the hub: JSON over HTTP, one request at a time, none longer than ten seconds."""

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from aquifer_agent import VERSION

TIMEOUT_SECONDS = 10.0
_MOST_REPLY_BYTES = 32 * 1024 * 1024
_MOST_REFUSAL_BYTES = 64 * 1024
_MOST_RETRY_AFTER_SECONDS = 600.0


class HubError(Exception):
    """No usable answer. `status` is 0 when there was none at all."""

    def __init__(self, message: str, status: int = 0, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class BadAddress(Exception):
    """This hub is not to be talked to in this way."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the hub is, checked: a secret goes in clear only to this very machine."""

    url: str
    ca_file: str | None = None
    allow_http: bool = False
    scheme: str = field(init=False)
    host: str = field(init=False)
    port: int | None = field(init=False)
    path: str = field(init=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise BadAddress(f"{self.url} is not an address: {error}.") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise BadAddress(f"{self.url} is not the address of a hub; it looks like https://hub.example.org.")
        if parts.scheme == "http" and not self.allow_http and not _is_loopback(parts.hostname):
            raise BadAddress(
                f"{self.url} would send this machine's secret in clear. Use https, or --allow-http if you must."
            )
        for name, value in (
            ("scheme", parts.scheme),
            ("host", parts.hostname),
            ("port", port),
            ("path", parts.path.rstrip("/")),
        ):
            object.__setattr__(self, name, value)


class Exchange:
    """One call in a thread of its own: whatever it hangs on, name look-up included, the agent goes on."""

    def __init__(
        self, address: Address, secret: str, path: str, body: dict[str, Any], wake: Callable[[], None] = lambda: None
    ) -> None:
        self.answer: dict[str, Any] | None = None
        self.error: HubError | None = None
        self._request = (address, secret, path, body)
        self._late_at = time.monotonic() + TIMEOUT_SECONDS
        self._wake = wake
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._thread.start()

    def is_over(self) -> bool:
        """Answered, failed, or given up because it is late."""
        if self.answer is not None or self.error is not None:
            return True
        if time.monotonic() < self._late_at:
            return False
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)  # ends what the thread waits for
        self.error = HubError(f"No answer from {self._request[0].url} within {TIMEOUT_SECONDS:.0f} s.")
        return True

    def wait(self) -> dict[str, Any]:
        """The answer; HubError when there is none that can be used."""
        self._thread.join(TIMEOUT_SECONDS)
        while not self.is_over():
            time.sleep(0.01)
        if self.error is not None:
            raise self.error
        return self.answer or {}

    def _run(self) -> None:
        try:
            answer, error = self._call(), None
        except HubError as refusal:
            answer, error = None, refusal
        except (OSError, http.client.HTTPException, ValueError) as failure:
            answer, error = None, HubError(f"No answer from {self._request[0].url}: {_words(failure)}.")
        except Exception as failure:  # a thread that dies unheard would stop the agent's reports
            answer, error = None, HubError(f"{type(failure).__name__}: {failure}")
        if self.error is None:
            self.answer, self.error = answer, error
        self._wake()

    def _call(self) -> dict[str, Any]:
        address, secret, path, body = self._request
        status, headers, data = self._exchange(address, secret, path, body)
        if not 200 <= status < 300:
            raise _refusal(status, headers, data)
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise HubError(f"The answer of {address.url} is not JSON.", status) from error
        if not isinstance(answer, dict):
            raise HubError(f"The answer of {address.url} is not an object.", status)
        return answer

    def _exchange(
        self, address: Address, secret: str, path: str, body: dict[str, Any]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        headers = {"Content-Type": "application/json", "User-Agent": f"aquifer-agent/{VERSION}", "Connection": "close"}
        if secret:
            headers["Authorization"] = f"Bearer {secret}"
        data = json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        connection = self._connection = _connection(address)
        try:
            connection.request("POST", address.path + path, data, headers)
            response = connection.getresponse()
            reply = b""
            while piece := response.read1(1 << 20):
                reply += piece
                if len(reply) > _MOST_REPLY_BYTES:
                    raise ValueError("the answer is too long")
            if response.length:
                raise ValueError("the answer was cut short")
            return response.status, response.headers, reply
        finally:
            connection.close()


def call(address: Address, secret: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST and wait for the answer; HubError when there is none that can be used."""
    return Exchange(address, secret, path, body).wait()


def fetch(address: Address, secret: str, path: str, offset: int, size: int) -> bytes:
    """At most `size` bytes of a file at the hub, from `offset` on; at least one. Raises HubError."""
    headers = {
        "Authorization": f"Bearer {secret}",
        "Range": f"bytes={offset}-{offset + size - 1}",
        "User-Agent": f"aquifer-agent/{VERSION}",
        "Connection": "close",
    }
    connection = _connection(address)
    late_at = time.monotonic() + TIMEOUT_SECONDS
    try:
        connection.request("GET", address.path + path, headers=headers)
        response = connection.getresponse()
        if response.status != 206:
            raise _refusal(response.status, response.headers, response.read(_MOST_REFUSAL_BYTES))
        data = b""
        while len(data) < size and time.monotonic() < late_at and (piece := response.read1(size - len(data))):
            data += piece
    except (OSError, http.client.HTTPException, ValueError) as failure:
        raise HubError(f"No answer from {address.url}: {_words(failure)}.") from failure
    finally:
        connection.close()
    if not data:
        raise HubError(f"{address.url} sent nothing of what was asked for.")
    return data


def _connection(address: Address) -> http.client.HTTPConnection:
    if address.scheme == "http":
        return http.client.HTTPConnection(address.host, address.port, timeout=TIMEOUT_SECONDS)
    context = ssl.create_default_context(cafile=address.ca_file)
    return http.client.HTTPSConnection(address.host, address.port, timeout=TIMEOUT_SECONDS, context=context)


def _refusal(status: int, headers: http.client.HTTPMessage, data: bytes) -> HubError:
    try:
        problem = json.loads(data)
        code, detail = str(problem.get("code", "")), str(problem.get("detail") or problem.get("title") or "")
    except (ValueError, AttributeError):
        code, detail = "", ""
    said = "".join(letter if letter.isprintable() else " " for letter in detail)[:500]
    return HubError(f"The hub answered {status}. {said}".strip(), status, code, _retry_after(headers))


def _retry_after(headers: http.client.HTTPMessage) -> float | None:
    """Seconds to wait as the hub asks, from either form of the header."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), _MOST_RETRY_AFTER_SECONDS) if seconds == seconds else None


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message}); --ca-file names the authority to trust"
    return str(error) or type(error).__name__


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
