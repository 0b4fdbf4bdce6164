"""What a fake site notes about a piece of work: read off its course, as everything else there."""

from datetime import UTC, datetime

from federation.drivers.abilities import EventSeen
from federation.drivers.fake_course import has_ended
from federation.drivers.fake_store import Work


def events_of(work: Work, now: float) -> list[EventSeen]:
    """Oldest first; a tombstone of what never was has none."""
    if not work.node:
        return []
    noted = [_event(work.made_at, "Scheduled", f"Given to {work.node}.")]
    if work.starts_at <= (now if work.removed_at is None else min(now, work.removed_at)):
        noted.append(_event(work.starts_at, "Started", "The command was let go."))
    if has_ended(work, now) and work.ends_at is not None:
        reason = work.reason or "Completed"
        message = work.message or f"It ended with exit code {work.exit_code}."
        noted.append(_event(work.ends_at, reason, message, is_warning=bool(work.exit_code)))
    if work.removed_at is not None:
        noted.append(_event(work.removed_at, "Killing", "Its removal was asked for."))
    return noted


def _event(at: float, reason: str, message: str, *, is_warning: bool = False) -> EventSeen:
    return EventSeen(datetime.fromtimestamp(at, UTC), reason, message, is_warning)
