"""A port of work at a fake site: what is sent there comes back."""

import threading
import time
from collections import deque

from federation.drivers.abilities import Stream
from federation.drivers.base import Unavailable

_MOST_BYTES = 256 * 1024  # that wait to be taken; who sends more waits


class EchoPort:
    """A Channel to a program that says what it hears."""

    exit_code: int | None = None

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._is_closed = False

    def send(self, data: bytes) -> None:
        if not data:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._size < _MOST_BYTES)
            if self._is_closed:
                raise Unavailable("The connection is closed.")
            self._waiting.append(data)
            self._size += len(data)
            self._changed.notify_all()

    def resize(self, columns: int, rows: int) -> None:
        """A port has no size."""

    def receive(self, seconds: float) -> tuple[Stream, bytes] | None:
        until = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._waiting, max(0.0, until - time.monotonic()))
            if self._is_closed:
                raise EOFError
            if not self._waiting:
                return None
            data = self._waiting.popleft()
            if len(data) > 65536:
                self._waiting.appendleft(data[65536:])
                data = data[:65536]
            self._size -= len(data)
            self._changed.notify_all()
            return Stream.OUT, data

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
