"""Talking with the hub: one report, its answer, when to speak again, and what to make of a refusal.

Both agents talk in this way; what is in a report and what an answer leads to is theirs.
"""

import contextlib
import logging
import os
import random
import select
import signal
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from aquifer_agent import crash, processes
from aquifer_agent.hub import Address, Exchange, HubError
from aquifer_agent.orders import Order

logger = logging.getLogger(__name__)
OK, SYNC_FAILED, NOT_KNOWN = 0, 1, 3
MOST_BACKOFF_SECONDS = 60.0
SOON_SECONDS = 0.1  # after a change, and while there is more to send
_IN_USE_SECONDS = 2.0


class Conversation:
    """One at a time, and never waited for: `sync` begins a report or takes an answer, and returns at once."""

    ANSWERED = ""  # the crash point just before an answer is taken
    LET_IN = ""  # what lets an agent in again that the hub does not know, for people

    def __init__(self, address: Address, secret: str) -> None:
        self._address, self._secret = address, secret
        self._boot_id = str(uuid.uuid4())
        self._seq = 0
        self._failures = 0
        self._poll_seconds = 1.0
        self._next_sync = 0.0
        self._exchange: Exchange | None = None
        self._is_ending = False
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)

    # -- what an agent adds ----------------------------------------------------------------------------

    def _report(self) -> dict[str, Any]:
        raise NotImplementedError

    def _take_answer(self, answer: dict[str, Any]) -> None:
        raise NotImplementedError

    def _is_time(self) -> bool:
        """Is a report due, or is there something to say that should not wait?"""
        raise NotImplementedError

    def _was_too_large(self) -> None:
        """The hub does not take reports of this size."""
        raise NotImplementedError

    def _is_in_use(self) -> None:
        """Another process speaks with our identity: perhaps our own former self."""

    # -- signals and sleep -----------------------------------------------------------------------------

    def wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"w")

    def _heed_signals(self) -> None:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)

    def _end(self, number: int, frame: object) -> None:
        self._is_ending = True

    def _rest(self, seconds: float) -> None:
        """So long, or until woken."""
        select.select([self._wake_read], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 65536)

    # -- a report and its answer -----------------------------------------------------------------------

    def _sync(self, once: bool = False) -> int | None:
        """Start a report when it is time, take an answer when it is there. The exit code, if this was the last."""
        if self._exchange is None:
            if self._is_time():
                self._exchange = Exchange(self._address, self._secret, "/api/v1/agent/sync", self._report(), self.wake)
            return None
        exchange = self._exchange
        if not exchange.is_over():
            return None
        self._exchange = None
        if exchange.error is not None:
            return self._take_failure(exchange.error, once)
        crash.point(self.ANSWERED)
        answer = exchange.answer or {}
        if self._failures:
            logger.info("The hub answers again.")
        self._failures = 0
        self._take_answer(answer)
        return OK if once else None

    def _heading(self, epoch: int) -> dict[str, Any]:
        """What every report begins with."""
        self._seq += 1
        return {
            "boot_id": self._boot_id,
            "seq": self._seq,
            "epoch": epoch,
            "sent_at": datetime.fromtimestamp(time.time(), UTC).isoformat(),
            "uptime_seconds": round(processes.boottime(), 3),
        }

    def _pace(self, answer: dict[str, Any], *, is_soon: bool) -> None:
        """When to speak again: as the hub says, never two agents in step; at once while there is more to send."""
        self._poll_seconds = min(max(float(answer.get("poll_seconds", 1.0)), 0.05), MOST_BACKOFF_SECONDS)
        wait = self._poll_seconds * random.uniform(0.9, 1.1)
        self._next_sync = time.monotonic() + (min(wait, SOON_SECONDS) if is_soon else wait)

    def _take_failure(self, error: HubError, once: bool) -> int | None:
        if error.status == 401:
            logger.error("The hub does not know this agent (any more): %s %s", error, self.LET_IN)
            return NOT_KNOWN
        if once:
            logger.error("%s", error)
            return SYNC_FAILED
        if error.code == "agent-identity-in-use":
            self._is_in_use()
            wait = max(error.retry_after or 0.0, _IN_USE_SECONDS * random.uniform(0.5, 1.0))
            logger.warning("Another process reports with this identity; waiting. %s", error)
        elif error.code == "report-out-of-order":
            wait = SOON_SECONDS if self._failures == 0 else backoff(self._failures)  # the next one is newer
        else:
            wait = max(backoff(self._failures), error.retry_after or 0.0)
            if error.status == 413:
                self._was_too_large()
            logger.warning("%s Trying again in %.1f s.", error, wait)
        self._back_off(wait)
        return None

    def _back_off(self, wait: float) -> None:
        self._next_sync = time.monotonic() + (wait or backoff(self._failures))
        self._failures = min(self._failures + 1, 10)


def orders_of(answer: dict[str, Any]) -> list[Order]:
    """What the hub wants, as far as we understand it."""
    orders = []
    for value in answer.get("orders") or []:
        if (order := Order.from_json(value)) is not None:
            orders.append(order)
        else:
            logger.warning("Not an order this agent understands: %.200r", value)
    return orders


def backoff(failures: int) -> float:
    """Seconds to wait after this many failures before: doubling, up to a minute, never two agents in step."""
    return min(2.0**failures, MOST_BACKOFF_SECONDS) * random.uniform(0.5, 1.0)
