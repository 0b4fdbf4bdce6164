"""What usage costs: pure, by property."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import pairwise
from random import Random
from uuid import UUID

import pytest
from hypothesis import strategies as st

from billing import rating
from billing.rating import (
    Asked,
    Item,
    Line,
    Meter,
    Names,
    Prices,
    PriceWindow,
    Tier,
    TierMode,
    edges_of,
    outstanding,
    quantity_of,
    summed,
)
from billing.rating.charges import Metered, Rated, rate_record
from billing.rating.tiers import amounts_by_tier, cost_of, slices
from billing.rating.timeline import hours
from tests.billing.cases import holds_for

TEN = datetime(2026, 11, 10, 2, tzinfo=UTC)
FLAVORS = [UUID(int=n) for n in (1, 2)]
TENANT, PROJECT = UUID(int=7), UUID(int=8)
NAMES = Names("Vision", "card", "device")
Run = tuple[int, int, int]


def second(n: int) -> datetime:
    return TEN + timedelta(seconds=n)


def window(
    number: int, price: str, start: int, end: int | None = None, *, own: bool = False, flavor: int = 0, **more: object
) -> PriceWindow:
    stop = None if end is None else second(end)
    return PriceWindow(UUID(int=1000 + number), FLAVORS[flavor], own, Decimal(price), second(start), stop, **more)  # type: ignore[arg-type]  # the rest by name


def record(start: int, end: int, held: int, number: int = 0, **more: object) -> Metered:
    values: dict[str, object] = {
        "id": UUID(int=10_000 + number), "tenant_id": TENANT, "project_id": PROJECT, "user": "li",
        "flavor_id": FLAVORS[0], "unit": "device", "site": "site-a", "slicing_mode": "exclusive",
        "service_class": "guaranteed", "start": second(start), "end": second(end), "held_milli": held,
    }  # fmt: skip
    return Metered(**{**values, **more})  # type: ignore[arg-type]  # as above


def rated(runs: list[Run], book: list[PriceWindow]) -> list[Rated]:
    """Each run cut at the hours and rated piece by piece, in order of time."""
    prices, edges = Prices(book), edges_of(book, second(-(10**6)), second(10**6))
    counters: dict[object, Decimal] = {}
    pieces = [
        record((a - TEN) // timedelta(seconds=1), (b - TEN) // timedelta(seconds=1), held, n)
        for n, (start, end, held) in enumerate(runs)
        for a, b in hours(second(start), second(end))
    ]
    return [
        line
        for piece in sorted(pieces, key=lambda p: (p.start, p.id))
        for line in rate_record(piece, prices, "external", edges, TEN, counters)  # type: ignore[arg-type]  # plain dict
    ]


def total(lines: list[Rated]) -> Decimal:
    return rating.total_of(n.cost for n in lines)


spans = st.tuples(st.integers(0, 8000), st.integers(1, 8000), st.integers(1, 16_000)).map(
    lambda t: (t[0], t[0] + t[1], t[2])
)
prices = st.decimals(0, 10**6, places=6)
price_edges = st.lists(st.integers(1, 16_000), unique=True, max_size=6).map(sorted)


@st.composite
def price_books(draw: st.DrawFn) -> list[PriceWindow]:
    """List prices with gaps between some, and a few of the tenant's own; two never hold at once."""
    book = []
    for own in (False, True):
        starts = [0, *draw(price_edges), 20_000]
        for start, end in pairwise(starts):
            if draw(st.booleans()):
                book.append(window(len(book), str(draw(prices)), start, end, own=own))
    return book


@st.composite
def tiered(draw: st.DrawFn, mode: TierMode = TierMode.GRADUATED) -> PriceWindow:
    starts = sorted(draw(st.sets(st.decimals("0.001", 5000, places=3), min_size=1, max_size=4)))
    tiers = tuple(Tier(start, draw(prices)) for start in starts)
    return window(1, str(draw(prices)), -(10**6), tier_mode=mode, tiers=tiers)


@holds_for(st.lists(spans, max_size=8), price_books())
def test_quantity_times_price_is_cost_and_nothing_is_dropped(runs: list[Run], book: list[PriceWindow]) -> None:
    lines = rated(runs, book)
    assert sum(n.consumed for n in lines) == sum((b - a) * held for a, b, held in runs)
    for line in lines:
        if line.unit_price is None:
            assert line.cost == 0
        else:
            assert Fraction(line.cost) == Fraction(line.quantity) * Fraction(line.unit_price)
            assert line.list_unit_price is not None
            assert Fraction(line.list_cost) == Fraction(line.quantity) * Fraction(line.list_unit_price)
    assert Fraction(total(lines)) == sum(Fraction(n.cost) for n in lines)


@holds_for(spans, st.lists(st.integers(1, 16_000), max_size=5), prices)
def test_cutting_at_price_edges_keeps_seconds_quantity_and_cost(run: Run, cuts: list[int], price: Decimal) -> None:
    """The parts of a record add up to it to the last digit, however it is cut."""
    whole = rated([run], [window(1, str(price), 0)])
    edges = [0, *sorted(set(cuts)), 20_000]
    parts = rated([run], [window(n, str(price), a, b) for n, (a, b) in enumerate(pairwise(edges))])
    assert sum(n.consumed for n in parts) == sum(n.consumed for n in whole)
    assert rating.total_of(n.quantity for n in parts) == rating.total_of(n.quantity for n in whole)
    assert total(parts) == total(whole)


@holds_for(
    st.integers(0, 8000),
    st.integers(1, 8000),
    st.integers(1, 16_000),
    st.lists(st.integers(1, 16_000)),
    prices,
)
def test_cutting_records_moves_the_cost_by_a_quantum_a_cut(
    start: int, length: int, held: int, cuts: list[int], price: Decimal
) -> None:
    inner = sorted({c for c in cuts if start < c < start + length})
    edges = [start, *inner, start + length]
    whole = quantity_of(length * held)
    parts = [quantity_of((b - a) * held) for a, b in pairwise(edges)]
    assert abs(rating.total_of(parts) - whole) <= rating.QUANTITY_STEP * (len(inner) + 1)
    moved = rating.total_of(q * price for q in parts) - whole * price
    assert abs(moved) <= rating.QUANTITY_STEP * (len(inner) + 1) * price


@holds_for(st.lists(spans, max_size=8), price_books(), st.randoms(use_true_random=False))
def test_the_order_of_usage_does_not_matter(runs: list[Run], book: list[PriceWindow], random: Random) -> None:
    shuffled = random.sample(runs, len(runs))
    assert total(rated(shuffled, book)) == total(rated(runs, book))


@holds_for(st.lists(spans, max_size=8), price_books(), st.integers(0, 20_000))
def test_a_price_added_for_later_leaves_earlier_lines_alone(runs: list[Run], book: list[PriceWindow], at: int) -> None:
    early = [(a, min(b, at), held) for a, b, held in runs if a < at]
    later = [*book, window(99, "77.5", max(at, 20_000))]
    assert rated(early, later) == rated(early, book)


@holds_for(price_books(), st.integers(0, 20_000))
def test_every_instant_has_one_price_at_most(book: list[PriceWindow], at: int) -> None:
    what = Asked(FLAVORS[0])
    holding = [w for w in book if w.holds_at(second(at))]
    found = Prices(book).at(what, second(at))
    assert sum(w.is_own for w in holding) <= 1
    assert sum(not w.is_own for w in holding) <= 1
    assert found == max(holding, key=lambda w: w.is_own, default=None)
    assert Prices(book[::-1]).digest() == Prices(book).digest()


@holds_for(st.integers(0, 10**13))
def test_quantity_is_rounded_half_even_and_no_tie_ever_occurs(milli_seconds: int) -> None:
    exact = Fraction(milli_seconds, 3_600_000) * 10**9
    assert exact - exact // 1 != Fraction(1, 2)
    assert quantity_of(milli_seconds) == Decimal(round(exact)) / 10**9  # round() of a Fraction is half-even


@holds_for(st.integers(1, 24), st.integers(1, 16_000))
def test_whole_hours_are_exact(whole: int, held: int) -> None:
    assert quantity_of(whole * 3600 * held) == Decimal(whole * held) / 1000


def test_the_tenants_own_price_goes_before_the_list() -> None:
    book = [window(1, "10", 0), window(2, "6", 3600, 7200, own=True)]
    lines = rated([(0, 10_800, 1000)], book)
    assert [(n.unit_price, n.list_unit_price, n.quantity) for n in lines] == [
        (Decimal(10), Decimal(10), 1),
        (Decimal(6), Decimal(10), 1),
        (Decimal(10), Decimal(10), 1),
    ]


def test_what_names_more_goes_first() -> None:
    book = [
        window(1, "10", 0),
        window(2, "9", 0, site="site-a"),
        window(3, "8", 0, slicing_mode="mig"),
        window(4, "7", 0, service_class="best-effort"),
        window(5, "6", 0, tenant_class="internal"),
        window(6, "5", 0, tenant_class="internal", site="site-a"),
    ]
    asked = {
        Asked(FLAVORS[0]): 10,
        Asked(FLAVORS[0], site="site-a"): 9,
        Asked(FLAVORS[0], site="site-a", slicing_mode="mig"): 9,
        Asked(FLAVORS[0], site="site-b", slicing_mode="mig"): 8,
        Asked(FLAVORS[0], service_class="best-effort"): 7,
        Asked(FLAVORS[0], tenant_class="internal", service_class="best-effort"): 6,
        Asked(FLAVORS[0], tenant_class="internal", site="site-a"): 5,
        Asked(FLAVORS[0], tenant_class="partner"): 10,
    }
    found = {what: Prices(book).at(what, second(1)) for what in asked}
    assert {what: price and price.unit_price for what, price in found.items()} == asked
    listed = Prices(book).listed_at(Asked(FLAVORS[0], tenant_class="internal", site="site-a"), second(1))
    assert listed is not None
    assert listed.unit_price == 9


def test_cores_memory_and_energy_are_charged_where_they_have_a_price() -> None:
    book = [
        window(1, "10", 0),
        window(2, "0.1", 0, meter=Meter.CPU),
        PriceWindow(UUID(int=3), None, False, Decimal("0.01"), second(0), None, meter=Meter.MEMORY),
        window(4, "0.5", 0, meter=Meter.ENERGY),
    ]
    what = record(0, 1800, 250, cpu_milli=8000, memory_mib=64 * 1024, power_watts=400)
    lines = list(rate_record(what, Prices(book), "external", [], TEN, {}))
    assert [(n.meter, n.quantity, n.unit_price) for n in lines] == [
        (Meter.ACCELERATOR, Decimal("0.125"), 10),
        (Meter.CPU, Decimal(4), Decimal("0.1")),
        (Meter.MEMORY, Decimal(32), Decimal("0.01")),
        (Meter.ENERGY, Decimal("0.05"), Decimal("0.5")),
    ]
    alone = list(rate_record(what, Prices(book[:1]), "external", [], TEN, {}))
    assert [n.meter for n in alone] == [Meter.ACCELERATOR]


def test_a_price_of_another_flavor_does_not_count() -> None:
    (line,) = rated([(0, 3600, 1000)], [window(1, "10", 0, flavor=1)])
    assert (line.price, line.unit_price, line.quantity, line.cost) == (None, None, Decimal(1), Decimal(0))


@holds_for(tiered(), st.lists(st.decimals("0.000000001", 4000, places=9), max_size=8))
def test_graduated_tiers_do_not_care_how_usage_comes(price: PriceWindow, amounts: list[Decimal]) -> None:
    before, cost, by_tier = Decimal(0), Decimal(0), {}
    for amount in amounts:
        for part in slices(price, before, amount):
            cost += part.quantity * part.unit_price
            by_tier[part.tier] = by_tier.get(part.tier, 0) + part.quantity
        before += amount
    assert cost == cost_of(price, before)
    assert by_tier == ({} if not amounts else amounts_by_tier(price, before))


@holds_for(tiered(), st.decimals(0, 6000, places=9), st.decimals(0, 100, places=9))
def test_graduated_cost_is_continuous_and_never_falls(price: PriceWindow, amount: Decimal, more: Decimal) -> None:
    step = cost_of(price, amount + more) - cost_of(price, amount)
    dearest = max([price.unit_price, *(tier.unit_price for tier in price.tiers)])
    assert 0 <= step <= more * dearest


def test_volume_tiers_may_jump() -> None:
    price = window(1, "2", 0, tier_mode=TierMode.VOLUME, tiers=(Tier(Decimal(100), Decimal(1)),))
    assert [cost_of(price, Decimal(q)) for q in ("99", "100", "101")] == [198, 100, 101]


def test_usage_across_a_tier_is_two_lines() -> None:
    price = window(1, "0.12", 0, tier_mode=TierMode.GRADUATED, tiers=(Tier(Decimal("1.5"), Decimal("0.1")),))
    lines = rated([(0, 3600, 2000)], [price])
    assert [(n.tier, n.consumed, n.quantity, n.unit_price) for n in lines] == [
        (0, 5_400_000, Decimal("1.5"), Decimal("0.12")),
        (1, 1_800_000, Decimal("0.5"), Decimal("0.1")),
    ]


def as_lines(lines: list[Rated]) -> list[Line]:
    item = Item(PROJECT, FLAVORS[0], "site-a")
    return summed(
        Line(item, NAMES, n.price.id if n.price else None, n.unit_price, n.consumed, n.quantity) for n in lines
    )


@holds_for(st.lists(spans, max_size=6), st.lists(spans, max_size=6), price_books(), price_books())
def test_what_is_asked_for_in_the_end_is_what_usage_is_worth(
    first: list[Run], then: list[Run], book: list[PriceWindow], new: list[PriceWindow]
) -> None:
    """Invoice, let usage and prices change, invoice again: both together equal the last state."""
    new = [
        PriceWindow(UUID(int=p.id.int + 500), p.flavor_id, p.is_own, p.unit_price, p.valid_from, p.valid_to)
        for p in new
    ]
    asked, worth = as_lines(rated(first, book)), as_lines(rated(then, new))
    correction = outstanding(worth, asked)
    assert rating.total_of(n.cost for n in [*asked, *correction]) == rating.total_of(n.cost for n in worth)
    assert sum(n.milli_seconds for n in [*asked, *correction]) == sum((b - a) * held for a, b, held in then)
    assert outstanding(worth, [*asked, *correction]) == []


@pytest.mark.parametrize(
    ("exact", "payable"),
    [("10.005", "10.01"), ("10.004999999999999", "10.00"), ("-10.005", "-10.01"), ("0", "0.00"), ("1E+3", "1000.00")],
)
def test_what_is_to_be_paid_is_rounded_half_up(exact: str, payable: str) -> None:
    assert str(rating.payable_of(Decimal(exact))) == payable


@holds_for(st.decimals(-(10**9), 10**9, places=15), st.decimals(0, 1, places=6))
def test_tax_is_rounded_half_up_from_the_exact_base_and_reverses(base: Decimal, rate: Decimal) -> None:
    exact = Fraction(base) * Fraction(rate)
    tax = Fraction(rating.tax_of(base, rate))
    assert abs(tax - exact) <= Fraction(1, 200)
    assert abs(tax) == Fraction(int(abs(exact) * 100 + Fraction(1, 2)), 100)
    assert rating.tax_of(-base, rate) == -rating.tax_of(base, rate)


def test_sums_never_lose_a_digit() -> None:
    many = [Decimal("12345678901234567890123.000000000000001")] * 3
    assert rating.total_of(many) == Decimal("37037036703703703670369.000000000000003")
    quantity, price = Decimal("999999999999999.999999999"), Decimal("999999999999.999999")
    assert Fraction(rating.product(quantity, price)) == Fraction(quantity) * Fraction(price)


def test_rounding_is_half_even_where_asked() -> None:
    assert rating.rounded(Decimal("0.125"), Decimal("0.01"), ROUND_HALF_EVEN) == Decimal("0.12")
