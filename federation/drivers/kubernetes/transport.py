"""HTTP to one API server: a time limit on every call and on all calls of a step together, JSON as it comes.

The one module that uses the `kubernetes` client, for its connections. Whatever goes wrong on the way leaves as
`Unavailable`; what the server refuses leaves as `ApiError`. No message holds a credential.
"""

import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.response import BaseHTTPResponse

from federation.drivers.base import Unavailable
from federation.drivers.kubernetes import patience

CONNECT_SECONDS = 3.0
STEP_SECONDS = 9.0  # all calls of one step of a driver together: below the ten seconds a driver may take
PAGE = 500
MOST_BYTES = 64 << 20  # of one answer
_OPENS_AFTER = 5  # failures in a row
_STAYS_OPEN_SECONDS = 10.0
Json = dict[str, Any]


class ApiError(Exception):
    """The server's refusal: HTTP `status`, its `reason` (NotFound, AlreadyExists, Conflict, Forbidden, …)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message = status, reason, message


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an API server is and how to be believed there. `address` is where to connect, if not to the name."""

    server: str
    address: str = ""
    tls_server_name: str = ""
    ca_pem: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    token_file: str = ""  # of a service account inside its cluster: read each time, since it is exchanged hourly
    client_cert_pem: str = field(default="", repr=False)
    client_key_pem: str = field(default="", repr=False)


@dataclass
class Deadline:
    """How long a step has left. Made anew for each call of a driver."""

    ends: float
    clock: Callable[[], float] = time.monotonic

    def left(self) -> float:
        left = self.ends - self.clock()
        if left <= 0.05:
            raise Unavailable("The site took too long to answer.")
        return left


class Circuit:
    """After five failures in a row nobody waits for this server for ten seconds. A hint of this process alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._closed_at = 0.0
        self._why = ""

    def check(self) -> None:
        with self._lock:
            if self._failures >= _OPENS_AFTER and time.monotonic() < self._closed_at:
                raise Unavailable(self._why)

    def note(self, why: str = "") -> None:
        with self._lock:
            self._failures = self._failures + 1 if why else 0
            self._closed_at, self._why = time.monotonic() + _STAYS_OPEN_SECONDS, why


class Api:
    """Calls to one API server. Safe in many threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        parts = urlsplit(endpoint.server)
        if parts.scheme != "https" or not parts.hostname:
            raise Unavailable("The address of the API server does not begin with https://.")
        self._host = parts.hostname
        place = endpoint.address or self._host
        place = f"[{place}]" if ":" in place else place
        self._base = f"https://{place}:{parts.port or 443}{parts.path.rstrip('/')}"
        self._host_header = f"{self._host}:{parts.port or 443}"
        self._pool = self._open_pool()
        self._circuit = Circuit()
        self._ahead = 0.0  # of the server's clock before ours, in seconds

    def _open_pool(self) -> urllib3.PoolManager:
        config = Configuration(proxy="", no_proxy="*")  # no proxy of our own environment is ever used
        config.host = self._base
        config.proxy = None
        config.retries = False
        config.connection_pool_maxsize = 8
        config.tls_server_name = self.endpoint.tls_server_name or self._host
        config.ca_cert_data = self.endpoint.ca_pem or None
        config.ssl_ca_cert = None
        if self.endpoint.client_cert_pem:
            config.cert_file = _in_memory(self.endpoint.client_cert_pem)
            config.key_file = _in_memory(self.endpoint.client_key_pem)
        pool: urllib3.PoolManager = RESTClientObject(config).pool_manager
        context = pool.connection_pool_kw["ssl_context"] = patience.context()
        if not self.endpoint.ca_pem:
            context.load_default_certs()
        pool.connection_pool_kw["assert_hostname"] = self.endpoint.tls_server_name or self._host
        return pool

    # -- one call ------------------------------------------------------------------------------------

    def begin(self) -> Deadline:
        """The time limit of one step."""
        return Deadline(time.monotonic() + STEP_SECONDS)

    def get(self, deadline: Deadline, path: str, **query: Any) -> Json:
        return self.call(deadline, "GET", path, query=query)

    def find(self, deadline: Deadline, path: str) -> Json | None:
        """The object, or None where there is none."""
        try:
            return self.get(deadline, path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def items(self, deadline: Deadline, path: str, **query: Any) -> Iterator[Json]:
        """All objects of a list, in pages. ApiError 410 when the server forgets the list between two of them."""
        token = ""
        for _ in range(100_000):
            page = self.get(deadline, path, limit=PAGE, **query, **({"continue": token} if token else {}))
            yield from page.get("items") or ()
            token = str((page.get("metadata") or {}).get("continue") or "")
            if not token:
                return

    def call(
        self,
        deadline: Deadline,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Json | None = None,
        kind: str = "application/json",
    ) -> Json:
        """One request. Raises ApiError, Unavailable."""
        data = self.raw(deadline, method, path, query=query, body=body, kind=kind)
        try:
            found = json.loads(data) if data else {}
        except ValueError:
            raise Unavailable("The site's answer is not JSON; is this a Kubernetes API server?") from None
        return found if isinstance(found, dict) else {}

    def raw(
        self,
        deadline: Deadline,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Json | None = None,
        kind: str = "application/json",
    ) -> bytes:
        """The bytes of an answer. Raises ApiError, Unavailable."""
        response = self._send(deadline, method, path, query, body, kind, read_seconds=None)
        try:
            with patience.until(time.monotonic() + deadline.left()):
                data = _read(response, deadline)
        except Unavailable:
            response.close()
            raise
        except (HTTPError, OSError) as error:
            response.close()
            raise self._failed(error) from None
        response.release_conn()
        self._note_clock(response)
        self._refuse(response, data)
        self._circuit.note()
        return data

    def stream(
        self, path: str, query: Mapping[str, Any], *, read_seconds: float, deadline: Deadline | None = None
    ) -> BaseHTTPResponse:
        """An answer that goes on (a watch, a log that is followed): the caller reads and closes it.

        `read_seconds`: the longest silence; after that reading raises.
        """
        response = self._send(deadline or self.begin(), "GET", path, query, None, "", read_seconds=read_seconds)
        if response.status >= 400:
            data = response.read(65536)
            response.close()
            self._refuse(response, data)
        return response

    def _send(
        self,
        deadline: Deadline,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Json | None,
        kind: str,
        read_seconds: float | None,
    ) -> BaseHTTPResponse:
        self._circuit.check()
        left = deadline.left()
        url = self._base + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, left), read=read_seconds or left)
        headers = {"Accept": "application/json", "Host": self._host_header, **self.authorization()}
        if body is not None:
            headers["Content-Type"] = kind
        try:
            with patience.until(time.monotonic() + left):
                return self._pool.request(
                    method, url, body=None if body is None else json.dumps(body).encode(), headers=headers,
                    timeout=timeout, preload_content=False, redirect=False, retries=False,
                )  # fmt: skip
        except (HTTPError, OSError) as error:
            raise self._failed(error) from None

    def authorization(self) -> dict[str, str]:
        token = self.endpoint.token
        if self.endpoint.token_file:
            try:
                with open(self.endpoint.token_file, encoding="utf-8") as file:
                    token = file.read().strip()
            except OSError as error:
                raise Unavailable(f"The service account's token cannot be read: {error.strerror}.") from None
        return {"Authorization": f"Bearer {token}"} if token else {}

    def now(self) -> float:
        """The server's clock. It tells whole seconds only, so it counts where it differs by more than two."""
        return time.time() + (self._ahead if abs(self._ahead) > 2 else 0.0)

    def _note_clock(self, response: BaseHTTPResponse) -> None:
        try:
            self._ahead = parsedate_to_datetime(response.headers.get("Date", "")).timestamp() - time.time()
        except (TypeError, ValueError):
            self._ahead = 0.0

    def _failed(self, error: Exception) -> Unavailable:
        why = _in_words(error)
        self._circuit.note(why)
        return Unavailable(why)

    def _refuse(self, response: BaseHTTPResponse, data: bytes) -> None:
        """Raise for a status that is not a success."""
        status = response.status
        if status < 300:
            return
        reason, message = _status_of(data)
        if status == 401:
            raise Unavailable("The site does not accept the credential (401). Connect the cluster anew.")
        if status == 429 or status >= 500 or 300 <= status < 400:
            why = f"The site answers {status}" + (f": {message}" if message else ".")
            if status != 429:
                self._circuit.note(why)
            raise Unavailable(why, retry_after=_retry_after(response))
        self._circuit.note()
        raise ApiError(status, reason or str(status), message)

    # -- for channels --------------------------------------------------------------------------------

    def socket_address(self, path: str, query: Mapping[str, Any]) -> str:
        return "wss" + self._base[5:] + path + f"?{urlencode(query, doseq=True)}"

    def socket_options(self) -> dict[str, Any]:
        """What websocket-client wants for the same trust as every other call has."""
        context = ssl.create_default_context(cadata=self.endpoint.ca_pem or None)
        if self.endpoint.client_cert_pem:
            context.load_cert_chain(_in_memory(self.endpoint.client_cert_pem), _in_memory(self.endpoint.client_key_pem))
        return {
            "sslopt": {"context": context, "server_hostname": self.endpoint.tls_server_name or self._host},
            "host": self._host_header,
            "header": [f"{name}: {value}" for name, value in self.authorization().items()],
            "http_proxy_host": None,
            "http_no_proxy": ["*"],
            "timeout": CONNECT_SECONDS,
        }


def path_of(*parts: str) -> str:
    """A path of names that came from elsewhere: nothing in them can reach another object."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


@lru_cache(maxsize=256)
def api_for(endpoint: Endpoint) -> Api:
    """One set of connections for each endpoint and credential in this process."""
    return Api(endpoint)


@lru_cache(maxsize=512)
def _in_memory(text: str) -> str:
    """A file of this process's memory, for a library that takes certificates as files only. Lives as long as we;
    one for each text, since every channel asks for it anew."""
    number = os.memfd_create("aquifer", 0)
    os.write(number, text.encode())
    return f"/proc/self/fd/{number}"


def _read(response: BaseHTTPResponse, deadline: Deadline) -> bytes:
    """The whole answer; a server that drips is cut off when time is up."""
    pieces, size = [], 0
    for piece in response.stream(1 << 18, decode_content=True):
        deadline.left()
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            response.close()
            raise Unavailable("The site's answer is too large.")
    return b"".join(pieces)


def _status_of(data: bytes) -> tuple[str, str]:
    """Reason and message of a Status object; of anything else only nothing, since it may hold anything."""
    try:
        found = json.loads(data)
    except ValueError:
        return "", ""
    if not isinstance(found, dict) or found.get("kind") != "Status":
        return "", ""
    return str(found.get("reason") or ""), str(found.get("message") or "")[:1000]


def _retry_after(response: BaseHTTPResponse) -> float | None:
    value = response.headers.get("Retry-After", "")
    return min(float(value), 3600.0) if value.isascii() and value.isdigit() else None


def _in_words(error: Exception) -> str:
    cause: BaseException = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    text = f"{cause!r}"
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text.lower():
        for sign, words in _TLS_WORDS.items():
            if sign in text:
                return words
        return "The site's certificate cannot be verified (TLSInvalid)."
    if isinstance(cause, (ssl.SSLError, urllib3.exceptions.SSLError)) and "SSLEOFError" not in text:
        return "No secure connection could be made (TLSInvalid)."
    # Each of these is a kind of the next one.
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        return "The name of the site cannot be resolved."
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        return "The site could not be reached: nothing answers at its address."
    if isinstance(cause, urllib3.exceptions.ConnectTimeoutError):
        return "The site could not be reached in time."
    if isinstance(cause, (urllib3.exceptions.ReadTimeoutError, TimeoutError)):
        return "The site took too long to answer."
    return "The connection to the site broke."


_TLS_WORDS = {
    "certificate has expired": "The site's certificate has expired (TLSInvalid).",
    "not yet valid": "The site's certificate is not valid yet (TLSInvalid).",
    "self-signed": "The site's certificate is not from the authority that was given (TLSInvalid).",
    "unable to get local issuer": "The site's certificate is not from the authority that was given (TLSInvalid).",
    "Hostname mismatch": "The site's certificate is for another name (TLSInvalid).",
    "hostname": "The site's certificate is for another name (TLSInvalid).",
    "IP address mismatch": "The site's certificate is for another address (TLSInvalid).",
    "doesn't match": "The site's certificate is for another name (TLSInvalid).",
}
