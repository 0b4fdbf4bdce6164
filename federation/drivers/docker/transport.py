"""The Engine API of one host: a time limit on every call and on all calls of a step together, JSON as it comes.

Our own few lines on `http.client`: the name that is verified and the address that is connected to are two things, a
command in a container wants the bare connection, and no answer may take longer than a driver has (docs/adr/0023).
Whatever goes wrong on the way leaves as `Unavailable`; what the engine refuses leaves as `EngineError`.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from http.client import HTTPException, HTTPResponse
from typing import Any, Self
from urllib.parse import quote, urlencode

from federation.drivers.base import Unavailable
from federation.drivers.docker.pipes import Answer
from federation.drivers.docker.sockets import Connection, Endpoint, in_words

STEP_SECONDS = 9.0  # all calls of one step of a driver together: below the ten seconds a driver may take
LOWEST, HIGHEST = (1, 41), (1, 51)  # versions of the API that this driver knows
MOST_BYTES = 64 << 20  # of one answer
_REMEMBER_SECONDS = 60.0
Json = dict[str, Any]


class EngineError(Exception):
    """The engine's refusal: HTTP status and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


@dataclass
class Deadline:
    """How long a step has left. Made anew for each call of a driver; it keeps one connection for all of them."""

    ends: float
    link: Connection | None = None

    def left(self) -> float:
        left = self.ends - time.monotonic()
        if left <= 0.05:
            raise Unavailable("The host took too long to answer.")
        return left

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def close(self) -> None:
        if self.link is not None:
            self.link.close()
            self.link = None


class Api:
    """Calls to one engine. Safe in many threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._lock = threading.Lock()
        self._version: tuple[float, str] = (0.0, "")

    def begin(self) -> Deadline:
        """The time limit of one step."""
        return Deadline(time.monotonic() + STEP_SECONDS)

    # -- one call ------------------------------------------------------------------------------------

    def get(self, deadline: Deadline, path: str, **query: Any) -> Any:
        return self.call(deadline, "GET", path, query=query)

    def find(self, deadline: Deadline, path: str, **query: Any) -> Json | None:
        """The object, or None where there is none."""
        try:
            found: Json = self.get(deadline, path, **query)
        except EngineError as error:
            if error.status == 404:
                return None
            raise
        return found

    def call(
        self, deadline: Deadline, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Any:
        """One request. Raises EngineError, Unavailable."""
        data = self.raw(deadline, method, path, query=query, body=body)
        try:
            return json.loads(data) if data else {}
        except ValueError:
            raise Unavailable("The answer is not JSON; is this a Docker host?") from None

    def raw(
        self, deadline: Deadline, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> bytes:
        target = self._prefix(deadline) + path
        response = self._send(deadline, method, target, query, body, {})
        try:
            data = _read(response)
        except (OSError, HTTPException) as error:
            deadline.close()
            raise Unavailable(in_words(error)) from None
        if response.will_close:
            deadline.close()
        _refuse(response.status, data)
        return data

    def stream(
        self, deadline: Deadline, path: str, query: Mapping[str, Any] | None = None, *, method: str = "GET",
        body: Any = None, headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """An answer that goes on, on a connection of its own; the caller reads and closes it."""
        target = self._prefix(deadline) + path + _query(query)
        data = b"" if body is None else json.dumps(body).encode()
        answer = Answer(self.endpoint, method, target, body=data, seconds=deadline.left(), headers=headers)
        if answer.status >= 300:
            try:
                said = answer.whole(deadline.left())
            finally:
                answer.close()
            _refuse(answer.status, said)
        return answer

    def _send(
        self, deadline: Deadline, method: str, target: str, query: Mapping[str, Any] | None, body: Any,
        headers: Mapping[str, str],
    ) -> HTTPResponse:  # fmt: skip
        self.endpoint.check()
        deadline.left()
        url = target + _query(query)
        data = None if body is None else json.dumps(body).encode()
        said = {"Accept": "application/json", **headers}
        if method == "POST":
            said |= {"Content-Type": "application/json"}
            data = data or b""
        link = deadline.link or Connection(self.endpoint, deadline.ends)
        deadline.link = link
        try:
            link.request(method, url, body=data, headers=said)
            return link.getresponse()
        except (OSError, HTTPException) as error:
            deadline.close()
            raise Unavailable(in_words(error)) from None

    # -- versions and time -----------------------------------------------------------------------------

    def _prefix(self, deadline: Deadline) -> str:
        with self._lock:
            at, known = self._version
        if known and time.monotonic() - at < _REMEMBER_SECONDS:
            return known
        self.version(deadline)
        return self._version[1]

    def version(self, deadline: Deadline) -> Json:
        """What the engine says of itself, and which version of the API we speak from now on."""
        response = self._send(deadline, "GET", "/version", None, None, {})
        try:
            data = _read(response)
        except (OSError, HTTPException) as error:
            deadline.close()
            raise Unavailable(in_words(error)) from None
        _refuse(response.status, data)
        try:
            found = json.loads(data)
            highest, lowest = _numbers(found["ApiVersion"]), _numbers(found.get("MinAPIVersion") or "1.0")
        except (ValueError, KeyError, TypeError):
            raise Unavailable("What answers there is no Docker host.") from None
        spoken = min(highest, HIGHEST)
        if spoken < max(LOWEST, lowest):
            raise Unavailable(f"Its API is of version {found['ApiVersion']}; {LOWEST[0]}.{LOWEST[1]} is needed.")
        with self._lock:
            self._version = (time.monotonic(), f"/v{spoken[0]}.{spoken[1]}")
        return dict(found)

    def now(self, deadline: Deadline) -> float:
        """The host's own clock: what runs there is stamped by it."""
        found = moment(self.get(deadline, "/info").get("SystemTime"))
        return time.time() if found is None else found


def _read(response: HTTPResponse) -> bytes:
    try:
        data = response.read(MOST_BYTES + 1)
    finally:
        response.close()
    if len(data) > MOST_BYTES:
        raise Unavailable("The host's answer is too large.")
    return data


def _refuse(status: int, data: bytes) -> None:
    if status < 300 or status == 304:  # not modified: it is so already
        return
    try:
        found = json.loads(data)
        message = str(found.get("message") or found.get("cause") or "")[:1000] if isinstance(found, dict) else ""
    except ValueError:
        message = ""
    if status in (401, 429, 502, 503, 504) or 300 <= status < 400:
        raise Unavailable(f"The host answers {status}" + (f": {message}" if message else "."))
    raise EngineError(status, message or f"The host answers {status}.")


def _query(query: Mapping[str, Any] | None) -> str:
    words = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in (query or {}).items()}
    return f"?{urlencode(words)}" if words else ""


def _numbers(text: str) -> tuple[int, int]:
    major, _, minor = str(text).partition(".")
    return int(major), int(minor.partition(".")[0] or 0)


def moment(text: Any) -> float | None:
    """Seconds since 1970 of a time as Go writes it; None for none, and for its zero."""
    if not isinstance(text, str) or text.startswith("0001-"):
        return None
    head, dot, rest = text.partition(".")
    digits = "".join(iter_digits(rest))
    zone = rest[len(digits) :] if dot else ""
    if not dot:
        head, zone = (head[:-1], "Z") if head.endswith("Z") else (head[:19], head[19:])
    try:
        at = datetime.fromisoformat(head + ("+00:00" if zone in ("Z", "") else zone)).astimezone(UTC)
        return at.timestamp() + (float(f"0.{digits}") if digits else 0.0)
    except ValueError:
        return None


def iter_digits(text: str) -> Iterator[str]:
    for letter in text:
        if not letter.isdigit():
            return
        yield letter


def path_of(*parts: str) -> str:
    """A path of names that came from elsewhere: nothing in them can reach another object."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


@lru_cache(maxsize=256)
def api_for(endpoint: Endpoint) -> Api:
    """One for each endpoint and credential in this process: it remembers the version spoken there."""
    return Api(endpoint)
