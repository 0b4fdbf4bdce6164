"""What a month will come to: within its range, exact where nothing is uncertain, and better than the naive guess."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.bench import forecast as bench
from billing.rating.forecast import forecast, naive
from tests.billing.test_spreading import COSTS

CASES = settings(max_examples=2000, deadline=None)
DAYS = st.lists(st.integers(0, 10**9).map(lambda n: Decimal(n).scaleb(-2)), max_size=40)
LEFT = st.integers(0, 31 * 86_400).map(lambda n: Decimal(n) / 86_400)


@CASES
@given(COSTS, DAYS, LEFT)
def test_a_forecast_lies_within_its_range_and_never_beneath_what_is_spent(
    spent: Decimal, days: list[Decimal], left: Decimal
) -> None:
    found = forecast(spent, days, left)
    cent = Decimal("0.01")
    assert found.expected >= spent - cent
    if len(days) < 2:
        assert (found.low, found.high) == (None, None)
        return
    assert found.low is not None
    assert found.high is not None
    assert spent - cent <= found.low <= found.expected <= found.high


@CASES
@given(COSTS, st.integers(0, 10**9), st.integers(2, 9), st.integers(0, 30))
def test_equal_days_are_foretold_to_the_cent(spent: Decimal, cents: int, count: int, left: int) -> None:
    day = Decimal(cents).scaleb(-2)
    found = forecast(spent, [day] * count, Decimal(left))
    assert found.low == found.expected == found.high
    assert abs(found.expected - spent - day * left) <= Decimal("0.005")


def test_what_is_known_is_added_and_only_seven_days_count() -> None:
    days = [Decimal(1000), *[Decimal(n) for n in (10, 12, 8, 10, 11, 9, 10)]]
    found = forecast(Decimal(100), days, Decimal(4), Decimal(50))
    assert (found.daily, found.expected) == (Decimal("10.00"), Decimal("190.00"))
    # The sum of squares is 10, the variance 10/6; over 4 + 16/7 days its root is 3.2367, times 1.440.
    assert (found.low, found.high) == (Decimal("185.34"), Decimal("194.66"))
    assert naive(Decimal(100), Decimal(10), Decimal(20)) == Decimal("300.00")


def test_weeks_that_wander_make_the_range_wider() -> None:
    """Days that are alike within each week, which rose by 10 from week to week, with two weeks to go."""
    days = [Decimal(10 * week) for week in range(1, 6) for _ in range(7)]
    found = forecast(Decimal(0), days, Decimal(14))
    assert found.expected == 700
    # Four steps of 10; over two weeks their root is 10 x sqrt(1.5) for each of 14 days, times 1.533.
    assert found.high == Decimal("962.85")
    assert forecast(Decimal(0), days[-7:], Decimal(14)).high == 700


def test_the_bench_foretells_better_than_the_naive(tmp_path: Path) -> None:
    asked = {"trace": [], "series": 20, "days": 70, "seed": 1}
    found = bench.run(asked)["drawn"]
    assert (found["months"], found["forecasts"]) == (40, 800)
    assert found["error_percent"] < found["naive_error_percent"]
    trace = tmp_path / "runs.csv"
    runs = [f"1,500,{day * 86_400},{(day + 1) * 86_400}" for day in range(40)]
    trace.write_text("\n".join(["num_gpu,gpu_milli,creation_time,deletion_time", *runs]))
    assert bench.daily(trace) == [Decimal("12.00")] * 40
    figures = bench.run({**asked, "trace": [trace]})["runs.csv"]
    assert (figures["error_percent"], figures["in_range_percent"]) == (0, 100)
    trace.write_text("a,b\n1,2\n")
    with pytest.raises(bench.BenchError, match="not a table of runs"):
        bench.run({**asked, "trace": [trace]})
