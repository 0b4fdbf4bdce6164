"""Days of 23 and 25 hours, leap days, odd midnights: usage is cut there, and billed as long as it was."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import strategies as st

from billing.periods import Period, day_start, month, month_of
from billing.rating import Prices, PriceWindow, parts_of, quantity_of, total_of
from billing.rating.charges import Metered, rate_record
from billing.rating.timeline import Recorded, amend, hours
from tests.billing.cases import holds_for

ZONES = [
    ZoneInfo(name)
    for name in ("Asia/Shanghai", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
]
PRICE = PriceWindow(UUID(int=1), UUID(int=2), False, Decimal("3.5"), datetime(1990, 1, 1, tzinfo=UTC), None)
seconds = st.integers(0, 3 * 86_400)


def billed(start: datetime, end: datetime, zone: ZoneInfo) -> dict[str, Decimal]:
    """Hours of a whole card, by month of a zone."""
    found: dict[str, Decimal] = {}
    edges = months_between(start, end, zone)
    for a, b in hours(start, end, edges):
        record = Metered(
            id=UUID(int=3), tenant_id=UUID(int=4), project_id=UUID(int=5), user="", flavor_id=UUID(int=2),
            unit="device", site="", slicing_mode="", service_class="", start=a, end=b, held_milli=1000,
        )  # fmt: skip
        period = month_of(a, zone)
        assert b <= period.end
        for rated in rate_record(record, Prices([PRICE]), "", [], period.start, {}):
            found[period.label] = found.get(period.label, Decimal(0)) + rated.quantity
    return found


def months_between(start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    edges, at = [], month_of(start, zone)
    while at.end < end:
        edges.append(at.end)
        at = month_of(at.end, zone)
    return edges


def day(on: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    noon = datetime(on.year, on.month, on.day, 12, tzinfo=zone)
    return day_start(noon, zone), day_start(noon + timedelta(days=1), zone)


@pytest.mark.parametrize(
    ("on", "zone", "long"),
    [
        (date(2026, 3, 29), "Europe/Berlin", "23"),
        (date(2026, 10, 25), "Europe/Berlin", "25"),
        (date(2026, 3, 8), "America/New_York", "23"),
        (date(2026, 11, 1), "America/New_York", "25"),
        (date(2026, 4, 5), "Australia/Lord_Howe", "24.5"),  # half an hour only
        (date(2028, 2, 29), "Asia/Shanghai", "24"),
        (date(2026, 3, 29), "UTC", "24"),
    ],
)
def test_a_day_is_billed_as_long_as_it_is(on: date, zone: str, long: str) -> None:
    start, end = day(on, ZoneInfo(zone))
    assert sum(billed(start, end, ZoneInfo(zone)).values()) == Decimal(long)


@pytest.mark.parametrize(
    ("label", "zone", "long"),
    [
        ("2026-03", "Europe/Berlin", 31 * 24 - 1), ("2026-10", "Europe/Berlin", 31 * 24 + 1),
        ("2028-02", "UTC", 29 * 24), ("2026-02", "Asia/Shanghai", 28 * 24), ("2026-11", "Asia/Kolkata", 30 * 24),
    ],
)  # fmt: skip
def test_a_month_is_the_sum_of_its_days(label: str, zone: str, long: int) -> None:
    found = month(label, ZoneInfo(zone))
    assert billed(found.start, found.end, ZoneInfo(zone)) == {label: Decimal(long)}
    assert billed(found.start - timedelta(hours=1), found.end + timedelta(hours=1), ZoneInfo(zone))[label] == long


@holds_for(st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)), seconds, st.sampled_from(ZONES))
def test_cut_at_months_usage_adds_up(at: datetime, length: int, zone: ZoneInfo) -> None:
    start = at.replace(tzinfo=UTC, microsecond=0)
    end = start + timedelta(seconds=length)
    pieces = list(hours(start, end, months_between(start, end, zone)))
    assert sum((b - a for a, b in pieces), timedelta(0)) == end - start
    assert all(a[1] == b[0] for a, b in pairwise(pieces))
    whole = quantity_of(length * 1000)
    assert abs(sum(billed(start, end, zone).values()) - whole) <= Decimal("1E-9") * len(pieces)


@holds_for(
    st.sampled_from(ZONES),
    st.integers(2024, 2030),
    st.integers(1, 12),
    st.lists(st.integers(1, 2_600_000), max_size=20),
)
def test_shares_of_a_month_are_one_month(zone: ZoneInfo, year: int, number: int, cuts: list[int]) -> None:
    period: Period = month(f"{year}-{number:02d}", zone)
    length = int((period.end - period.start).total_seconds())
    edges = sorted({0, length, *(cut for cut in cuts if cut < length)})
    parts = [(b - a) * 1000 for a, b in pairwise(edges)]
    assert sum(Fraction(part, length * 1000) for part in parts) == 1
    assert total_of(parts_of(parts)) == quantity_of(length * 1000) == length / Decimal(3600)


spans = st.tuples(st.integers(0, 20_000), st.integers(1, 20_000))


@holds_for(st.lists(st.tuples(spans, st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_records_have_no_gap_and_no_overlap(steps: list[tuple[tuple[int, int], bool, bool]]) -> None:
    """However a run is told anew, and whatever was charged between, its live records are just what it ran."""
    begin = datetime(2026, 11, 10, 2, tzinfo=UTC)
    records: dict[UUID, Recorded] = {}
    number = 0
    for (start, length), is_charged, is_twice in steps:
        span = (begin + timedelta(seconds=start), begin + timedelta(seconds=start + length))
        for _ in range(1 + is_twice):
            change = amend(*span, list(records.values()))
            assert not any(records.pop(gone).is_charged for gone in change.gone)
            places = {(r.start, r.revision): r.id for r in records.values() if r.reverses is None}
            for was in change.reversed:
                number += 1
                records[UUID(int=number)] = Recorded(UUID(int=number), was.start, was.end, False, was.revision, was.id)
            for a, b, revision in change.added:
                number += 1
                pk = places.get((a, revision), UUID(int=number))
                assert pk not in records or not records[pk].is_charged
                records[pk] = Recorded(pk, a, b, False, revision, None)
        undone = {r.reverses for r in records.values()}
        live = sorted((r.start, r.end) for r in records.values() if r.reverses is None and r.id not in undone)
        assert live[0][0] == span[0]
        assert live[-1][1] == span[1]
        assert all(a[1] == b[0] for a, b in pairwise(live))
        assert all(timedelta(0) < b - a <= timedelta(hours=1) for a, b in live)
        if is_charged:
            records = {pk: Recorded(pk, r.start, r.end, True, r.revision, r.reverses) for pk, r in records.items()}
    assert len({(r.start, r.revision, r.reverses) for r in records.values()}) == len(records)
