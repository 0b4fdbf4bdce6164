"""The course of work at a fake site: laid down once, then read off the clock. No threads, no timers."""

from collections.abc import Collection
from dataclasses import replace

from federation.drivers.base import Observation, ObservedState, WorkloadSpec
from federation.drivers.fake_knobs import Failure, Knobs, draw, flavour_of
from federation.drivers.fake_store import NEVER, Grant, Work

_ENDED = (ObservedState.SUCCEEDED, ObservedState.FAILED)
_TIME_LIMIT = Failure("TimeLimit", 124, "It ran as long as it may.")


def lay_down(spec: WorkloadSpec, *, kind: str, knobs: Knobs, grants: tuple[Grant, ...], now: float) -> Work:
    """All that will happen to new work if nobody removes it, by the seed."""
    flavour = flavour_of(kind)
    if spec.hold:
        return Work(spec.ref, spec.generation, spec.epoch, spec.node, grants, knobs.time_scale, starts_at=NEVER)
    dice = (knobs.seed, spec.ref, spec.generation)
    starts_at = (
        now + knobs.start_seconds * flavour.start_factor * (0.75 + 0.5 * draw(*dice, "start")) / knobs.time_scale
    )
    ends: list[tuple[float, Failure | None]] = []
    if spec.run_seconds is not None:
        ends.append((max(spec.run_seconds, 0.0), None))
    if draw(*dice, "fails") < knobs.fail_rate:
        how = flavour.failures[int(draw(*dice, "how") * len(flavour.failures))]
        whole = spec.run_seconds if spec.run_seconds is not None else 600.0
        ends.append((whole * (0.05 + 0.9 * draw(*dice, "when")), how))
    if spec.max_seconds is not None:
        ends.append((float(spec.max_seconds), _TIME_LIMIT))
    ends.sort(key=lambda end: end[0])  # stable: of two at the same moment the one named first counts
    seconds, failure = ends[0] if ends else (None, None)
    return Work(
        ref=spec.ref,
        generation=spec.generation,
        epoch=spec.epoch,
        node=spec.node,
        grants=grants,
        scale=knobs.time_scale,
        starts_at=starts_at,
        ends_at=None if seconds is None else starts_at + seconds / knobs.time_scale,
        exit_code=failure.exit_code if failure else 0,
        reason=failure.reason if failure else "",
        message=failure.message if failure else "",
        made_at=now,
        env=dict(spec.env),
        ports=tuple(spec.ports),
    )


def take_away(work: Work | None, ref: str, *, knobs: Knobs, now: float) -> Work:
    """The tombstone, or what becomes one when the work has stopped. Also for a ref that never was: a late
    ensure of it, from a worker that froze before its call and woke after the removal, must find it.
    """
    if work is None:
        return Work(ref, removed_at=now, gone_at=now)
    if work.removed_at is None:
        work = replace(work, removed_at=now)
    if work.gone_at is None and work.node not in knobs.missing_nodes:
        work = replace(work, gone_at=now + knobs.stop_seconds / knobs.time_scale)
    return work


def ran_seconds(work: Work, now: float) -> float | None:
    """By the site's own clock. None when it never began to run."""
    ends_at = None if work.paused_at is not None else work.ends_at  # standing still it holds what it holds
    until = min(moment for moment in (now, ends_at, work.removed_at) if moment is not None)
    return round((until - work.starts_at) * work.scale, 3) if until >= work.starts_at else None


def is_running(work: Work, now: float) -> bool:
    return work.starts_at <= now and not has_ended(work, now) and work.removed_at is None


def pause(work: Work, now: float) -> Work:
    return work if work.paused_at is not None else replace(work, paused_at=now)


def go_on(work: Work, now: float) -> Work:
    """Its end is as far off as it was when it was paused."""
    if work.paused_at is None:
        return work
    ends_at = None if work.ends_at is None else work.ends_at + now - work.paused_at
    return replace(work, paused_at=None, ends_at=ends_at)


def has_ended(work: Work, now: float) -> bool:
    """By itself: what was removed before its end has none."""
    if work.ends_at is None or work.paused_at is not None or now < work.ends_at:
        return False
    return work.removed_at is None or work.ends_at <= work.removed_at


def look_at(work: Work | None, ref: str, *, missing: Collection[str], now: float) -> Observation:
    """What the site says of a piece of work at this moment."""
    if work is None:
        return Observation(ref, ObservedState.ABSENT)
    state, reason, message = _state(work, missing, now)
    return Observation(
        ref=ref,
        state=state,
        generation=work.generation,
        epoch=work.epoch,
        ran_seconds=None if state in (ObservedState.ABSENT, ObservedState.BROKEN) else ran_seconds(work, now),
        exit_code=work.exit_code if state in _ENDED else None,
        reason=reason,
        message=message,
    )


def _state(work: Work, missing: Collection[str], now: float) -> tuple[ObservedState, str, str]:
    if not work.is_there(now):
        return ObservedState.ABSENT, "", ""
    is_missing = work.node in missing
    if work.removed_at is not None:
        # With its node out of sight nobody has seen it end, so it is not ABSENT and its devices stay held.
        return ObservedState.STOPPING, "NodeMissing" if is_missing else "", ""
    if is_missing:
        # Neither ABSENT (the hub would release devices that the work may still use) nor RUNNING as last seen
        # (the hub would take that for proof of life, bill it, and adopt it on a node that is not there). It goes
        # on by the clock: when the node returns it is RUNNING, or has ended, with all the time it ran.
        return ObservedState.BROKEN, "NodeMissing", f"{work.node} is not at the site just now."
    if now < work.starts_at:
        return ObservedState.STARTING, "", ""
    if has_ended(work, now):
        state = ObservedState.FAILED if work.exit_code else ObservedState.SUCCEEDED
        return state, work.reason, work.message
    return ObservedState.RUNNING, "" if work.paused_at is None else "Suspended", ""
