"""What a host says of one domain, in our words. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from federation.drivers.base import Observation
from federation.drivers.base import ObservedState as O
from federation.drivers.kvm.guests import Course, Guest

SUSPENDED = "Suspended"
# libvirt's own numbers of the states of a domain (virDomainState).
NOSTATE, RUNNING, BLOCKED, PAUSED, SHUTDOWN, SHUTOFF, CRASHED, PMSUSPENDED = range(8)
LIVE: Mapping[int, tuple[O, str]] = {
    RUNNING: (O.RUNNING, ""),
    BLOCKED: (O.RUNNING, ""),
    SHUTDOWN: (O.RUNNING, "ShuttingDown"),
    PMSUSPENDED: (O.RUNNING, SUSPENDED),  # its guest went to sleep
}
# Why it stands still (virDomainPausedReason). What is not here is a step on the way of something that passes.
PAUSES: Mapping[int, tuple[O, str]] = {
    1: (O.RUNNING, SUSPENDED),
    2: (O.BROKEN, "MovedAtSite"),
    5: (O.RUNNING, "DiskTrouble"),
    6: (O.BROKEN, "HungAtSite"),
    10: (O.BROKEN, "GuestCrashed"),
    12: (O.BROKEN, "MovedAtSite"),
    13: (O.BROKEN, "MovedAtSite"),
}
# How it ended (virDomainShutoffReason), as we note it; and what a note means.
HOW: Mapping[int, str] = {
    1: "ShutDown", 2: "StoppedAtSite", 3: "GuestCrashed", 4: "MovedAtSite", 5: "SavedAtSite", 6: "StartFailed",
    7: "Reverted",
}  # fmt: skip
ENDS: Mapping[str, tuple[O, str, str]] = {
    "ShutDown": (O.SUCCEEDED, "", ""),
    "TimeLimit": (O.FAILED, "TimeLimit", "It ran longer than it may."),
    "StoppedAtSite": (O.FAILED, "StoppedAtSite", "Somebody stopped it at the host."),
    "GuestCrashed": (O.FAILED, "GuestCrashed", "Its emulator or its kernel crashed."),
    "StartFailed": (O.FAILED, "StartFailed", "The host could not start it."),
    "SavedAtSite": (O.BROKEN, "SavedAtSite", "Somebody saved it to disk at the host."),
    "MovedAtSite": (O.BROKEN, "MovedAtSite", "Somebody moved it to another host."),
    "Reverted": (O.BROKEN, "ChangedAtSite", "Somebody put an earlier state of it back at the host."),
    # The library forgets why when it is restarted: then the host was restarted, or this is all that can be said.
    "HostRestarted": (O.FAILED, "HostRestarted", "It is off, and the host no longer knows why: it was restarted."),
}
STRAY = (O.BROKEN, "UnknownAtSite")


def seen_of(guest: Guest, state: tuple[int, int], clock: float, *, is_gone: bool) -> Observation:
    """`clock`: the host's own count now; `is_gone`: its ref was removed, and this is what is left of it."""
    order, course = guest.order, guest.course
    assert order is not None

    def say(kind: O, reason: str = "", message: str = "", **more: Any) -> Observation:
        return Observation(order.ref, kind, order.generation, order.epoch, reason=reason, message=message, **more)

    if is_gone:
        late = 0.0 if course.asked is None else clock - course.asked
        said = "" if late < 900 else f"The host has not let go for {late / 60:.0f} minutes."
        return say(O.STOPPING, "StuckAtSite" if said else "", said)
    if course.began is None:
        if guest.is_active:
            return say(O.STARTING)
        return say(O.STARTING, "HeldForGang", "Accepted; it starts when it is told again.")
    if state[0] in (SHUTOFF, CRASHED):
        kind, reason, message = ENDS.get(course.end, ENDS["HostRestarted"])
        code = 0 if kind == O.SUCCEEDED else 1 if kind == O.FAILED else None
        return say(kind, reason, message, ran_seconds=ran_of(course), exit_code=code)
    kind, reason = PAUSES.get(state[1], (O.RUNNING, "")) if state[0] == PAUSED else LIVE.get(state[0], STRAY)
    if guest.is_changed:
        kind, reason = O.BROKEN, "ChangedAtSite"
    message = "Somebody changed its devices, memory or CPUs at the host." if reason == "ChangedAtSite" else ""
    return say(kind, reason, message, ran_seconds=ran_of(course, clock))


def ran_of(course: Course, clock: float | None = None) -> float | None:
    """A clock that runs backwards is of a host that was restarted: what was proven before stands."""
    if course.began is None:
        return None
    proven = course.ran or 0.0
    return proven if clock is None or course.ended is not None else max(clock - course.began, proven)


def ended(course: Course, state: tuple[int, int], clock: float, wall: float, *, is_sure: bool) -> Course:
    """The course of what is found off. `is_sure`: the host told of the end just now, so that it ran up to here."""
    how = "GuestCrashed" if state[0] == CRASHED else HOW.get(state[1], "HostRestarted")
    if course.end:
        how = course.end
    last = clock if is_sure and course.began is not None and clock >= course.began else course.seen or course.began
    _, reason, message = ENDS[how]
    return replace(course, ended=last, end=how).noted(wall, reason or how, message or "It shut itself down.")
