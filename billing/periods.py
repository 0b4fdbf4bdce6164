"""Local months and days as instants in UTC, end exclusive. Days of 23 and 25 hours come out right."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_LABEL = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Period:
    """A month of the billing time zone."""

    label: str  # 2026-11
    start: datetime
    end: datetime


def month(label: str, zone: ZoneInfo) -> Period:
    """The month that `label` names, as 2026-11. ValueError when it names none."""
    found = _LABEL.fullmatch(label)
    if not found or not 1970 <= int(found[1]) <= 9000:
        raise ValueError(f"{label!r} is not a month; write it as 2026-11.")
    first = date(int(found[1]), int(found[2]), 1)
    following = (first + timedelta(days=31)).replace(day=1)
    return Period(f"{first:%Y-%m}", _midnight(first, zone), _midnight(following, zone))


def month_of(at: datetime, zone: ZoneInfo) -> Period:
    """The month that an instant lies in."""
    return month(f"{at.astimezone(zone):%Y-%m}", zone)


def day_start(at: datetime, zone: ZoneInfo) -> datetime:
    """When the local day of an instant began."""
    return _midnight(at.astimezone(zone).date(), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)
