"""List and watch against a server that forgets, breaks off, repeats and falls silent; the picture stays the truth."""

import json
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from federation.drivers.base import Unavailable
from federation.drivers.kubernetes.transport import ApiError, Deadline, Json
from federation.drivers.kubernetes.watch import Gone, Reflector


class Set:
    """A sink that keeps names and a value."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}

    def replace(self, items: Iterator[Json]) -> None:
        self.items = {i["metadata"]["name"]: i["value"] for i in items}

    def put(self, item: Json) -> None:
        self.items[item["metadata"]["name"]] = item["value"]

    def drop(self, item: Json) -> None:
        self.items.pop(item["metadata"]["name"], None)


class Reply:
    def __init__(self, lines: list[bytes], breaks: bool) -> None:
        self.lines, self.breaks, self.is_closed = lines, breaks, False

    def stream(self, size: int, decode_content: bool = True) -> Iterator[bytes]:
        data = b"".join(self.lines)
        for start in range(0, len(data), 7):  # whatever the pieces, lines stay lines
            yield data[start : start + 7]
        if self.breaks:
            raise OSError("reset")

    def close(self) -> None:
        self.is_closed = True


class Server:
    """A list of objects with a history of which only the newest part is kept."""

    def __init__(self, seed: int, kept: int = 5) -> None:
        self.random = random.Random(seed)
        self.version, self.kept = 100, kept
        self.truth: dict[str, str] = {}
        self.history: list[tuple[int, str, Json]] = []
        self.forced: list[str] = []  # what the next calls come to: gone, page-gone, break, error
        self.replies: list[Reply] = []
        self.token_versions: dict[str, int] = {}

    def begin(self) -> Deadline:
        return Deadline(float("inf"), lambda: 0.0)

    def change(self) -> None:
        self.version += 1
        name = f"o{self.random.randrange(30)}"
        if name in self.truth and self.random.random() < 0.4:
            kind, value = "DELETED", self.truth.pop(name)
        else:
            kind = "MODIFIED" if name in self.truth else "ADDED"
            value = self.truth[name] = f"v{self.version}"
        item = {"metadata": {"name": name, "resourceVersion": str(self.version)}, "value": value}
        self.history = [*self.history, (self.version, kind, item)][-self.kept :]

    def get(self, deadline: Deadline, path: str, **query: Any) -> Json:
        what = self.forced.pop(0) if self.forced and self.forced[0] in ("page-gone", "error") else ""
        if what == "error":
            raise Unavailable("500")
        if query.get("continue") and what == "page-gone":
            raise ApiError(410, "Expired", "the list is too old")
        names = sorted(self.truth)
        start = int(query.get("continue") or 0)
        page = names[start : start + 7]
        more = start + 7 < len(names)
        items = [{"metadata": {"name": n}, "value": self.truth[n]} for n in page]
        return {
            "items": items,
            "metadata": {"resourceVersion": str(self.version), **({"continue": str(start + 7)} if more else {})},
        }

    def stream(self, path: str, query: dict[str, str], *, read_seconds: float) -> Reply:
        what = self.forced.pop(0) if self.forced else ""
        for _ in range(self.random.randrange(4)):
            self.change()
        place = int(query["resourceVersion"])
        oldest = self.history[0][0] if self.history else self.version
        if what == "gone" or place < oldest - 1:
            if self.random.random() < 0.5:  # a server says it in either of two ways
                raise ApiError(410, "Expired", "too old resource version")
            return self._reply([{"type": "ERROR", "object": {"kind": "Status", "code": 410}}], False)
        events = [{"type": kind, "object": item} for version, kind, item in self.history if version > place]
        mark = {"metadata": {"resourceVersion": str(self.version)}}
        return self._reply([*events, {"type": "BOOKMARK", "object": mark}], what == "break")

    def _reply(self, events: list[Json], breaks: bool) -> Reply:
        self.replies.append(Reply([json.dumps(e).encode() + b"\n" for e in events], breaks))
        return self.replies[-1]


class Rounds(threading.Event):
    """Stops a reflector after so many looks, and never waits for real."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0 or super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return False


def reflect(server: Server, sink: Set, **more: Any) -> Reflector:
    return Reflector(server, "/api/v1/things", sink, **more)  # type: ignore[arg-type]  # has what a reflector uses


def settle(server: Server, reflector: Reflector) -> None:
    """No more changes and no more faults: what the reflector then has is what there is."""
    server.forced.clear()
    server.random = random.Random(0)
    server.change = lambda: None  # type: ignore[method-assign]  # for the rest of this test
    reflector.run(Rounds(12))


def test_a_thousand_forced_410s_lose_nothing() -> None:
    server, sink = Server(1), Set()
    reflector = reflect(server, sink)
    for _ in range(40):
        server.change()
    for _ in range(1000):
        server.forced += ["gone"]
        for _ in range(server.random.randrange(3)):
            server.change()
        reflector.run(Rounds(server.random.randrange(2, 5)))
    assert reflector.health.gone >= 1000
    settle(server, reflector)
    assert sink.items == server.truth


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_on_the_way_the_picture_ends_as_the_truth(seed: int) -> None:
    server, sink = Server(seed, kept=seed % 7 + 1), Set()
    reflector = reflect(server, sink)
    for _ in range(60):
        server.forced += [server.random.choice(["", "", "gone", "page-gone", "break", "error"])]
        for _ in range(server.random.randrange(4)):
            server.change()
        reflector.run(Rounds(server.random.randrange(1, 6)))
    settle(server, reflector)
    assert sink.items == server.truth


def test_a_list_that_expires_between_its_pages_is_begun_anew_and_changes_nothing() -> None:
    server, sink = Server(2), Set()
    server.truth = {f"o{i:02}": "a" for i in range(20)}
    sink.items = {"was": "here"}
    reflector = reflect(server, sink)
    server.forced = ["", "page-gone"]
    server.get = _twice_gone(server)  # type: ignore[method-assign]  # for the rest of this test
    for _ in range(2):
        with pytest.raises(Gone):
            reflector.list()
        assert sink.items == {"was": "here"}
    reflector.list()
    assert sink.items == server.truth


def _twice_gone(server: Server) -> Any:
    whole, left = server.get, [2]

    def get(deadline: Deadline, path: str, **query: Any) -> Json:
        if query.get("continue") and left[0]:
            left[0] -= 1
            raise ApiError(410, "Expired", "the provided continue parameter is too old")
        return whole(deadline, path, **query)

    server.forced = []
    return get


def test_a_bookmark_moves_the_place_forward_while_nothing_happens() -> None:
    server, sink = Server(3, kept=1), Set()
    server.change()
    reflector = reflect(server, sink)
    reflector.list()
    server.random = random.Random(5)
    quiet = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "777"}}}
    server.stream = lambda *_, **__: server._reply([quiet], False)  # type: ignore[method-assign]  # for the rest of this test
    reflector.watch(threading.Event())
    assert reflector._place == "777"
    assert reflector.health.lists == 1


def test_a_broken_watch_goes_on_from_where_it_was() -> None:
    server, sink = Server(4, kept=100), Set()
    for _ in range(10):
        server.change()
    reflector = reflect(server, sink)
    server.forced = ["break", "break", "break"]
    reflector.run(Rounds(6))
    assert reflector.health.lists == 1
    assert all(reply.is_closed for reply in server.replies)
    settle(server, reflector)
    assert sink.items == server.truth


def test_a_kind_that_the_cluster_does_not_have_is_empty_and_no_trouble() -> None:
    server, sink = Server(5), Set()

    def get(*_: Any, **__: Any) -> Json:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")

    server.get = get  # type: ignore[method-assign]  # for the rest of this test
    reflector = reflect(server, sink, is_optional=True)
    reflector.run(Rounds(3))
    assert reflector.health.is_synced and sink.items == {}


def test_what_is_no_json_is_trouble_and_no_crash() -> None:
    server, sink = Server(6), Set()
    reflector = reflect(server, sink)
    reflector.list()
    server.stream = lambda *_, **__: Reply([b"<html>\n"], False)  # type: ignore[method-assign]  # for the rest of this test
    reflector.run(Rounds(3))
    assert "JSON" in reflector.health.why and not reflector.health.is_synced
