"""The one loop of a cluster's agent: report what is known, take what is wanted, never wait for the site."""

import contextlib
import logging
import time
from pathlib import Path
from typing import Any

from aquifer_agent import crash
from aquifer_agent.cluster.calls import Calls
from aquifer_agent.cluster.hands import Hands
from aquifer_agent.cluster.looks import Looks
from aquifer_agent.cluster.picture import MOST_PART_BYTES, Picture
from aquifer_agent.cluster.pieces import Pieces
from aquifer_agent.cluster.site import Site
from aquifer_agent.cluster.tails import MOST_BYTES, Tails
from aquifer_agent.cluster.threads import Threads
from aquifer_agent.conversation import OK, Conversation, orders_of
from aquifer_agent.hub import Address

logger = logging.getLogger(__name__)
HUNG_SECONDS = 120.0  # a call of the driver that is out for so long: the process is to be restarted
_LEAST_SECONDS = 0.2
_FIRST_LOOK_SECONDS = 5.0
_HEARTBEAT_SECONDS = 2.0


class ClusterAgent(Conversation):
    ANSWERED = "orders-received"
    LET_IN = "A new join token lets it in again."

    def __init__(self, address: Address, secret: str, site: Site, heartbeat: Path | None = None) -> None:
        super().__init__(address, secret)
        self._site = site
        self._heartbeat = heartbeat
        self._pieces, self._tails, self._picture, self._threads = Pieces(), Tails(), Picture(), Threads()
        self._looks = Looks(site, self._pieces, self._picture, self._threads, self.wake)
        self._hands = Hands(site, self._pieces, self._tails, self._threads, self.wake)
        self._calls = Calls(site, address, secret)
        self._last_sync = 0.0
        self._next_heartbeat = 0.0
        self._told_changes = self._sent_changes = 0
        self._log_budget, self._part_budget = MOST_BYTES, MOST_PART_BYTES

    def run(self) -> int:
        """Until a signal, or until the hub no longer knows us. Returns the exit code. Work goes on in any case."""
        self._heed_signals()
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

    def _await_first_look(self) -> None:
        """A first report that is whole spares one that is not; a site that is away is not waited for."""
        until = time.monotonic() + _FIRST_LOOK_SECONDS
        while not self._is_ending and not self._pieces.is_known() and time.monotonic() < until:
            self._beat()
            self._rest(0.2)

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
        self._rest(min(wait, _HEARTBEAT_SECONDS))

    # One report and its answer

    def _is_time(self) -> bool:
        now = time.monotonic()
        is_time = now >= self._next_sync or (now >= self._last_sync + _LEAST_SECONDS and self._has_news())
        if is_time:
            self._last_sync = now
        return is_time

    def _has_news(self) -> bool:
        """A state changed since the last report that arrived, and the hub is answering: do not wait."""
        return not self._failures and self._pieces.is_known() and self._pieces.changes != self._told_changes

    def _report(self) -> dict[str, Any]:
        self._sent_changes = self._pieces.changes
        work = self._pieces.reports() if self._pieces.is_known() else None
        if work is not None:
            work = [
                {**item, **self._looks.of_work(item["ref"]), "log_bytes": self._tails.size(item["ref"])}
                for item in work
            ]
        return {
            **self._heading(self._site.epoch),
            "inventory": None,
            "site": self._looks.site(),
            "work": work,
            "nodes": self._picture.part(self._part_budget),
            "figures": self._looks.figures(),
            "logs": self._tails.pieces(self._log_budget),
        }

    def _take_answer(self, answer: dict[str, Any]) -> None:
        self._log_budget, self._part_budget = MOST_BYTES, MOST_PART_BYTES
        self._told_changes = self._sent_changes
        self._site.raise_epoch(int(answer.get("epoch", 0)))
        self._picture.answered(answer.get("nodes"))
        self._tails.take_offsets(answer.get("log_offsets") or {})
        self._pieces.take(orders_of(answer), self._site.epoch)
        crash.point("orders-taken")
        self._calls.take(answer.get("calls") or [])
        self._threads.pause(False)
        self._threads.wake("orders", "output", *(["nodes"] if self._picture.needs_look() else []))
        has_more = bool(answer.get("nodes")) and self._picture.has_more()
        self._pace(answer, is_soon=self._tails.has_pieces() or has_more)

    def _was_too_large(self) -> None:
        self._log_budget, self._part_budget = self._log_budget // 2, self._part_budget // 2

    def _is_in_use(self) -> None:
        """Until it is certain who speaks, nothing is done here and nothing is known."""
        self._threads.pause(True)
        self._looks.let_go()
        self._pieces.be_blind()
