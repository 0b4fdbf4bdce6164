"""Spreading and lending: nothing is lost, nothing is made up, and each has its part."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.rating.money import COST_STEP, total_of
from billing.rating.spreading import lend, spread, spread_cost

CASES = settings(max_examples=2000, deadline=None)
AMOUNTS = st.integers(0, 10**18)
WEIGHTS = st.lists(st.integers(0, 10**15), min_size=1, max_size=12).filter(any)
COSTS = st.integers(0, 10**30).map(lambda n: Decimal(n).scaleb(-15) if n < 10**27 else Decimal(n // 10**15))


@CASES
@given(AMOUNTS, WEIGHTS)
def test_parts_add_up_and_each_is_within_one_of_its_share(whole: int, weights: list[int]) -> None:
    parts = spread(whole, weights)
    assert sum(parts) == whole
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - whole * weight) < sum(weights)
        assert weight or part == 0


@CASES
@given(AMOUNTS, WEIGHTS, st.integers(1, 1000))
def test_only_the_proportion_counts_and_equals_are_served_alike(whole: int, weights: list[int], times: int) -> None:
    assert spread(whole, [weight * times for weight in weights]) == spread(whole, weights)
    parts = spread(whole, weights)
    for n, weight in enumerate(weights):
        for m in range(n + 1, len(weights)):
            assert weights[m] != weight or 0 <= parts[n] - parts[m] <= 1


@CASES
@given(COSTS, st.dictionaries(st.text(max_size=3), st.integers(0, 10**15), max_size=8))
def test_money_is_spread_to_the_last_digit(cost: Decimal, weights: dict[str, int]) -> None:
    shares = spread_cost(cost, weights)
    if not any(weights.values()):
        assert shares == {}
        return
    assert shares.keys() == weights.keys()
    assert total_of(shares.values()) == cost
    assert all(share.as_tuple().exponent == COST_STEP.as_tuple().exponent for share in shares.values())


def test_money_with_more_digits_than_a_cost_has_is_refused() -> None:
    with pytest.raises(ValueError, match="fifteen"):
        spread_cost(Decimal("0.0000000000000001"), {"a": 1})


@CASES
@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=8), st.lists(st.integers(0, 10**12), min_size=1, max_size=8)
)
def test_as_much_is_lent_as_can_be_and_no_more_than_anybody_has(asked: list[int], free: list[int]) -> None:
    lent = lend(asked, free)
    assert sum(map(sum, lent)) == min(sum(asked), sum(free))
    for row, want in zip(lent, asked, strict=True):
        assert all(part >= 0 for part in row)
        assert sum(row) <= want
    for n, has in enumerate(free):
        assert sum(row[n] for row in lent) <= has
    if sum(free) >= sum(asked):
        assert [sum(row) for row in lent] == asked
    assert lent == lend(asked, free)


def test_one_who_asks_for_all_gets_of_each_by_what_it_has() -> None:
    assert lend([600], [300, 100, 0]) == [[300, 100, 0]]
    assert lend([200], [300, 100, 0]) == [[150, 50, 0]]
    assert lend([30, 10], [20]) == [[15], [5]]
    assert lend([0], [5]) == [[0]]
