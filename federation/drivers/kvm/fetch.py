"""An image on its way from a web server, a piece at a time: whoever wants it takes what comes for a moment, and again.

The name of the server is resolved once for each connection, its addresses are looked at, and one of those is dialled:
no redirection and no answer of a name server leads elsewhere. What was read is not kept here, only its checksum.
"""

import contextlib
import hashlib
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import ip_network
from urllib.parse import SplitResult, urljoin, urlsplit

from federation import addresses
from federation.drivers.base import Rejected

PIECE = 256 << 10
CONNECT_SECONDS, SILENT_SECONDS = 2.0, 2.0
MOST_REDIRECTIONS = 5
MOST_FAILURES = 5  # in a row, without a byte between them
MOST_BEGINNINGS = 3
WAIT_SECONDS = 5.0  # after a failure
HEAD_BYTES = 112
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Rules:
    """Where images may come from; as for sites."""

    networks: tuple[str, ...] = ()
    is_loopback_allowed: bool = False
    most_bytes: int = 64 << 30


class Changed(Exception):
    """What is there now is not what was begun: all of it is to be read anew."""


class Fetch:
    def __init__(self, url: str, rules: Rules) -> None:
        self.url, self._rules = url, rules
        self.got = 0
        self.total: int | None = None
        self.head = b""
        self.looked_at = time.monotonic()
        self.trouble = ""
        self._hash = hashlib.sha256()
        self._tag = ""
        self._failures = 0
        self._beginnings = 0
        self._next_try = 0.0
        self._line: HTTPConnection | None = None
        self._heard: HTTPResponse | None = None  # whatever it is
        self._answer: HTTPResponse | None = None  # the image

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def take(self, until: float, write: Callable[[bytes], None]) -> bool:
        """Write what comes until then. True when that was all. Raises Rejected, Changed."""
        self.looked_at = now = time.monotonic()
        if now < self._next_try:
            return False
        try:
            if self._answer is None:
                self._open()
            while time.monotonic() < until:
                if self._read(write):
                    self.close()
                    return True
        except addresses.NoAddress as error:
            self._fail(str(error))
        except addresses.BadAddress as error:
            self.close()
            raise Rejected("ImageAddressRefused", str(error)) from None
        except (OSError, HTTPException) as error:
            self._fail(_words(error))
        except BaseException:
            self.close()  # what was read and not written is asked for once more
            raise
        return False

    def close(self) -> None:
        for one in (self._heard, self._line):  # an answer keeps the socket when the line has let go of it
            with contextlib.suppress(OSError):
                if one is not None:
                    one.close()
        self._line = self._heard = self._answer = None

    # -- how -----------------------------------------------------------------------------------------

    def _read(self, write: Callable[[bytes], None]) -> bool:
        assert self._answer is not None
        data = self._answer.read1(PIECE)
        if not data:
            if self.total is not None and self.got < self.total:
                raise HTTPException("The connection ended in the middle.")
            return True
        if self.got + len(data) > self._rules.most_bytes:
            raise Rejected("ImageTooLarge", f"The image is larger than {self._rules.most_bytes >> 20} MiB.")
        write(data)
        self._hash.update(data)
        if len(self.head) < HEAD_BYTES:
            self.head = (self.head + data)[:HEAD_BYTES]
        self.got += len(data)
        self._failures, self.trouble = 0, ""
        return self.total is not None and self.got >= self.total

    def _open(self) -> None:
        url = self.url
        for _ in range(MOST_REDIRECTIONS):
            answer = self._ask(url)
            if answer.status not in (301, 302, 303, 307, 308):
                self._begin(answer)
                return
            url = urljoin(url, answer.headers.get("Location", ""))
            self.close()
        raise Rejected("ImagePullFailed", "The image's address leads from one place to another without end.")

    def _ask(self, url: str) -> HTTPResponse:
        parts, port = _place(url)
        scheme, host = parts.scheme, addresses.checked_host(_bracketed(parts.hostname or ""))
        where = addresses.vet_all(
            host, port, allowed_networks=[ip_network(n) for n in self._rules.networks],
            resolve=addresses.system_resolver, allow_loopback=self._rules.is_loopback_allowed,
        )  # fmt: skip
        link = socket.create_connection((where[0], port), CONNECT_SECONDS)
        try:
            if scheme == "https":
                link = ssl.create_default_context().wrap_socket(link, server_hostname=host)
            link.settimeout(SILENT_SECONDS)
        except BaseException:
            link.close()
            raise
        self._line = HTTPConnection(_bracketed(host), port)
        self._line.sock = link
        headers = {"Accept-Encoding": "identity", "User-Agent": "aquifer"}
        if port != _PORTS[scheme]:
            headers["Host"] = f"{_bracketed(host)}:{port}"
        if self.got:
            headers |= {"Range": f"bytes={self.got}-"} | ({"If-Range": self._tag} if self._tag else {})
        self._line.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), headers=headers)
        self._heard = self._line.getresponse()
        return self._heard

    def _begin(self, answer: HTTPResponse) -> None:
        status = answer.status
        if status in (408, 425, 429) or status >= 500:
            raise HTTPException(f"The image's server answered {status}.")
        if status not in (200, 206):
            raise Rejected("ImagePullFailed", f"The image's server answered {status}.")
        length = answer.headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else None
        span = answer.headers.get("Content-Range", "") if status == 206 else ""
        if self.got and not span.startswith(f"bytes {self.got}-"):
            self.close()
            self._start_anew()
        self.total = None if size is None else self.got + size
        if (self.total or 0) > self._rules.most_bytes:
            raise Rejected("ImageTooLarge", f"The image is larger than {self._rules.most_bytes >> 20} MiB.")
        tag = answer.headers.get("ETag", "")
        self._tag = "" if tag.startswith("W/") else tag
        self._answer = answer

    def _start_anew(self) -> None:
        self._beginnings += 1
        if self._beginnings >= MOST_BEGINNINGS:
            raise Rejected("ImagePullFailed", "The image's server does not let a broken download go on.")
        self.got, self.total, self.head, self._hash, self._tag = 0, None, b"", hashlib.sha256(), ""
        raise Changed

    def _fail(self, why: str) -> None:
        self.close()
        self._failures += 1
        self.trouble = why
        self._next_try = time.monotonic() + (WAIT_SECONDS if self._failures > 1 else 0.0)
        if self._failures >= MOST_FAILURES:
            raise Rejected("ImagePullFailed", f"The image could not be fetched: {why}")


def _place(url: str) -> tuple[SplitResult, int]:
    """Raises Rejected."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    is_plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= 2000
    if not is_plain or parts.scheme not in _PORTS or "@" in parts.netloc or not parts.hostname:
        raise Rejected("ImageAddressRefused", "An image is fetched from an address like https://host/name.qcow2.")
    return parts, port or _PORTS[parts.scheme]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "Its server does not answer in time."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of its server is not believed: {error.verify_message}."
    return str(error) or type(error).__name__
