"""A limit on the whole of an answer. The time limit of a socket begins anew with every byte: a server that sends one
now and then would hold a worker for good."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from urllib3.util.ssl_ import create_urllib3_context

_of_thread = threading.local()


@contextmanager
def until(ends: float) -> Iterator[None]:
    """What this thread reads in here from connections of `context` comes before that moment (monotonic), or raises
    TimeoutError."""
    before = getattr(_of_thread, "ends", None)
    _of_thread.ends = ends
    try:
        yield
    finally:
        _of_thread.ends = before


class _Socket(ssl.SSLSocket):
    def recv_into(self, *args: Any, **more: Any) -> int:
        ends = getattr(_of_thread, "ends", None)
        if ends is None:
            return super().recv_into(*args, **more)
        left = ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("The read operation timed out")
        limit = self.gettimeout()
        self.settimeout(left if limit is None else min(limit, left))
        try:
            return super().recv_into(*args, **more)
        finally:
            self.settimeout(limit)


def context() -> ssl.SSLContext:
    """For urllib3, as it makes its own."""
    made = create_urllib3_context()
    made.sslsocket_class = _Socket
    return made
