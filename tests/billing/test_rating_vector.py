"""Rating in columns comes to what rating one by one does, to the last digit."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import strategies as st

from billing.bench import rating as bench
from billing.rating import Asked, Prices, PriceWindow, Tier, TierMode, TierScope, edges_of
from billing.rating.charges import Metered, rate_record
from billing.rating.tiers import volume_tier
from billing.rating.vector import I64, Records, Sheet, by_tenants, digest, totals
from tests.billing.cases import holds_for

TEN = datetime(2026, 11, 10, 2, tzinfo=UTC)
FLAVOR = UUID(int=1)
Row = tuple[int, int, int, int]  # tenant, start, seconds, held


def window(number: int, price: Decimal, start: int, end: int | None, **more: Any) -> PriceWindow:
    stop = None if end is None else TEN + timedelta(seconds=end)
    return PriceWindow(UUID(int=number), FLAVOR, False, price, TEN + timedelta(seconds=start), stop, **more)


def records(rows: Sequence[Row]) -> Records:
    tenant, start, seconds, held = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    begin = int(TEN.timestamp())
    return Records(tenant, np.zeros(len(rows), dtype=np.int64), begin + start, seconds, held)


prices = st.decimals(0, 9000, places=6)
rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 9000), st.integers(1, 3600), st.integers(1, 16_000)), max_size=12
)


@st.composite
def books(draw: st.DrawFn) -> list[PriceWindow]:
    edges = sorted({-5000, *draw(st.lists(st.integers(1, 12_000), max_size=3)), 20_000})
    found = []
    for n, (start, end) in enumerate(pairwise(edges)):
        if draw(st.integers(0, 4)):
            starts = sorted(draw(st.sets(st.decimals("0.001", 30, places=3), max_size=3)))
            tiers = tuple(Tier(at, draw(prices)) for at in starts)
            mode = TierMode.GRADUATED if tiers else None
            found.append(window(n + 1, draw(prices), start, end, tiers=tiers, tier_mode=mode))
    return found


def one_by_one(found: Sequence[Row], book: list[PriceWindow]) -> list[tuple[Any, ...]]:
    edges, counters, lines = edges_of(book, TEN, TEN + timedelta(days=1)), dict[Any, Decimal](), []
    for row, (tenant, start, seconds, held) in sorted(enumerate(found), key=lambda one: (one[1][1], one[0])):
        begin = TEN + timedelta(seconds=start)
        record = Metered(
            id=UUID(int=row), tenant_id=UUID(int=tenant), project_id=UUID(int=9), user="", flavor_id=FLAVOR,
            unit="device", site="", slicing_mode="", service_class="", start=begin,
            end=begin + timedelta(seconds=seconds), held_milli=held,
        )  # fmt: skip
        for r in rate_record(record, Prices(book), "", edges, TEN, counters):
            lines.append(
                (row, int(r.start.timestamp()), r.tier, r.consumed, r.quantity, r.price and r.price.id, r.cost)
            )
    return sorted(lines, key=lambda line: line[:3])


def in_columns(found: Sequence[Row], book: list[PriceWindow]) -> list[tuple[Any, ...]]:
    sheet = Sheet([("", Prices(book))], [Asked(FLAVOR)])
    rated = sheet.rate(records(found), np.zeros(3, dtype=np.int64), [0])
    lines = [
        (
            int(rated.record[n]), int(rated.start[n]), int(rated.tier[n]), int(rated.milli_seconds[n]),
            Decimal(int(rated.quantity[n])).scaleb(-9),
            sheet.versions[rated.version[n]].id if rated.version[n] >= 0 else None,
            rated.cost(n),
        )
        for n in range(len(rated))
    ]  # fmt: skip
    return sorted(lines, key=lambda line: line[:3])


@holds_for(rows, books())
def test_each_line_is_the_same(found: list[Row], book: list[PriceWindow]) -> None:
    if found:
        assert in_columns(found, book) == one_by_one(found, book)


@holds_for(rows, books(), st.randoms(use_true_random=False))
def test_neither_parts_nor_order_matter(found: list[Row], book: list[PriceWindow], random: Random) -> None:
    if not found:
        return
    sheet, payers = Sheet([("", Prices(book))], [Asked(FLAVOR)]), np.zeros(3, dtype=np.int64)

    def came_to(some: list[Row]) -> dict[int, Decimal]:
        sums: dict[int, Decimal] = {}
        for part in by_tenants(records(some), most=4):
            assert not set(sums) & set(part.tenant.tolist())
            sums.update(totals(sheet.rate(part, payers, [0]), part.tenant))
        return sums

    whole = records(found)
    assert came_to(found) == totals(sheet.rate(whole, payers, [0]), whole.tenant)
    assert came_to(random.sample(found, len(found))) == came_to(found)
    assert digest(sheet.rate(whole, payers, [0])) == digest(sheet.rate(whole, payers, [0]))


def test_a_volume_price_is_that_of_the_whole_month() -> None:
    tiers = (Tier(Decimal(2), Decimal(5)), Tier(Decimal(10), Decimal(1)))
    price = window(1, Decimal(9), -5000, None, tiers=tiers, tier_mode=TierMode.VOLUME)
    found = [(0, 0, 3600, 1000), (0, 3600, 1800, 4000), (1, 0, 3600, 1000)]
    assert volume_tier(price, Decimal(3)) == 1
    assert [line[-1] for line in in_columns(found, [price])] == [Decimal(5), Decimal(10), Decimal(9)]


def test_tiers_begin_anew_with_each_month() -> None:
    tiers = (Tier(Decimal(1), Decimal(2)),)
    price = window(1, Decimal(10), -5000, None, tiers=tiers, tier_mode=TierMode.GRADUATED)
    sheet, begin = Sheet([("", Prices([price]))], [Asked(FLAVOR)]), int(TEN.timestamp())
    payers: I64 = np.zeros(1, dtype=np.int64)
    rated = sheet.rate(records([(0, 1800, 3600, 2000)]), payers, [0, begin + 3600])
    assert totals(rated, np.zeros(1, dtype=np.int64)) == {0: Decimal(20)}  # an hour of a card in either month
    rated = sheet.rate(records([(0, 1800, 3600, 2000)]), payers, [0])
    assert totals(rated, np.zeros(1, dtype=np.int64)) == {0: Decimal(12)}


def test_what_64_bits_do_not_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="too high"):
        Sheet([("", Prices([window(1, Decimal(9224), 0, None)]))], [Asked(FLAVOR)])
    sheet = Sheet([("", Prices([window(1, Decimal(9223), 0, None)]))], [Asked(FLAVOR)])
    with pytest.raises(ValueError, match="too long"):
        sheet.rate(records([(0, 0, 3600, 10**12)]), np.zeros(1, dtype=np.int64), [0])
    scoped = window(1, Decimal(1), 0, None, tiers=(Tier(Decimal(1), Decimal(1)),), tier_mode=TierMode.GRADUATED,
                    tier_scope=TierScope.USER)  # fmt: skip
    with pytest.raises(ValueError, match="tenant's month"):
        Sheet([("", Prices([scoped]))], [Asked(FLAVOR)])


def test_the_bench_rates_twice_and_compares() -> None:
    figures = bench.run({"events": 4000, "tenants": 40, "skus": 9, "replay": 2, "seed": 3})
    assert figures["is_same_each_time"]
    assert figures["compared_one_by_one"] == 4000
    assert Decimal(figures["total"]) > 0
    with pytest.raises(bench.BenchError, match="one of each"):
        bench.run({"events": 0, "tenants": 1, "skus": 1, "replay": 1, "seed": 1})
