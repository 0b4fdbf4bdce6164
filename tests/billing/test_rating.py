"""What usage costs: pure, by property."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import rating
from billing.rating import Item, Line, Names, PriceWindow, Usage, cut, edges_of, outstanding, quantity_of, rate

TEN = datetime(2026, 11, 10, 2, tzinfo=UTC)
FLAVORS = [UUID(int=n) for n in (1, 2)]
NAMES = Names("Vision", "card", "device")


def second(n: int) -> datetime:
    return TEN + timedelta(seconds=n)


def item(flavor: int = 0, project: int = 0) -> Item:
    return Item(UUID(int=100 + project), FLAVORS[flavor], "site-a")


def window(
    number: int, price: str, start: int, end: int | None = None, *, own: bool = False, flavor: int = 0
) -> PriceWindow:
    stop = None if end is None else second(end)
    return PriceWindow(UUID(int=1000 + number), FLAVORS[flavor], own, Decimal(price), second(start), stop)


def used(start: int, end: int, held: int, edges: list[datetime], what: Item | None = None) -> list[Usage]:
    return [
        Usage(what or item(), NAMES, a, b, seconds * held, quantity_of(seconds * held))
        for a, b, seconds in cut(second(start), second(end), edges)
    ]


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


@given(st.lists(spans, max_size=8), price_books())
def test_quantity_times_price_is_cost_and_nothing_is_dropped(
    runs: list[tuple[int, int, int]], book: list[PriceWindow]
) -> None:
    edges = edges_of(book, second(0), second(20_000))
    lines = rate([u for run in runs for u in used(*run, edges)], book)
    assert sum(n.milli_seconds for n in lines) == sum((b - a) * held for a, b, held in runs)
    for line in lines:
        if line.unit_price is None:
            assert line.cost == 0
        else:
            assert Fraction(line.cost) == Fraction(line.quantity) * Fraction(line.unit_price)
    assert Fraction(rating.total_of(n.cost for n in lines)) == sum(Fraction(n.cost) for n in lines)


@given(spans, st.lists(st.integers(1, 16_000), max_size=5), prices)
def test_cutting_keeps_the_seconds_and_moves_the_cost_by_a_quantum_a_cut(
    run: tuple[int, int, int], cuts: list[int], price: Decimal
) -> None:
    book = [window(1, str(price), 0)]
    (whole,) = rate(used(*run, [second(0), second(20_000)]), book)
    edges = sorted({second(0), second(20_000), *map(second, cuts)})
    (parts,) = rate(used(*run, edges), book)
    assert parts.milli_seconds == whole.milli_seconds
    assert abs(parts.quantity - whole.quantity) <= rating.QUANTITY_STEP * (len(set(cuts)) + 1)
    assert abs(parts.cost - whole.cost) <= rating.QUANTITY_STEP * (len(set(cuts)) + 1) * price


@given(st.lists(spans, max_size=8), price_books(), st.randoms(use_true_random=False))
def test_the_order_of_usage_does_not_matter(
    runs: list[tuple[int, int, int]], book: list[PriceWindow], random: object
) -> None:
    edges = edges_of(book, second(0), second(20_000))
    usage = [u for run in runs for u in used(*run, edges)]
    lines = rate(usage, book)
    random.shuffle(usage)  # type: ignore[attr-defined]  # a Random made by hypothesis
    assert rate(usage, book) == lines


@given(st.lists(spans, max_size=8), price_books(), st.integers(0, 20_000))
def test_a_price_added_for_later_leaves_earlier_lines_alone(
    runs: list[tuple[int, int, int]], book: list[PriceWindow], at: int
) -> None:
    early = [(a, min(b, at), held) for a, b, held in runs if a < at]
    edges = edges_of(book, second(0), second(20_000))
    before = rate([u for run in early for u in used(*run, edges)], book)
    later = [*book, window(99, "77.5", max(at, 20_000))]
    edges = edges_of(later, second(0), second(30_000))
    assert rate([u for run in early for u in used(*run, edges)], later) == before


@given(st.integers(0, 10**13))
def test_quantity_is_rounded_half_even_and_no_tie_ever_occurs(milli_seconds: int) -> None:
    exact = Fraction(milli_seconds, 3_600_000) * 10**9
    assert exact - exact // 1 != Fraction(1, 2)
    assert quantity_of(milli_seconds) == Decimal(round(exact)) / 10**9  # round() of a Fraction is half-even


@given(st.integers(1, 24), st.integers(1, 16_000))
def test_whole_hours_are_exact(hours: int, held: int) -> None:
    assert quantity_of(hours * 3600 * held) == Decimal(hours * held) / 1000


def test_the_tenants_own_price_goes_before_the_list() -> None:
    book = [window(1, "10", 0), window(2, "6", 3600, 7200, own=True)]
    lines = rate(used(0, 10_800, 1000, edges_of(book, second(0), second(10_800))), book)
    assert [(n.unit_price, n.quantity, n.cost) for n in lines] == [
        (Decimal(10), Decimal(2), Decimal(20)),
        (Decimal(6), Decimal(1), Decimal(6)),
    ]


def test_a_price_of_another_flavor_does_not_count() -> None:
    (line,) = rate(used(0, 3600, 1000, [second(0), second(7200)]), [window(1, "10", 0, flavor=1)])
    assert (line.price_id, line.unit_price, line.quantity, line.cost) == (None, None, Decimal(1), Decimal(0))


def test_usage_that_a_price_edge_cuts_is_refused() -> None:
    with pytest.raises(ValueError, match="cut the usage there"):
        rate(used(0, 3600, 1000, [second(0), second(3600)]), [window(1, "10", 1800)])


def test_only_what_lies_between_the_outer_edges_counts() -> None:
    assert [s for _, _, s in cut(second(-100), second(9000), [second(0), second(60), second(3600)])] == [60, 3540]
    assert not list(cut(second(-100), second(0), [second(0), second(60)]))


@given(st.lists(spans, max_size=6), st.lists(spans, max_size=6), price_books(), price_books())
def test_what_is_asked_for_in_the_end_is_what_usage_is_worth(
    first: list[tuple[int, int, int]], then: list[tuple[int, int, int]], book: list[PriceWindow], new: list[PriceWindow]
) -> None:
    """Invoice, let usage and prices change, invoice again: both together equal the last state."""

    def worth(runs: list[tuple[int, int, int]], book: list[PriceWindow]) -> list[Line]:
        edges = edges_of(book, second(0), second(20_000))
        return rate([u for run in runs for u in used(*run, edges)], book)

    new = [
        PriceWindow(UUID(int=p.id.int + 500), p.flavor_id, p.is_own, p.unit_price, p.valid_from, p.valid_to)
        for p in new
    ]
    asked = worth(first, book)
    correction = outstanding(worth(then, new), asked)
    total = rating.total_of(n.cost for n in [*asked, *correction])
    assert total == rating.total_of(n.cost for n in worth(then, new))
    assert sum(n.milli_seconds for n in [*asked, *correction]) == sum((b - a) * held for a, b, held in then)
    assert outstanding(worth(then, new), [*asked, *correction]) == []


@pytest.mark.parametrize(
    ("total", "payable"),
    [("10.005", "10.01"), ("10.004999999999999", "10.00"), ("-10.005", "-10.01"), ("0", "0.00"), ("1E+3", "1000.00")],
)
def test_what_is_to_be_paid_is_rounded_half_up(total: str, payable: str) -> None:
    assert str(rating.payable_of(Decimal(total))) == payable


def test_sums_never_lose_a_digit() -> None:
    many = [Decimal("12345678901234567890123.000000000000001")] * 3
    assert rating.total_of(many) == Decimal("37037036703703703670369.000000000000003")
    quantity, price = Decimal("999999999999999.999999999"), Decimal("999999999999.999999")
    assert Fraction(rating.product(quantity, price)) == Fraction(quantity) * Fraction(price)


def test_rounding_is_half_even_where_asked() -> None:
    assert rating.rounded(Decimal("0.125"), Decimal("0.01"), ROUND_HALF_EVEN) == Decimal("0.12")
