"""What a host says of one container, in our words. Pure: JSON in, an Observation out."""

import signal
from collections.abc import Callable, Mapping
from typing import Any

from federation.drivers.base import Observation
from federation.drivers.base import ObservedState as O
from federation.drivers.docker.ledger import Record
from federation.drivers.docker.transport import Json, moment

Say = Callable[..., Observation]
# Podman speaks the same API and has some words of its own.
STATES: Mapping[str, O] = {
    "created": O.STARTING,
    "configured": O.STARTING,
    "initialized": O.STARTING,
    "running": O.RUNNING,
    "paused": O.RUNNING,
    "exited": O.SUCCEEDED,  # or FAILED, by its exit code
    "stopped": O.SUCCEEDED,
    "dead": O.FAILED,
    "stopping": O.STOPPING,
    "removing": O.STOPPING,
}
# Why the engine would not start a container: a part of its message, and the exit code that goes with it.
NOT_STARTED: Mapping[str, tuple[str, int]] = {
    "executable file not found": ("CommandNotFound", 127),
    "no such file or directory": ("CommandNotFound", 127),
    "permission denied": ("CommandNotRunnable", 126),
    "is a directory": ("CommandNotRunnable", 126),
    "exec format error": ("CommandNotRunnable", 126),
}


def seen_of(record: Record, container: Json | None, now: float, *, waits: tuple[str, str] = ("", "")) -> Observation:
    """`now` is the host's clock; `waits`: why there is no container yet, and a message."""
    ref, (epoch, generation) = record.ref, record.stamp

    def say(state: O, reason: str = "", message: str = "", **more: Any) -> Observation:
        return Observation(ref, state, generation, epoch, reason=reason, message=message[:2000], **more)

    if container is None:
        if record.is_ended or not record.order or record.mark("made"):
            return Observation(ref, O.ABSENT)
        return say(O.STARTING, *waits)
    state = container.get("State") or {}
    word = str(state.get("Status") or "").lower()
    seen = STATES.get(word, O.BROKEN)
    ran = ran_seconds(record, container, now)
    if record.is_ended:
        return say(O.STOPPING, ran_seconds=ran)
    if seen == O.BROKEN:
        return say(O.BROKEN, "BrokenAtSite", f"The engine says it is {word or 'nothing'}.")
    if (drift := drift_of(record, container)) is not None:
        return say(O.BROKEN, "ChangedAtSite", drift)
    if seen == O.STARTING:
        return _created(say, state, record)
    if seen == O.RUNNING:
        if word == "paused":
            return say(O.RUNNING, "Suspended", ran_seconds=ran)
        return say(O.RUNNING, ran_seconds=ran)
    if seen == O.STOPPING:
        return say(O.BROKEN, "RemovedAtSite", "Somebody is removing it at the host.", ran_seconds=ran)
    return _ended(say, state, record, ran)


def _created(say: Say, state: Json, record: Record) -> Observation:
    error, code = str(state.get("Error") or ""), int(state.get("ExitCode") or 0)
    if code and error:
        for sign, (reason, known) in NOT_STARTED.items():
            if sign in error:
                return say(O.FAILED, reason, error, exit_code=known, ran_seconds=0.0)
        return say(O.STARTING, "BadConfiguration", error)
    return say(O.STARTING, "" if record.may_run else "HeldForGang")


def _ended(say: Say, state: Json, record: Record, ran: float | None) -> Observation:
    code = int(state.get("ExitCode") or 0)
    reason, message = "", str(state.get("Error") or "")
    if record.mark("late"):
        reason, code = "TimeLimit", code or 124
        message = f"It ran longer than its {record.order.get('limit')} s."
    elif state.get("OOMKilled"):
        reason, code = "OutOfMemory", code or 137
        message = "It used more than its memory."
    elif code > 128:
        reason = "KilledBySignal"
        number = code - 128
        message = message or (f"Ended by {signal.Signals(number).name}." if number in set(signal.Signals) else "")
    elif code:
        reason = "NonZeroExit"
    ended = O.FAILED if code or reason else O.SUCCEEDED
    return say(ended, reason, message, exit_code=code, ran_seconds=ran)


def ran_seconds(record: Record, container: Json, now: float) -> float | None:
    """By the host's wall clock, which is all that an engine tells: a clock that jumps while it runs is counted along.

    Never below zero. Earlier runs of a container that was started anew in place are in the ledger.
    """
    state = container.get("State") or {}
    began = moment(state.get("StartedAt"))
    if began is None:
        return None
    is_over = not state.get("Running") and not state.get("Paused")
    ended = moment(state.get("FinishedAt")) if is_over else now
    before = sum(
        float(mark.facts.get("seconds") or 0)
        for mark in record.marks
        if mark.mark == "ran" and mark.facts.get("started") != state.get("StartedAt")
    )
    return round(max(0.0, (began if ended is None else ended) - began) + before, 3)


def drift_of(record: Record, container: Json) -> str | None:
    """What was changed by hand so that the grant no longer says what is held here."""
    asked, is_now = (record.order.get("container") or {}).get("HostConfig") or {}, container.get("HostConfig") or {}
    for key, words in (("NanoCpus", "CPU"), ("Memory", "memory")):
        if key in asked and key in is_now and int(asked[key] or 0) != int(is_now[key] or 0):
            return f"Somebody changed its {words} at the host."
    return None
