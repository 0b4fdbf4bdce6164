"""Months and days of a time zone as instants."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import strategies as st

from billing.periods import day_start, month, month_of
from tests.billing.cases import holds_for

ZONES = [ZoneInfo(name) for name in ("Asia/Shanghai", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")]


@pytest.mark.parametrize(
    ("label", "zone", "start", "end"),
    [
        ("2026-10", "Asia/Shanghai", "2026-09-30T16:00", "2026-10-31T16:00"),
        ("2026-12", "Asia/Shanghai", "2026-11-30T16:00", "2026-12-31T16:00"),
        ("2028-02", "UTC", "2028-02-01T00:00", "2028-03-01T00:00"),
        ("2026-10", "Europe/Berlin", "2026-09-30T22:00", "2026-10-31T23:00"),  # an hour longer
        ("2026-03", "Europe/Berlin", "2026-02-28T23:00", "2026-03-31T22:00"),  # an hour shorter
    ],
)
def test_a_month_has_its_own_length(label: str, zone: str, start: str, end: str) -> None:
    found = month(label, ZoneInfo(zone))
    assert found.start == datetime.fromisoformat(f"{start}+00:00")
    assert found.end == datetime.fromisoformat(f"{end}+00:00")


@pytest.mark.parametrize("label", ["2026-13", "2026-00", "2026-1", "26-01", "2026-011", "", "２０２６-01", "0001-01"])
def test_what_is_no_month_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="not a month"):
        month(label, ZONES[0])


@holds_for(st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)), st.sampled_from(ZONES))
def test_every_instant_lies_in_one_month_and_months_join(at: datetime, zone: ZoneInfo) -> None:
    at = at.replace(tzinfo=UTC)
    found = month_of(at, zone)
    assert found.start <= at < found.end
    assert month_of(found.end, zone).start == found.end
    assert month_of(found.start, zone) == found


def test_a_day_of_23_hours_begins_at_its_own_midnight() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    night = datetime(2026, 3, 29, 12, tzinfo=UTC)
    assert day_start(night, berlin) == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert day_start(night + timedelta(days=1), berlin) - day_start(night, berlin) == timedelta(hours=23)
