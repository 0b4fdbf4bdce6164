"""Fetching images without waiting for them.

An engine fetches an image for as long as whoever asked stays connected, and forgets what it has when he goes. A driver
may not wait, and starts no thread. So the connection stays open between two calls, in this process, and each call takes
what has come; while nobody does, the engine goes on until the connection is full of its words, which takes minutes.
When this process ends, the next call, whichever process makes it, begins again; who fetch the same layers share them.
"""

import base64
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from federation.drivers.base import Unavailable
from federation.drivers.docker.pipes import Answer
from federation.drivers.docker.sockets import Endpoint
from federation.drivers.docker.transport import Api, Deadline, EngineError

_DRAIN_SECONDS = 0.2  # for what has come already
_MOST = 64  # at once in one process
_FORGOTTEN_SECONDS = 1800.0  # nobody has asked for it any more
_FRESH_SECONDS = 60.0
_FAILED_SECONDS = 20.0  # before it is tried again


@dataclass(slots=True)
class Pull:
    answer: Answer | None
    looked_at: float
    said: str = ""  # how far it is
    why: str = ""  # it failed
    failed_at: float = 0.0
    layers: dict[str, str] = field(default_factory=dict)
    rest: bytes = b""


_pulls: dict[tuple[Endpoint, str], Pull] = {}
_fetched: dict[tuple[Endpoint, str], float] = {}
_lock = threading.Lock()


class ImagePullFailed(Exception):
    """Said to people as it is. It is tried again a little later."""


def pull(api: Api, deadline: Deadline, image: str, auth: Mapping[str, str] | None) -> str:
    """One step towards having this image; how far it is, or nothing once it is there. Raises ImagePullFailed."""
    key = (api.endpoint, image)
    now = time.monotonic()
    with _lock:
        _sweep(now)
        known = _pulls.get(key)
        if known is not None and known.why and now - known.failed_at < _FAILED_SECONDS:
            raise ImagePullFailed(known.why)
        if known is None or known.why:
            if len(_pulls) >= _MOST and known is None:
                return "Other images are being fetched first."
            known = _pulls[key] = Pull(None, now)
        known.looked_at = now
        try:
            if known.answer is None:
                known.answer = _ask(api, deadline, image, auth)
            is_over = _drain(known)
        except EngineError as error:
            _fail(known, error.message)
        except Unavailable:
            del _pulls[key]  # the engine is away: a later call begins again
            raise
        if known.why:
            raise ImagePullFailed(known.why)
        if is_over:
            _close(_pulls.pop(key))
            _fetched[key] = now
            return ""
        return known.said or "It is being fetched."


def is_under_way(endpoint: Endpoint, image: str) -> bool:
    """By this process; also when it failed a moment ago."""
    with _lock:
        return (endpoint, image) in _pulls


def was_fetched(endpoint: Endpoint, image: str) -> bool:
    """By this process within the last minutes: `always` means once for each start, not once for each call."""
    with _lock:
        return time.monotonic() - _fetched.get((endpoint, image), -_FRESH_SECONDS) < _FRESH_SECONDS


def give_up(endpoint: Endpoint, image: str) -> None:
    """Nobody wants it any more (here; what others fetch goes on)."""
    with _lock:
        known = _pulls.pop((endpoint, image), None)
        if known is not None:
            _close(known)


def _ask(api: Api, deadline: Deadline, image: str, auth: Mapping[str, str] | None) -> Answer:
    name, at, _ = image.partition("@")
    query = {"fromImage": image if at else name, **({} if at or ":" in name.rpartition("/")[2] else {"tag": "latest"})}
    headers = {}
    if auth:
        headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(dict(auth)).encode()).decode()
    return api.stream(deadline, "/images/create", query, method="POST", headers=headers)


def _drain(known: Pull) -> bool:
    """Take what has come. True when the engine has ended."""
    assert known.answer is not None
    until = time.monotonic() + _DRAIN_SECONDS
    while (left := until - time.monotonic()) > 0:
        data = known.answer.read(left)
        if data is None:
            return False
        if not data:
            return True
        *lines, known.rest = (known.rest + data).split(b"\n")
        for line in lines:
            _hear(known, line)
        if known.why:
            return True
    return False


def _hear(known: Pull, line: bytes) -> None:
    try:
        said = json.loads(line)
    except ValueError:
        return
    if not isinstance(said, dict):
        return
    if said.get("error"):
        _fail(known, str((said.get("errorDetail") or {}).get("message") or said["error"]))
    elif said.get("id"):
        known.layers[str(said["id"])[:64]] = str(said.get("status") or "")
        done = sum(status in ("Pull complete", "Already exists") for status in known.layers.values())
        known.said = f"{done} of {len(known.layers)} layers are here."


def _fail(known: Pull, why: str) -> None:
    _close(known)
    known.answer, known.why, known.failed_at = None, why[:1000] or "The engine does not say why.", time.monotonic()


def _close(known: Pull) -> None:
    if known.answer is not None:
        known.answer.close()


def _sweep(now: float) -> None:
    for key in [key for key, known in _pulls.items() if now - known.looked_at > _FORGOTTEN_SECONDS]:
        _close(_pulls.pop(key))
