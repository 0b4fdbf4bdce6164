"""Calls of the hub: each is answered once, carried both ways, and ends with whichever end goes first."""

import json
import queue
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from agentsite import wait_for
from aquifer_agent.cluster import calls
from aquifer_agent.cluster.calls import Calls, Talk
from aquifer_agent.hub import Address
from websocket import ABNF, WebSocketConnectionClosedException, WebSocketTimeoutException

from federation.drivers.abilities import Channel, EventSeen, Stream
from federation.drivers.base import Observation, ObservedState, Rejected, Unavailable


class Line:
    """The websocket to the hub. What the hub says is put into `heard`; None hangs up."""

    def __init__(self) -> None:
        self.heard: queue.Queue[str | bytes | None] = queue.Queue()
        self.said: list[Any] = []
        self.is_closed = False

    def send(self, text: str) -> None:
        self.said.append(json.loads(text))

    def send_binary(self, data: bytes) -> None:
        self.said.append(data)

    def recv_data(self) -> tuple[int, bytes]:
        try:
            found = self.heard.get(timeout=0.05)
        except queue.Empty:
            raise WebSocketTimeoutException from None
        if found is None:
            raise WebSocketConnectionClosedException
        if isinstance(found, str):
            return ABNF.OPCODE_TEXT, found.encode()
        return ABNF.OPCODE_BINARY, found

    def close(self) -> None:
        self.is_closed = True


class Work:
    """A Channel to work that says what it hears, until it hears the end."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.pieces: queue.Queue[bytes] = queue.Queue()
        self.sizes: list[tuple[int, int]] = []
        self.is_closed = threading.Event()

    def send(self, data: bytes) -> None:
        self.pieces.put(data)

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    def receive(self, seconds: float) -> tuple[Stream, bytes] | None:
        try:
            piece = self.pieces.get(timeout=0.05)
        except queue.Empty:
            return None
        if not piece:
            self.exit_code = 7
            raise EOFError
        return (Stream.ERR if piece.startswith(b"!") else Stream.OUT), piece

    def close(self) -> None:
        self.is_closed.set()


class Driver:
    """A driver with all abilities that a call may ask for."""

    def __init__(self) -> None:
        self.work = Work()
        self.asked: list[Any] = []
        self.fault: Exception | None = None
        self.words, self.many = "m", 1

    def _give(self, *asked: Any) -> Channel:
        self.asked.append(asked)
        if self.fault:
            raise self.fault
        return self.work

    def shell(self, ref: str, command: Sequence[str], *, is_tty: bool = True) -> Channel:
        return self._give("shell", ref, list(command), is_tty)

    def reach(self, ref: str, port: int) -> Channel:
        return self._give("port", ref, port)

    def restart(self, ref: str, *, is_hard: bool = False) -> Observation:
        self._give("restart", ref, is_hard)
        return Observation(ref, ObservedState.RUNNING)

    def events(self, ref: str) -> list[EventSeen]:
        if self.fault:
            raise self.fault
        return [EventSeen(datetime(2026, 11, 29, tzinfo=UTC), "Pulled", self.words, True, 3)] * self.many


class Site:
    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def driver(self) -> Any:
        return self._driver


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def line() -> Line:
    return Line()


def begin(line: Line, driver: Any, **call: Any) -> threading.Thread:
    talk = threading.Thread(target=Talk(line, Site(driver)).carry, args=({"ref": "r", **call},))  # type: ignore[arg-type]  # all of either that is used
    talk.start()
    return talk


def test_bytes_are_carried_both_ways_and_the_exit_code_comes_last(line: Line, driver: Driver) -> None:
    talk = begin(line, driver, kind="shell", command=["sort"], is_tty=False)
    for said in (
        b"out",
        b"!err",
        '{"type": "resize", "columns": 132, "rows": 43}',
        '{"type": "ping"}',
        '{"type": "?"}',
    ):
        line.heard.put(said)
    line.heard.put('{"type": "eof"}')
    talk.join(10)
    assert line.said == [
        {"type": "open"}, b"\x01out", b"\x02!err", {"type": "end", "code": "", "message": "", "exit_code": 7},
    ]  # fmt: skip
    assert driver.asked == [("shell", "r", ["sort"], False)] and driver.work.sizes == [(132, 43)]
    assert driver.work.is_closed.is_set()


def test_a_hub_that_hangs_up_or_goes_silent_leaves_nothing_open(
    line: Line, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = begin(line, driver, kind="port", port=80)
    line.heard.put(None)
    talk.join(10)
    assert not talk.is_alive() and driver.work.is_closed.is_set()
    monkeypatch.setattr(calls, "SILENT_SECONDS", 0.2)
    silent = Driver()
    talk = begin(Line(), silent, kind="port", port=80)
    talk.join(10)
    assert not talk.is_alive() and silent.work.is_closed.is_set()


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        (Unavailable("Away."), "unavailable", "Away."),
        (Unavailable(""), "unavailable", "The site did not answer."),
        (Rejected("NotRunning", "It does not run."), "not-running", "It does not run."),
        (Rejected("NobodyListens", ""), "not-possible", "NobodyListens"),
    ],
)
def test_what_cannot_be_opened_is_told(line: Line, driver: Driver, fault: Exception, code: str, message: str) -> None:
    driver.fault = fault
    begin(line, driver, kind="shell").join(10)
    assert line.said == [{"type": "end", "code": code, "message": message, "exit_code": None}]


def test_events_are_told_or_why_not(line: Line, driver: Driver) -> None:
    begin(line, driver, kind="events").join(10)
    event = {"at": "2026-11-29T00:00:00+00:00", "reason": "Pulled", "message": "m", "is_warning": True, "count": 3}
    assert line.said.pop() == {"type": "events", "events": [event], "more": False}
    driver.fault = Unavailable("Away.")
    begin(line, driver, kind="events").join(10)
    assert line.said.pop() == {"type": "events", "events": [], "message": "Away."}
    begin(line, object(), kind="events").join(10)
    assert line.said.pop()["message"] == "This kind of site keeps no events."
    begin(line, object(), kind="shell").join(10)
    assert line.said.pop()["code"] == "not-possible"


def test_what_is_asked_is_done_at_once_and_told(line: Line, driver: Driver) -> None:
    def said(**call: Any) -> Any:
        begin(line, driver, kind="ask", **call).join(10)
        return line.said.pop()

    assert said(verb="restart", is_hard=True) == {
        "type": "answer", "code": "", "found": {
            "state": "running", "generation": 0, "epoch": 0, "ran_seconds": None, "exit_code": None, "reason": "",
            "message": "",
        },
    }  # fmt: skip
    assert driver.asked == [("restart", "r", True)]
    for verb in ("suspend", "set-power", "made-up"):
        assert said(verb=verb)["reason"] == "NotPossible", "this driver cannot"
    driver.fault = Unavailable("Away.")
    assert said(verb="restart") == {"type": "answer", "code": "unavailable", "message": "Away."}
    driver.fault = Rejected("NotRunning", "It does not run.")
    assert said(verb="restart") == {
        "type": "answer", "code": "refused", "reason": "NotRunning", "message": "It does not run.",
    }  # fmt: skip


def test_no_frame_is_larger_than_the_hub_takes(line: Line, driver: Driver) -> None:
    driver.words, driver.many = "图" * 5000, 1000
    begin(line, driver, kind="events").join(10)
    assert [len(said["events"]) for said in line.said] == [20] * 10
    assert [said["more"] for said in line.said] == [True] * 9 + [False]
    assert all(len(json.dumps(said, ensure_ascii=False).encode()) < 65536 for said in line.said)
    line.said.clear()
    talk = begin(line, driver, kind="shell")
    line.heard.put(b"x" * 100_000)
    line.heard.put('{"type": "eof"}')
    talk.join(10)
    pieces = [said for said in line.said if isinstance(said, bytes)]
    assert b"".join(piece[1:] for piece in pieces) == b"x" * 100_000
    assert all(piece[:1] == b"\x01" and len(piece) < 65536 for piece in pieces)


def test_each_call_is_answered_once_and_only_so_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MOST", 2)
    dialled: list[str] = []
    may_end = threading.Event()

    def dial(pk: str) -> Line:
        dialled.append(pk)
        may_end.wait(10)
        raise OSError("the hub is away")

    made = Calls(Site(Driver()), Address("http://127.0.0.1:9"), "secret")  # type: ignore[arg-type]  # all of it that is used
    monkeypatch.setattr(made, "_dial", dial)
    wanted: list[Any] = [{"id": name, "kind": "events", "ref": "r"} for name in "abc"]
    made.take(wanted)
    made.take(wanted)
    wait_for(lambda: len(dialled) == 2)
    may_end.set()
    again: Callable[[], bool] = lambda: (made.take(wanted), sorted(dialled) == ["a", "b", "c"])[1]  # noqa: E731
    wait_for(again)
