"""Calls of the hub: somebody there waits for a shell, a port, what the site noted, or for something to be done at once.

We dial in for each, and carry.

Each call has threads of its own; nothing of the agent waits for them, and they end with the call.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from websocket import ABNF, WebSocket, WebSocketException, WebSocketTimeoutException

from aquifer_agent.cluster.site import Site
from aquifer_agent.hub import Address
from federation.drivers.abilities import DEFAULT_SHELL, Channel, EventReader, PortAccess, ShellAccess, Stream
from federation.drivers.agent_calls import answer_to
from federation.drivers.base import Rejected, Unavailable

logger = logging.getLogger(__name__)
MOST = 50  # at once; the hub hears of no other for as long
TIMEOUT_SECONDS = 10.0
LONGEST_SECONDS = 13 * 3600.0  # the hub ends a call after twelve hours
SILENT_SECONDS = 90.0  # the hub asks every twenty seconds whether we are there
PIECE = 32 << 10  # the hub takes frames of up to 64 KiB
MOST_EVENTS, EVENTS_AT_ONCE, LONGEST_EVENT = 200, 20, 500
_REMEMBERED = 500
_BYTES = {Stream.OUT: b"\x01", Stream.ERR: b"\x02"}


class Calls:
    def __init__(self, site: Site, address: Address, secret: str) -> None:
        self._site, self._address, self._secret = site, address, secret
        self._known: dict[str, None] = {}  # the hub names a call until we are there
        self._open = threading.BoundedSemaphore(MOST)

    def take(self, wanted: list[Any]) -> None:
        """Answer each call that is new, in a thread of its own."""
        for call in wanted:
            pk = str(call.get("id"))
            if pk in self._known or not self._open.acquire(blocking=False):
                continue
            self._known[pk] = None
            while len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
            threading.Thread(target=self._answer, args=(pk, call), name="call", daemon=True).start()

    def _answer(self, pk: str, call: dict[str, Any]) -> None:
        try:
            with closing(self._dial(pk)) as line:
                Talk(line, self._site).carry(call)
        except (OSError, WebSocketException) as error:
            logger.warning("A call of the hub came to nothing: %s", error)
        except Exception:
            logger.exception("A call of the hub fell over.")
        finally:
            self._open.release()

    def _dial(self, pk: str) -> WebSocket:
        where = self._address
        host = f"[{where.host}]" if ":" in where.host else where.host
        port = f":{where.port}" if where.port else ""
        scheme = "wss" if where.scheme == "https" else "ws"
        line = WebSocket(sslopt={"ca_certs": where.ca_file} if where.ca_file else {}, skip_utf8_validation=True)
        line.settimeout(TIMEOUT_SECONDS)
        line.connect(
            f"{scheme}://{host}{port}{where.path}/ws/agent/calls/{pk}",
            header=[f"Authorization: Bearer {self._secret}"],
            suppress_origin=True,
        )
        return line


class Talk:
    """One call, over one websocket to the hub."""

    def __init__(self, line: WebSocket, site: Site) -> None:
        self._line, self._site = line, site
        self._until = time.monotonic() + LONGEST_SECONDS
        self._is_over = threading.Event()

    def carry(self, call: dict[str, Any]) -> None:
        try:
            if call["kind"] == "ask":
                self._say("answer", **answer_to(self._site.driver(), call))
                return
            if call["kind"] == "events":
                self._tell_events(self._events(str(call["ref"])))
                return
            channel = self._channel(call)
        except (Unavailable, Rejected) as error:
            self._fail(call, error)
            return
        with closing(channel):
            self._say("open")
            listener = threading.Thread(target=self._listen, args=(channel,), name="call-in", daemon=True)
            listener.start()
            self._tell(channel)
            self._is_over.set()

    def _events(self, ref: str) -> list[dict[str, Any]]:
        driver = self._site.driver()
        if not isinstance(driver, EventReader):
            raise Unavailable("This kind of site keeps no events.")
        return [
            {
                "at": event.at.isoformat(), "reason": event.reason, "message": event.message[:LONGEST_EVENT],
                "is_warning": event.is_warning, "count": event.count,
            }
            for event in list(driver.events(ref))[-MOST_EVENTS:]
        ]  # fmt: skip

    def _tell_events(self, events: list[dict[str, Any]]) -> None:
        """Some at a time: the hub takes no large frame."""
        for start in range(0, max(len(events), 1), EVENTS_AT_ONCE):
            some = events[start : start + EVENTS_AT_ONCE]
            self._say("events", events=some, more=start + EVENTS_AT_ONCE < len(events))

    def _channel(self, call: dict[str, Any]) -> Channel:
        driver, ref = self._site.driver(), str(call["ref"])
        if call["kind"] == "shell" and isinstance(driver, ShellAccess):
            command = [str(word) for word in call.get("command") or DEFAULT_SHELL]
            return driver.shell(ref, command, is_tty=bool(call.get("is_tty", True)))
        if call["kind"] == "port" and isinstance(driver, PortAccess):
            return driver.reach(ref, int(call["port"]))
        raise Rejected("NotPossible", "This kind of site does not offer that.")

    def _fail(self, call: dict[str, Any], error: Unavailable | Rejected) -> None:
        if call["kind"] == "events":
            self._say("events", events=[], message=str(error) or "The site did not answer.")
        elif isinstance(error, Unavailable):
            self._end("unavailable", str(error) or "The site did not answer.")
        else:
            code = "not-running" if error.reason == "NotRunning" else "not-possible"
            self._end(code, error.message or error.reason)

    def _tell(self, channel: Channel) -> None:
        """From the work to the hub, until one of the two ends."""
        while not self._is_over.is_set() and time.monotonic() < self._until:
            try:
                piece = channel.receive(1.0)
            except EOFError as over:
                self._end("", str(over), channel.exit_code)
                return
            except Unavailable as error:
                self._end("unavailable", str(error))
                return
            if piece is not None:
                stream, data = piece
                for start in range(0, len(data), PIECE):
                    self._line.send_binary(_BYTES[stream] + data[start : start + PIECE])

    def _listen(self, channel: Channel) -> None:
        """From the hub to the work. The hub asks now and then, so that silence means that it is gone."""
        heard_at = time.monotonic()
        with suppress(Unavailable):
            while not self._is_over.is_set() and time.monotonic() - heard_at < SILENT_SECONDS:
                try:
                    code, data = self._line.recv_data()
                except WebSocketTimeoutException:
                    continue
                except (OSError, WebSocketException):
                    break
                heard_at = time.monotonic()
                if code == ABNF.OPCODE_CLOSE:
                    break
                if code == ABNF.OPCODE_BINARY:
                    channel.send(bytes(data))
                elif code == ABNF.OPCODE_TEXT:
                    _heed(channel, json.loads(data))
        self._is_over.set()

    def _say(self, kind: str, **values: Any) -> None:
        self._line.send(json.dumps({"type": kind, **values}, ensure_ascii=False))

    def _end(self, code: str, message: str, exit_code: int | None = None) -> None:
        self._say("end", code=code, message=message, exit_code=exit_code)


def _heed(channel: Channel, message: dict[str, Any]) -> None:
    acts: dict[str, Callable[[], None]] = {
        "resize": lambda: channel.resize(int(message["columns"]), int(message["rows"])),
        "eof": lambda: channel.send(b""),
    }
    if act := acts.get(str(message.get("type"))):
        act()
