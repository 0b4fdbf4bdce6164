"""One connection to a management controller: HTTP over TLS, kept for one call of the driver, with a limit on the whole.

Many controllers are asked at once in one thread. What a controller sends is not trusted: its answers are limited in
size and time, its links are followed only within /redfish, and redirections not at all.
"""

import asyncio
import hashlib
import hmac
import json
import ssl
import time
from base64 import b64encode
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import h11

from federation.drivers.base import Unavailable

CALL_SECONDS = 8.0  # all machines of one call together, below the ten that a driver has
REQUEST_SECONDS = 4.0
CONNECT_SECONDS = 3.0
MOST_BYTES = 4 << 20
MOST_AT_ONCE = 32
_READ_BYTES = 65536

T = TypeVar("T")


class Silent(Exception):
    """No answer, or none that can be read. The message is for people and holds no secret."""


class Refused(Exception):
    """The controller answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} ({status})" if message else f"It answered {status}.")
        self.status = status

    @property
    def is_unsupported(self) -> bool:
        """It does not have this, or has it broken: a normal answer to one part of many."""
        return self.status in (404, 405, 410, 501) or (self.status >= 500 and self.status != 503)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how one server is dialled. `address` is dialled, `host` is what its certificate must name."""

    scheme: str
    host: str
    port: int
    address: str
    fingerprint: str = ""  # SHA-256 of the certificate, in hexadecimal: then this and no authority vouches for it
    ca_pem: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    has_public: bool = False  # authorities that everybody believes vouch for it too


class BadEndpoint(ValueError):
    """An address that cannot be one; the message says why."""


def endpoint(
    url: str,
    *,
    address: str,
    fingerprint: str = "",
    ca_pem: str = "",
    allow_plain: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Endpoint:
    """`address` is one that was vetted: a name is never looked up here. Raises BadEndpoint."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadEndpoint("The address cannot be read.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise BadEndpoint("The address must be like https://host.")
    if not address:
        raise BadEndpoint("Its name has no address just now.")
    if parts.scheme == "http" and not allow_plain:
        raise BadEndpoint("Plain http is off: the password would be readable on the way. Use https.")
    pin = fingerprint.replace(":", "").lower().removeprefix("sha256")
    if pin and (len(pin) != 64 or set(pin) - set("0123456789abcdef")):
        raise BadEndpoint("The fingerprint is not a SHA-256 in hexadecimal.")
    return Endpoint(
        parts.scheme,
        parts.hostname,
        port or (443 if parts.scheme == "https" else 80),
        address,
        pin,
        ca_pem,
        dict(headers or {}),
    )


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{username}:{password}".encode()).decode()}


class Line:
    """Requests to one server, one after the other. Ends with the call: `until` is of the monotonic clock."""

    def __init__(self, to: Endpoint, until: float) -> None:
        self._to = to
        self._until = until
        self.asked = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._http = h11.Connection(h11.CLIENT)

    async def __aenter__(self) -> "Line":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await asyncio.sleep(0)  # lets the closed connection be taken down before its loop ends

    async def get(self, path: str) -> dict[str, Any]:
        """Raises Silent, Refused."""
        _, body = await self.ask("GET", path)
        return body

    async def find(self, link: Any) -> dict[str, Any] | None:
        """What a link points to; None where there is no link, or the controller does not have it after all."""
        path = path_of(link)
        if not path:
            return None
        try:
            return await self.get(path)
        except Refused as refused:
            if refused.is_unsupported:
                return None
            raise

    async def members(self, link: Any, *, most: int = 1000) -> list[str]:
        """The paths in a collection, page by page; none where there is none."""
        paths: dict[str, None] = {}
        pages: set[str] = set()
        page = await self.find(link)
        while page is not None and len(paths) < most:
            paths |= dict.fromkeys(filter(None, (path_of(member) for member in listed(page, "Members"))))
            following = path_of({"@odata.id": page.get("Members@odata.nextLink")})
            if not following or following in pages:
                break
            pages.add(following)
            page = await self.get(following)
        return list(paths)[:most]

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Raises Silent, Refused. Never sent once the call's time is over: whoever slept through it is late."""
        data = b"" if body is None else json.dumps(body).encode()
        left = self._until - time.monotonic()
        if left <= 0:
            raise Silent("The time for this call was over.")
        try:
            async with asyncio.timeout(min(left, REQUEST_SECONDS)):
                status, answer = await self._exchange(method, path, data, headers or {})
        except TimeoutError:
            self.close()
            raise Silent("It did not answer in time.") from None
        except (OSError, h11.ProtocolError, EOFError) as error:
            self.close()
            raise Silent(_why(error)) from None
        found = _object(answer)
        if status >= 400:
            raise Refused(status, _said(found))
        if status >= 300:
            raise Refused(status, "It wants to send us elsewhere, where we do not go.")
        if found is None:
            raise Silent("Its answer cannot be read.")
        return status, found

    async def _exchange(self, method: str, path: str, data: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        self.asked += 1
        was_open = self._writer is not None
        for attempt in (1, 2):
            reader, writer = await self._connected()
            try:
                return await self._sent(reader, writer, method, path, data, headers)
            except (ConnectionError, EOFError, h11.RemoteProtocolError):
                self.close()
                # A kept connection may have been closed by the other side just before: a question may be asked anew.
                if attempt == 2 or not was_open or method != "GET":
                    raise
        raise AssertionError("two attempts end in an answer or an error")

    async def _sent(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        method: str,
        path: str,
        data: bytes,
        headers: Mapping[str, str],
    ) -> tuple[int, bytes]:
        host = f"[{self._to.host}]" if ":" in self._to.host else self._to.host
        named = {"Host": f"{host}:{self._to.port}", "Accept": "application/json", **self._to.headers, **headers}
        if data:
            named |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
        elif method != "GET":
            named["Content-Length"] = "0"
        request = h11.Request(method=method, target=path, headers=list(named.items()))
        sent = self._http.send(request) or b""
        if data:
            sent += self._http.send(h11.Data(data=data)) or b""
        writer.write(sent + (self._http.send(h11.EndOfMessage()) or b""))
        await writer.drain()
        status, answer = 0, bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await reader.read(_READ_BYTES))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                answer += event.data
                if len(answer) > MOST_BYTES:
                    raise h11.RemoteProtocolError("too much")
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise EOFError
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.close()
        return status, bytes(answer)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is not None and self._writer is not None:
            return self._reader, self._writer
        to = self._to
        tls = _tls(to) if to.scheme == "https" else None
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(
                to.address, to.port, ssl=tls, server_hostname=to.host if tls else None
            )
        self._reader, self._writer, self._http = reader, writer, h11.Connection(h11.CLIENT)
        if to.fingerprint and tls:
            shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
            if not hmac.compare_digest(hashlib.sha256(shown).hexdigest(), to.fingerprint):
                raise ssl.SSLCertVerificationError("another certificate than the pinned one")
        return reader, writer

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


def gathered(asked: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All of these, side by side in this thread. They keep their own time; what they raise is raised."""

    async def all_of_them() -> list[T]:
        gate = asyncio.Semaphore(MOST_AT_ONCE)

        async def through(one: Coroutine[Any, Any, T]) -> T:
            async with gate:
                return await one

        return list(await asyncio.gather(*(through(one) for one in asked)))

    return asyncio.run(all_of_them())


def one(asked: Coroutine[Any, Any, T]) -> T:
    """Of one machine; what is wrong with it is Unavailable."""
    try:
        return asyncio.run(asked)
    except (Silent, Refused) as error:
        raise Unavailable(str(error)) from None


def path_of(link: Any) -> str:
    """The path of a link, if it stays where it is: no other host, and below /redfish."""
    path = link.get("@odata.id") if isinstance(link, Mapping) else None
    if not isinstance(path, str) or not path.startswith("/redfish/") or len(path) > 500:
        return ""
    # A fragment names a part of a resource; spaces and line ends would make another request of it.
    path = path.partition("#")[0]
    return path if all("!" <= letter <= "~" for letter in path) and ".." not in path else ""


def listed(body: Mapping[str, Any], key: str) -> list[Any]:
    found = body.get(key)
    return found if isinstance(found, list) else []


def inner(body: Mapping[str, Any] | None, *keys: str) -> dict[str, Any]:
    """The object within objects; an empty one where any of them is missing or is something else."""
    found: Any = body
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def _tls(to: Endpoint) -> ssl.SSLContext:
    if to.fingerprint:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE  # the pin is compared before anything is sent
        return made
    try:
        made = ssl.create_default_context(cadata=to.ca_pem or None)
        if to.has_public:
            made.load_default_certs()
        return made
    except ssl.SSLError:
        raise ssl.SSLCertVerificationError("the authority's certificate cannot be read") from None


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"Its certificate is not trusted: {getattr(error, 'verify_message', '') or error}."
    if isinstance(error, ssl.SSLError):
        return "No secure connection could be made."
    if isinstance(error, ConnectionRefusedError):
        return "Nothing listens there."
    if isinstance(error, h11.ProtocolError):
        return "It does not speak HTTP as it should."
    return "The connection was lost."


def _object(answer: bytes) -> dict[str, Any] | None:
    if not answer.strip():
        return {}
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _said(body: Mapping[str, Any] | None) -> str:
    """What the controller says is wrong, in its words, cut."""
    error = inner(body, "error")
    for told in listed(error, "@Message.ExtendedInfo"):
        if isinstance(told, Mapping) and isinstance(told.get("Message"), str):
            return str(told["Message"])[:200]
    for text in (error.get("message"), (body or {}).get("message")):
        if isinstance(text, str):
            return text[:200]
    return ""
