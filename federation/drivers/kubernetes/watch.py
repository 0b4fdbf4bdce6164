"""List, then watch: one kind of object of one cluster, kept in step with the API server for good.

A reflector lists in pages, watches from where the list was, and lists again whenever the server says that it no
longer knows that place (410), in the middle of a list too. What a new list lacks has been deleted. Bookmarks move the
place forward while nothing happens, so that a watch that breaks goes on from near where it was; a watch that is silent
for longer than bookmarks take is taken for dead. resourceVersions are opaque: they are handed back, never compared.
"""

import json
import logging
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from urllib3.exceptions import HTTPError

from federation.drivers.base import Unavailable
from federation.drivers.kubernetes.transport import PAGE, Api, ApiError, Json

logger = logging.getLogger(__name__)
WATCH_SECONDS = 240  # then the server ends it, and we go on from the last place
SILENT_SECONDS = 75.0  # bookmarks come about once a minute
LONGEST_WAIT = 30.0
_MOST_LINE = 8 << 20


class Gone(Exception):
    """The server no longer knows this place in its history."""


class Sink(Protocol):
    """Where objects go. Called by one reflector's thread, each call for one consistent step."""

    def replace(self, items: Iterator[Json]) -> None:
        """Everything there is; what is not among it is gone. Raises what the iterator raises, then changes nothing."""

    def put(self, item: Json) -> None: ...

    def drop(self, item: Json) -> None: ...


@dataclass
class Health:
    """What a reflector went through, for people and for tests."""

    lists: int = 0
    gone: int = 0
    events: int = 0
    failures: int = 0
    is_synced: bool = False
    why: str = ""


class Reflector:
    """Keeps `sink` in step with one list of the API server. `run` returns when `stop` is set."""

    def __init__(
        self,
        api: Api,
        path: str,
        sink: Sink,
        *,
        query: dict[str, str] | None = None,
        is_optional: bool = False,
        trim: Callable[[Json], Json] = lambda item: item,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self.api, self.path, self.sink, self.query = api, path, sink, query or {}
        self.is_optional, self.trim, self.silent_seconds = is_optional, trim, silent_seconds
        self.health = Health()
        self._place = ""
        self._speaks = True  # the last that came from it made sense

    def run(self, stop: threading.Event) -> None:
        failures = 0
        while not stop.is_set():
            try:
                if not self._place:
                    self.list()
                seen = self.health.events
                self.watch(stop)
                failures = 0
                if self.health.events == seen:
                    stop.wait(random.uniform(0.1, 0.3))  # a server that ends every watch at once is not hammered
            except Gone:
                self.health.gone += 1
                self._place = ""
                # The first time at once; a server that forgets faster than it can list is not to be hammered.
                failures += 1
                stop.wait(0 if failures == 1 else min(0.05 * 2**failures, 5.0) * random.uniform(0.5, 1.0))
            except ApiError as error:
                if error.status == 404 and self.is_optional:  # this cluster has no such kind; it may get it
                    self.sink.replace(iter(()))
                    self.health.is_synced = True
                    stop.wait(300)
                    continue
                failures = self._failed(error.message or str(error), failures, stop)
            except Unavailable as error:
                failures = self._failed(str(error), failures, stop, error.retry_after)

    def _failed(self, why: str, failures: int, stop: threading.Event, at_least: float | None = None) -> int:
        self.health.failures += 1
        self.health.is_synced, self.health.why = False, why
        wait = min(0.25 * 2**failures, LONGEST_WAIT) * random.uniform(0.5, 1.0)
        stop.wait(max(wait, at_least or 0.0))
        return min(failures + 1, 10)

    def list(self) -> None:
        """One whole list into the sink. Raises Gone when its pages do not fit together any more."""
        self.health.lists += 1
        place = ""

        def pages() -> Iterator[Json]:
            nonlocal place
            token = ""
            while True:
                query = {**self.query, "limit": str(PAGE), **({"continue": token} if token else {})}
                try:
                    page = self.api.get(self.api.begin(), self.path, **query)
                except ApiError as error:
                    if error.status == 410:
                        raise Gone from None
                    raise
                for item in page.get("items") or ():
                    yield self.trim(item)
                meta = page.get("metadata") or {}
                place, token = str(meta.get("resourceVersion") or ""), str(meta.get("continue") or "")
                if not token:
                    return

        self.sink.replace(pages())
        self._place = place
        self._speaks, self.health.is_synced, self.health.why = True, True, ""

    def watch(self, stop: threading.Event) -> None:
        """Follow from the present place until the server ends it. Raises Gone, ApiError, Unavailable."""
        query = {
            **self.query, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": self._place,
            "timeoutSeconds": str(int(WATCH_SECONDS * random.uniform(0.8, 1.0))),
        }  # fmt: skip
        try:
            response = self.api.stream(self.path, query, read_seconds=self.silent_seconds)
        except ApiError as error:
            if error.status == 410:
                raise Gone from None
            raise
        if self._speaks:  # from where it was, all that was missed comes; a quiet list may say nothing for a minute
            self.health.is_synced, self.health.why = True, ""
        try:
            for line in _lines(response.stream(65536, decode_content=True)):
                if stop.is_set():
                    return
                self._take(line)
        except (HTTPError, OSError) as error:
            # Silence or a broken connection: what came is good, and we go on from there.
            logger.debug("watch of %s ended: %s", self.path, type(error).__name__)
        finally:
            response.close()

    def _take(self, line: bytes) -> None:
        self._speaks = False
        try:
            event = json.loads(line)
            kind, item = event["type"], event["object"]
            meta = item.get("metadata") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Unavailable("The site's watch does not speak JSON.") from None
        if kind == "ERROR":
            if item.get("code") == 410:
                self._speaks = True
                raise Gone
            raise Unavailable(f"The site ended the watch: {item.get('message')}")
        self._speaks, self.health.is_synced, self.health.why = True, True, ""
        self.health.events += 1
        if kind in ("ADDED", "MODIFIED"):
            self.sink.put(self.trim(item))
        elif kind == "DELETED":
            self.sink.drop(item)
        if place := meta.get("resourceVersion"):
            self._place = str(place)


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n") if rest else piece.split(b"\n")
        yield from (line for line in whole if line)
        if len(rest) > _MOST_LINE:
            raise Unavailable("One object of the site is too large.")
