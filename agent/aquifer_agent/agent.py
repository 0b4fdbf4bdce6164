"""The agent's one loop: bring every run a step further, report all of it, obey what comes back."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aquifer_agent import crash, files
from aquifer_agent.cgroups import Limits
from aquifer_agent.containers import Runtimes
from aquifer_agent.conversation import OK, Conversation, orders_of
from aquifer_agent.fences import Fences
from aquifer_agent.identity import FENCES, Identity
from aquifer_agent.logs import MOST_BYTES_PER_SYNC, LogShipper
from aquifer_agent.machine import Machine
from aquifer_agent.partitions import Partitions
from aquifer_agent.room import MOST_BYTES, Room
from aquifer_agent.runs import Runs
from aquifer_agent.updates.updating import Updates

logger = logging.getLogger(__name__)
STEP_SECONDS = 0.2  # between looks at our own runs while there are any that change
STOP_GRACE_SECONDS, STOP_SECONDS = 3.0, 5.0
_DISK_CHECK_SECONDS = 5.0
RESTART = 64  # not an end: this process is to be replaced by another release


class Agent(Conversation):
    ANSWERED = "answer-received"
    LET_IN = "Enrol it again to go on."

    def __init__(
        self,
        identity: Identity,
        state_dir: Path,
        limits: Limits,
        run_as: str | None = None,
        *,
        may_partition: bool = False,
        keys: Sequence[bytes] = (),
        most_output_bytes: int = MOST_BYTES,
        runtimes: Runtimes | None = None,
    ) -> None:
        super().__init__(identity.address(), identity.agent_token)
        self._state_dir = state_dir
        self._fences = Fences(state_dir / FENCES, identity.cluster_id)
        self._partitions = Partitions(is_allowed=may_partition)
        self._machine = Machine(identity.name, limits.kind, self._partitions, (runtimes or Runtimes()).labels())
        self._runs = Runs(state_dir, identity.cluster_id, self._fences, limits, run_as, runtimes)
        self._updates = Updates(self._address, self._secret, state_dir, keys)
        self._logs = LogShipper()
        self._room = Room(most_output_bytes)
        self._log_budget = MOST_BYTES_PER_SYNC
        self._told_inventory: dict[str, Any] | None = None
        self._sent_inventory: dict[str, Any] | None = None
        self._told_states: dict[str, str] = {}
        self._sent_states: dict[str, str] = {}
        self._problem = ""
        self._check_disk_at = 0.0

    def run(self, *, on_exit: str = "keep", once: bool = False) -> int:
        """Until a signal, or until the hub no longer knows us. Returns the exit code."""
        self._heed_signals()
        self._runs.adopt()
        code = None
        while not self._is_ending and code is None:
            try:
                self._runs.step(self._logs.is_behind)
                self._room.look(self._runs.held.values(), self._logs.sent)
                code = self._sync(once)
                if not once:
                    code = self._step_update(code)
            except Exception:  # a fault of ours or of an answer must not leave the work without its agent
                logger.exception("This went wrong; going on.")
                self._back_off(0.0)
            if code is None:
                self._sleep()
        if on_exit == "stop" and self._is_ending:
            self._stop_all()
        return code or OK

    def _step_update(self, code: int | None) -> int | None:
        self._updates.step()
        return RESTART if code is None and self._updates.wants_restart else code

    def _sleep(self) -> None:
        wait = 10.0 if self._exchange else max(0.0, self._next_sync - time.monotonic())
        if any(state in ("starting", "running", "stopping") for state in self._runs.states().values()):
            wait = min(wait, STEP_SECONDS)
        self._rest(wait)

    # One report and its answer

    def _is_time(self) -> bool:
        return time.monotonic() >= self._next_sync or self._has_news()

    def _has_news(self) -> bool:
        """Something changed since the last report that arrived, and the hub is answering: do not wait."""
        return not self._failures and self._runs.states() != self._told_states

    def _report(self) -> dict[str, Any]:
        self._check_disk()
        inventory = self._machine.inventory(self._problem)
        self._sent_inventory = inventory
        self._sent_states = self._runs.states()
        figures = self._machine.run_figures(self._runs.living())
        nothing = {"cpu_milli": None, "memory_mib": None, "disk_read_kibps": None, "disk_write_kibps": None}
        return {
            **self._heading(self._fences.epoch),
            "inventory": None if inventory == self._told_inventory else inventory,
            "work": [item | figures.get(item["ref"], nothing) for item in self._runs.reports()],
            "figures": self._machine.device_figures(),
            "host": self._machine.host_figures(),
            "partitions": self._partitions.reports(),
            "logs": self._logs.pieces(self._runs.held.values(), self._log_budget),
            "agent": self._updates.status(),
        }

    def _take_answer(self, answer: dict[str, Any]) -> None:
        self._log_budget = MOST_BYTES_PER_SYNC
        self._told_inventory = None if answer.get("want_inventory") else self._sent_inventory
        self._told_states = self._sent_states
        self._raise_epoch(int(answer.get("epoch", 0)))
        crash.point("epoch-saved")
        self._logs.take_offsets(answer.get("log_offsets") or {})
        self._partitions.wish(answer.get("partitions"))
        with self._partitions.lock:
            self._obey(answer)
            self._partitions.hold(self._runs.devices())
        has_last_words = any(run.exit and self._logs.is_behind(run) for run in self._runs.held.values())
        self._pace(answer, is_soon=has_last_words or self._logs.is_full)
        self._runs.step(self._logs.is_behind)
        self._updates.spoke()
        self._updates.take_offer(answer.get("release"))

    def _obey(self, answer: dict[str, Any]) -> None:
        devices = self._machine.devices()
        for order in sorted(orders_of(answer), key=lambda order: order.is_run):  # what ends makes room for what starts
            self._raise_epoch(order.epoch)
            if order.is_run and self._partitions.changing & _asked_for(order.spec):
                continue  # the card is being cut; the next answer has this order again
            self._runs.obey(order, devices)

    def _was_too_large(self) -> None:
        self._log_budget //= 2

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


def _asked_for(spec: dict[str, Any]) -> set[str]:
    """Devices of an order that nobody has checked yet."""
    devices = spec.get("devices")
    return {str(d.get("uuid")) for d in devices if isinstance(d, dict)} if isinstance(devices, list) else set()
