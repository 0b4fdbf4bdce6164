"""The steps of a lease, each short, each safe to take again: towards a server that runs, and back to one that is clean.

What is about to be done is written down before it is done, so that a crash between the two leaves a server that is
wiped once too often and never one that is not. While a step is taken nobody else touches the machine.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from federation.drivers.base import BootFrom, Rejected, Unavailable, WorkloadSpec
from federation.drivers.redfish import hands, hooks
from federation.drivers.redfish.hooks import Said
from federation.drivers.redfish.leases import TELL_AGAIN_SECONDS, is_late, told_of, told_off, watched
from federation.drivers.redfish.ledger import Lease, Ledger, Phase
from federation.drivers.redfish.machines import Machine, Rules
from federation.drivers.redfish.wire import CALL_SECONDS, Line, Refused, one


@dataclass(frozen=True, slots=True)
class Step:
    """One call's work on one machine."""

    ledger: Ledger
    rules: Rules
    machine: Machine
    seen: Mapping[str, Any]
    cluster: str
    until: float
    token: str = ""

    def forward(self, lease: Lease, spec: WorkloadSpec) -> Lease:
        """Towards a server that runs: as far as it goes just now. Raises Unavailable, Rejected."""
        state = self._look()
        if lease.phase == Phase.CLAIMED:
            if lease.is_held:
                return lease
            if other := hands.other_mark(state, lease.ref):
                raise Rejected("DeviceBusy", f"{self.machine.name} is marked as leased by another hub ({other}).")
            if hands.is_on(state) and not self.rules.takes_running:
                raise Rejected("ServerInUse", f"{self.machine.name} is switched on, and not by us: somebody uses it.")
            following = Phase.PREPARING if "prepare" in self.rules.hooks else Phase.BOOTING
            lease = self._save(replace(lease, phase=following, was_used=True))
            if self.rules.tags:
                self._mark(lease.ref)
        try:
            if lease.phase == Phase.PREPARING:
                lease = self._prepare(lease, spec)
            if lease.phase == Phase.BOOTING:
                lease = self._boot(lease, spec, state)
        except Rejected as refused:
            # It has been touched, so it is the hub's to take back, and is wiped then.
            ended = replace(lease, phase=Phase.ENDED, reason=refused.reason, message=refused.message)
            return self._save(ended)
        return lease

    def watch(self, lease: Lease) -> Lease:
        """One look at a server that runs, or is to. Raises Unavailable."""
        return self.taken_in(lease, self._look())

    def taken_in(self, lease: Lease, state: Mapping[str, Any]) -> Lease:
        """What a look at its power makes of a lease, written down. One whose time is over is switched off."""
        now = self.ledger.now()
        after = watched(lease, state, self.rules, now)
        is_over = after.phase == Phase.RUNNING and is_late(after, now) and hands.is_on(state)
        told = None
        if is_over:
            assert after.on_at is not None and after.max_seconds is not None
            told = told_off(after, after.on_at + after.max_seconds, now)
        after = told or after
        if after != lease:
            with self.ledger.turn() as turn:
                if turn.get(lease.ref) != lease:  # somebody else has seen more
                    return after
                turn.put(after)
        if told is not None:
            with suppress(Unavailable):  # it is told again after a while
                self._do(hands.shut_down, is_hard=told.was_cut)
        return after

    def back(self, lease: Lease) -> Lease:
        """Towards a server that nothing is left on. Raises Unavailable."""
        state = self._look()
        if not lease.was_used:
            return self._gone(lease)
        if lease.phase not in (Phase.WIPING, Phase.CHECKING):
            lease = self._stop(lease, state)
        if lease.phase == Phase.WIPING:
            lease = self._wipe(lease)
        if lease.phase == Phase.CHECKING:
            lease = self._check(lease)
        return lease

    # -- forward ---------------------------------------------------------------------------------------

    def _prepare(self, lease: Lease, spec: WorkloadSpec) -> Lease:
        answer = self._ask("prepare", told_of(lease, spec))
        if answer.said == Said.REFUSED:
            raise Rejected("PrepareRefused", f"The prepare hook refused: {answer.message}")
        if answer.said == Said.DONE:
            return self._save(replace(lease, phase=Phase.BOOTING, reason="", message="", seed=answer.seed))
        return self._save(replace(lease, reason="Preparing", message=answer.message))

    def _boot(self, lease: Lease, spec: WorkloadSpec, state: Mapping[str, Any]) -> Lease:
        now = self.ledger.now()
        if lease.told_at is None and hands.is_on(state):  # what ran there before, or what prepared it
            told = told_off(replace(lease, grace_seconds=0), now, now)
            if told is not None:
                lease = self._save(replace(told, grace_seconds=lease.grace_seconds, reason="PoweringOn"))
                self._do(hands.shut_down, is_hard=True)
            return lease
        is_due = lease.told_at is None or now - lease.told_at >= TELL_AGAIN_SECONDS
        if hands.is_off(state) and is_due:
            lease = self._save(
                replace(lease, told_at=now, told_off_at=None, was_cut=False, reason="PoweringOn", message="")
            )
            images = hands.images_of(spec.boot, lease.seed)
            boot_from = spec.boot.boot_from if spec.boot is not None else BootFrom.DISK
            if images:
                self._do(hands.insert, images)
            self._do(hands.start_from, boot_from)
            self._do(hands.turn_on)
            state = self._look()
        return self._save(watched(lease, state, self.rules, now))

    # -- back ------------------------------------------------------------------------------------------

    def _stop(self, lease: Lease, state: Mapping[str, Any]) -> Lease:
        now, since = self.ledger.now(), lease.stop_at
        assert since is not None
        # What was told to switch on may do so yet: off is believed once it has had its time.
        may_come_on = lease.told_at is not None and lease.on_at is None and now - lease.told_at < TELL_AGAIN_SECONDS
        if hands.is_off(state) and not may_come_on:
            self._clear()
            if self.rules.wipes:
                return self._save(replace(lease, phase=Phase.WIPING, reason="Wiping", message=""))
            return self._gone(lease)
        if lease.phase != Phase.STOPPING:
            lease = self._save(replace(lease, phase=Phase.STOPPING, reason="", message=""))
        if not hands.is_off(state) and (told := told_off(lease, since, now)) is not None:
            lease = self._save(told)
            self._do(hands.shut_down, is_hard=told.was_cut)
        return lease

    def _wipe(self, lease: Lease) -> Lease:
        if not self.rules.wipes:  # chosen meanwhile
            return self._finish(lease)
        if "wipe" not in self.rules.hooks:
            return self._save(replace(lease, reason="NotWiped", message=self.rules.trouble))
        answer = self._ask("wipe", told_of(lease, None))
        if answer.said == Said.DONE:
            if "check" not in self.rules.hooks:
                return self._finish(lease)
            return self._save(replace(lease, phase=Phase.CHECKING, reason="Checking", message=""))
        return self._unclean(lease, answer, "Wiping", "wipe")

    def _check(self, lease: Lease) -> Lease:
        answer = self._ask("check", told_of(lease, None))
        return self._finish(lease) if answer.said == Said.DONE else self._unclean(lease, answer, "Checking", "check")

    def _unclean(self, lease: Lease, answer: hooks.Answer, reason: str, name: str) -> Lease:
        if answer.said == Said.REFUSED:
            return self._save(replace(lease, reason="NotWiped", message=f"The {name} hook refused: {answer.message}"))
        return self._save(replace(lease, reason=reason, message=answer.message))

    def _finish(self, lease: Lease) -> Lease:
        """Clean. What wiped it may have left it on."""
        state = self._look()
        if not hands.is_off(state):
            self._do(hands.shut_down, is_hard=True)
            return lease
        self._clear()
        return self._gone(lease)

    def _gone(self, lease: Lease) -> Lease:
        return self._save(replace(lease, phase=Phase.GONE, reason="", message="", gone_at=self.ledger.now()))

    # -- to the machine, and to the ledger ---------------------------------------------------------------

    def _look(self) -> dict[str, Any]:
        state: dict[str, Any] = self._do(hands.look)
        return state

    def _do(self, what: Any, *given: Any, **named: Any) -> Any:
        """One thing by the machine's controller. What goes wrong is Unavailable."""

        async def through() -> Any:
            async with self._line() as line:
                return await what(line, self.seen, *given, **named)

        return one(through())

    def _line(self) -> Line:
        if self.machine.endpoint is None:
            raise Unavailable(f"{self.machine.name}: {self.machine.trouble}")
        return Line(self.machine.endpoint, self.until)

    def _clear(self) -> None:
        self._do(hands.clear)
        if self.rules.tags:
            self._mark("")

    def _mark(self, ref: str) -> None:
        """A second place where the lease can be seen; not every controller lets itself be marked."""

        async def through() -> None:
            async with self._line() as line:
                try:
                    await hands.mark(line, self.seen, ref)
                except Refused as refused:
                    if not (refused.is_unsupported or refused.status == 400):
                        raise

        one(through())

    def _ask(self, name: str, told: Mapping[str, Any]) -> hooks.Answer:
        macs = list(self.machine.macs or self.seen.get("macs", ()))
        told = {**told, "mac": macs, "system": self.seen["system"]}
        return one(hooks.ask(self.rules, name, self.machine, told, cluster=self.cluster, until=self.until))

    def _save(self, lease: Lease) -> Lease:
        """Written down while the step is still ours. What was taken back meanwhile is not brought forward."""
        with self.ledger.turn() as turn:
            current = turn.get(lease.ref)
            if not turn.has_step(self.machine.name, self.token) or time.monotonic() >= self.until + 1.0:
                raise Unavailable("This step took too long, and is taken again.")
            if current is not None and current.stop_at is not None and lease.stop_at is None:
                raise Rejected("OldGeneration", "This was taken back already.")
            if current is not None and lease.stop_at is None:
                lease = replace(lease, epoch=max(lease.epoch, current.epoch),
                                generation=max(lease.generation, current.generation))  # fmt: skip
            turn.put(lease)
        return lease


@contextmanager
def stepping(step: Step) -> Iterator[Step]:
    """The right to do something to the machine. Raises Unavailable while somebody else has it."""
    with step.ledger.turn() as turn:
        token = turn.begin_step(step.machine.name)
    if not token:
        raise Unavailable(f"Something else is being done to {step.machine.name} just now.")
    try:
        yield replace(step, token=token)
    finally:
        with step.ledger.turn() as turn:
            turn.end_step(step.machine.name, token)


def deadline() -> float:
    return time.monotonic() + CALL_SECONDS
