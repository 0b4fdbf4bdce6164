"""The agent's one loop: bring every run a step further, report all of it, obey what comes back."""

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

from aquifer_agent import crash, files, processes
from aquifer_agent.cgroups import Limits
from aquifer_agent.fences import Fences
from aquifer_agent.hub import Exchange, HubError
from aquifer_agent.identity import FENCES, Identity
from aquifer_agent.logs import MOST_BYTES_PER_SYNC, LogShipper
from aquifer_agent.machine import Machine
from aquifer_agent.orders import Order
from aquifer_agent.runs import Runs

logger = logging.getLogger(__name__)
OK, SYNC_FAILED, NOT_KNOWN = 0, 1, 3
STEP_SECONDS = 0.2  # between looks at our own runs while there are any that change
MOST_BACKOFF_SECONDS = 60.0
STOP_GRACE_SECONDS, STOP_SECONDS = 3.0, 5.0
_SOON_SECONDS = 0.1  # after a change, and while there is more log to send
_IDENTITY_IN_USE_SECONDS = 2.0
_DISK_CHECK_SECONDS = 5.0


class Agent:
    def __init__(self, identity: Identity, state_dir: Path, limits: Limits, run_as: str | None = None) -> None:
        self._address, self._secret = identity.address(), identity.agent_token
        self._state_dir = state_dir
        self._fences = Fences(state_dir / FENCES, identity.cluster_id)
        self._machine = Machine(identity.name, limits.kind)
        self._runs = Runs(state_dir, identity.cluster_id, self._fences, limits, run_as)
        self._logs = LogShipper()
        self._log_budget = MOST_BYTES_PER_SYNC
        self._boot_id = str(uuid.uuid4())
        self._seq = 0
        self._failures = 0
        self._poll_seconds = 1.0
        self._next_sync = 0.0
        self._told_inventory: dict[str, Any] | None = None
        self._sent_inventory: dict[str, Any] | None = None
        self._told_states: dict[str, str] = {}
        self._sent_states: dict[str, str] = {}
        self._problem = ""
        self._check_disk_at = 0.0
        self._exchange: Exchange | None = None
        self._is_ending = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def run(self, *, on_exit: str = "keep", once: bool = False) -> int:
        """Until a signal, or until the hub no longer knows us. Returns the exit code."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        self._runs.adopt()
        code = None
        while not self._is_ending and code is None:
            try:
                self._runs.step(self._logs.is_behind)
                code = self._sync(once)
            except Exception:  # a fault of ours or of an answer must not leave the work without its agent
                logger.exception("This went wrong; going on.")
                self._back_off(0.0)
            if code is None:
                self._sleep()
        if on_exit == "stop" and self._is_ending:
            self._stop_all()
        return code or OK

    def _end(self, number: int, frame: object) -> None:
        self._is_ending = True

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"w")

    def _sleep(self) -> None:
        wait = 10.0 if self._exchange else max(0.0, self._next_sync - time.monotonic())
        if any(state in ("starting", "running", "stopping") for state in self._runs.states().values()):
            wait = min(wait, STEP_SECONDS)
        select.select([self._wake_read], [], [], wait)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    # One report and its answer

    def _sync(self, once: bool) -> int | None:
        """Start a report when it is time, take an answer when it is there. The exit code, if this was the last."""
        if self._exchange is None:
            if time.monotonic() >= self._next_sync or self._has_news():
                self._exchange = Exchange(self._address, self._secret, "/api/v1/agent/sync", self._report(), self._wake)
            return None
        exchange = self._exchange
        if not exchange.is_over():
            return None
        self._exchange = None
        if exchange.error is not None:
            return self._take_failure(exchange.error, once)
        crash.point("answer-received")
        self._take_answer(exchange.answer or {})
        self._runs.step(self._logs.is_behind)
        return OK if once else None

    def _has_news(self) -> bool:
        """Something changed since the last report that arrived, and the hub is answering: do not wait."""
        return not self._failures and self._runs.states() != self._told_states

    def _report(self) -> dict[str, Any]:
        self._seq += 1
        self._check_disk()
        inventory = self._machine.inventory(self._problem)
        self._sent_inventory = inventory
        self._sent_states = self._runs.states()
        figures = self._machine.run_figures(self._runs.living())
        nothing = {"cpu_milli": None, "memory_mib": None}
        return {
            "boot_id": self._boot_id,
            "seq": self._seq,
            "epoch": self._fences.epoch,
            "sent_at": datetime.now(UTC).isoformat(),
            "uptime_seconds": round(processes.boottime(), 3),
            "inventory": None if inventory == self._told_inventory else inventory,
            "work": [item | figures.get(item["ref"], nothing) for item in self._runs.reports()],
            "figures": self._machine.device_figures(),
            "host": self._machine.host_figures(),
            "logs": self._logs.pieces(self._runs.held.values(), self._log_budget),
        }

    def _take_answer(self, answer: dict[str, Any]) -> None:
        if self._failures:
            logger.info("The hub answers again.")
        self._failures = 0
        self._log_budget = MOST_BYTES_PER_SYNC
        self._told_inventory = None if answer.get("want_inventory") else self._sent_inventory
        self._told_states = self._sent_states
        self._raise_epoch(int(answer.get("epoch", 0)))
        crash.point("epoch-saved")
        self._logs.take_offsets(answer.get("log_offsets") or {})
        devices = self._machine.device_uuids()
        orders = []
        for value in answer.get("orders") or []:
            if (order := Order.from_json(value)) is not None:
                orders.append(order)
            else:
                logger.warning("Not an order this agent understands: %.200r", value)
        for order in sorted(orders, key=lambda order: order.is_run):  # what ends makes room for what starts
            self._raise_epoch(order.epoch)
            self._runs.obey(order, devices)
        self._poll_seconds = min(max(float(answer.get("poll_seconds", 1.0)), 0.05), MOST_BACKOFF_SECONDS)
        has_last_words = any(run.exit and self._logs.is_behind(run) for run in self._runs.held.values())
        wait = self._poll_seconds * random.uniform(0.9, 1.1)
        if has_last_words or self._logs.is_full:
            wait = min(wait, _SOON_SECONDS)
        self._next_sync = time.monotonic() + wait

    def _raise_epoch(self, epoch: int) -> None:
        try:
            self._fences.raise_epoch(epoch)
        except OSError as error:
            logger.warning("Cannot write down epoch %d: %s. Holding to it all the same.", epoch, error)

    def _check_disk(self) -> None:
        """Without room for its own files the agent takes on nothing, and says so before it is asked to."""
        if time.monotonic() < self._check_disk_at:
            return
        self._check_disk_at = time.monotonic() + _DISK_CHECK_SECONDS
        trial = self._state_dir / ".writable"
        try:
            files.write_json(trial, {})
            trial.unlink()
            self._problem = ""
        except OSError as error:
            self._problem = f"The agent cannot write its state: {error.strerror}."

    def _take_failure(self, error: HubError, once: bool) -> int | None:
        if error.status == 401:
            logger.error("The hub does not know this agent (any more): %s Enrol it again to go on.", error)
            return NOT_KNOWN
        if once:
            logger.error("%s", error)
            return SYNC_FAILED
        if error.code == "agent-identity-in-use":
            wait = max(error.retry_after or 0.0, _IDENTITY_IN_USE_SECONDS * random.uniform(0.5, 1.0))
            logger.warning("Another process reports with this identity; waiting. %s", error)
        elif error.code == "report-out-of-order":
            wait = _SOON_SECONDS if self._failures == 0 else backoff(self._failures)  # the next one is newer
        else:
            wait = max(backoff(self._failures), error.retry_after or 0.0)
            if error.status == 413:
                self._log_budget //= 2
            logger.warning("%s Trying again in %.1f s.", error, wait)
        self._back_off(wait)
        return None

    def _back_off(self, wait: float) -> None:
        self._next_sync = time.monotonic() + (wait or backoff(self._failures))
        self._failures = min(self._failures + 1, 10)

    def _stop_all(self) -> None:
        """Take our work along; SIGKILL for what is not gone in time."""
        self._runs.stop_all(STOP_GRACE_SECONDS)
        until = time.monotonic() + STOP_SECONDS
        while time.monotonic() < until:
            self._runs.step(lambda run: False)
            if not self._runs.living() and not self._runs.starting():
                return
            time.sleep(0.05)
        for run in self._runs.living():
            run.kill_all()


def backoff(failures: int) -> float:
    """Seconds to wait after this many failures before: doubling, up to a minute, never two agents in step."""
    return min(2.0**failures, MOST_BACKOFF_SECONDS) * random.uniform(0.5, 1.0)
