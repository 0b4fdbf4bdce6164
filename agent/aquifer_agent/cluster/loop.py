"""The one loop of a cluster's agent: report what is known, take what is wanted, never wait for the site."""

import contextlib
import logging
import os
import random
import select
import signal
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aquifer_agent import crash, processes
from aquifer_agent.agent import MOST_BACKOFF_SECONDS, NOT_KNOWN, OK, backoff
from aquifer_agent.cluster.hands import Hands
from aquifer_agent.cluster.looks import Looks
from aquifer_agent.cluster.picture import MOST_PART_BYTES, Picture
from aquifer_agent.cluster.pieces import Pieces
from aquifer_agent.cluster.site import Site
from aquifer_agent.cluster.tails import MOST_BYTES, Tails
from aquifer_agent.cluster.threads import Threads
from aquifer_agent.hub import Address, Exchange, HubError
from aquifer_agent.orders import Order

logger = logging.getLogger(__name__)
HUNG_SECONDS = 120.0  # a call of the driver that is out for so long: the process is to be restarted
_SOON_SECONDS, _LEAST_SECONDS = 0.1, 0.2
_FIRST_LOOK_SECONDS = 5.0
_IN_USE_SECONDS = 2.0
_HEARTBEAT_SECONDS = 2.0


class ClusterAgent:
    def __init__(self, address: Address, secret: str, site: Site, heartbeat: Path | None = None) -> None:
        self._address, self._secret, self._site = address, secret, site
        self._heartbeat = heartbeat
        self._pieces, self._tails, self._picture, self._threads = Pieces(), Tails(), Picture(), Threads()
        self._looks = Looks(site, self._pieces, self._picture, self._threads, self.wake)
        self._hands = Hands(site, self._pieces, self._tails, self._threads, self.wake)
        self._boot_id = str(uuid.uuid4())
        self._seq = 0
        self._failures = 0
        self._poll_seconds = 1.0
        self._next_sync = 0.0
        self._last_sync = 0.0
        self._next_heartbeat = 0.0
        self._told_changes = self._sent_changes = 0
        self._log_budget, self._part_budget = MOST_BYTES, MOST_PART_BYTES
        self._exchange: Exchange | None = None
        self._is_ending = False
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)

    def wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"w")

    def run(self) -> int:
        """Until a signal, or until the hub no longer knows us. Returns the exit code. Work goes on in any case."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        crash.point("cluster-started")
        self._looks.start()
        self._hands.start()
        self._await_first_look()
        code = None
        while not self._is_ending and code is None:
            self._beat()
            try:
                code = self._sync()
            except Exception:  # a fault of ours or of an answer must not leave the site without its agent
                logger.exception("This went wrong; going on.")
                self._back_off(0.0)
            if code is None:
                self._sleep()
        return code or OK

    def _end(self, number: int, frame: object) -> None:
        self._is_ending = True

    def _await_first_look(self) -> None:
        """A first report that is whole spares one that is not; a site that is away is not waited for."""
        until = time.monotonic() + _FIRST_LOOK_SECONDS
        while not self._is_ending and not self._pieces.is_known() and time.monotonic() < until:
            self._beat()
            select.select([self._wake_read], [], [], 0.2)
            self._drain()

    def _beat(self) -> None:
        """Say to whoever watches this process that it is well: it loops, and no call has hung."""
        if self._heartbeat is None or time.monotonic() < self._next_heartbeat:
            return
        self._next_heartbeat = time.monotonic() + _HEARTBEAT_SECONDS
        if self._threads.longest_call() < HUNG_SECONDS:
            with contextlib.suppress(OSError):
                self._heartbeat.touch()

    def _sleep(self) -> None:
        wait = _HEARTBEAT_SECONDS if self._exchange else max(0.0, self._next_sync - time.monotonic())
        select.select([self._wake_read], [], [], min(wait, _HEARTBEAT_SECONDS))
        self._drain()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 65536)

    # One report and its answer

    def _sync(self) -> int | None:
        """Start a report when it is time, take an answer when it is there. The exit code, if this was the last."""
        if self._exchange is None:
            now = time.monotonic()
            if now >= self._next_sync or (now >= self._last_sync + _LEAST_SECONDS and self._has_news()):
                self._last_sync = now
                self._exchange = Exchange(self._address, self._secret, "/api/v1/agent/sync", self._report(), self.wake)
            return None
        exchange = self._exchange
        if not exchange.is_over():
            return None
        self._exchange = None
        if exchange.error is not None:
            return self._take_failure(exchange.error)
        crash.point("orders-received")
        self._take_answer(exchange.answer or {})
        return None

    def _has_news(self) -> bool:
        """A state changed since the last report that arrived, and the hub is answering: do not wait."""
        return not self._failures and self._pieces.is_known() and self._pieces.changes != self._told_changes

    def _report(self) -> dict[str, Any]:
        self._seq += 1
        self._sent_changes = self._pieces.changes
        work = self._pieces.reports() if self._pieces.is_known() else None
        if work is not None:
            work = [
                {**item, **self._looks.of_work(item["ref"]), "log_bytes": self._tails.size(item["ref"])}
                for item in work
            ]
        return {
            "boot_id": self._boot_id,
            "seq": self._seq,
            "epoch": self._site.epoch,
            "sent_at": datetime.now(UTC).isoformat(),
            "uptime_seconds": round(processes.boottime(), 3),
            "inventory": None,
            "site": self._looks.site(),
            "work": work,
            "nodes": self._picture.part(self._part_budget),
            "figures": self._looks.figures(),
            "logs": self._tails.pieces(self._log_budget),
        }

    def _take_answer(self, answer: dict[str, Any]) -> None:
        if self._failures:
            logger.info("The hub answers again.")
        self._failures = 0
        self._log_budget, self._part_budget = MOST_BYTES, MOST_PART_BYTES
        self._told_changes = self._sent_changes
        self._site.raise_epoch(int(answer.get("epoch", 0)))
        self._picture.answered(answer.get("nodes"))
        self._tails.take_offsets(answer.get("log_offsets") or {})
        orders = []
        for value in answer.get("orders") or []:
            if (order := Order.from_json(value)) is not None:
                orders.append(order)
            else:
                logger.warning("Not an order this agent understands: %.200r", value)
        self._pieces.take(orders, self._site.epoch)
        crash.point("orders-taken")
        self._threads.pause(False)
        self._threads.wake("orders", "output", *(["nodes"] if self._picture.needs_look() else []))
        self._poll_seconds = min(max(float(answer.get("poll_seconds", 1.0)), 0.05), MOST_BACKOFF_SECONDS)
        wait = self._poll_seconds * random.uniform(0.9, 1.1)
        if self._tails.has_pieces() or (answer.get("nodes") and self._picture.has_more()):
            wait = min(wait, _SOON_SECONDS)
        self._next_sync = time.monotonic() + wait

    def _take_failure(self, error: HubError) -> int | None:
        if error.status == 401:
            logger.error("The hub does not know this agent (any more): %s A new join token lets it in again.", error)
            return NOT_KNOWN
        if error.code == "agent-identity-in-use":
            # It may be our own former self. Until that is certain, nothing is done here and nothing is known.
            self._threads.pause(True)
            self._looks.let_go()
            self._pieces.be_blind()
            wait = max(error.retry_after or 0.0, _IN_USE_SECONDS * random.uniform(0.5, 1.0))
            logger.warning("Another process reports with this identity; waiting. %s", error)
        elif error.code == "report-out-of-order":
            wait = _SOON_SECONDS if self._failures == 0 else backoff(self._failures)
        else:
            wait = max(backoff(self._failures), error.retry_after or 0.0)
            if error.status == 413:
                self._log_budget, self._part_budget = self._log_budget // 2, self._part_budget // 2
            logger.warning("%s Trying again in %.1f s.", error, wait)
        self._back_off(wait)
        return None

    def _back_off(self, wait: float) -> None:
        self._next_sync = time.monotonic() + (wait or backoff(self._failures))
        self._failures = min(self._failures + 1, 10)
