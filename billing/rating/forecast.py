"""What a month will come to, from what it came to so far. Pure.

Spent so far, and for the time that is left what a day came to on average in the last whole days (at most seven, so
that each day of the week counts once), and what is known to come. The range is what four of five months should end in
if days go on to differ as they did: Student's distribution, for the mean of few days and for each day that is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from billing.rating.money import PAYABLE_STEP, ZERO, rounded, total_of

LOOK_BACK = 7  # days
_C = Context(prec=50)
# Of Student's distribution: a value lies beneath with 90 %, by degrees of freedom. Both sides together leave 80 %.
_T90 = ("3.078", "1.886", "1.638", "1.533", "1.476", "1.440")


@dataclass(frozen=True, slots=True)
class Forecast:
    """Rounded to the least unit of money. `low` and `high` are None where there are not two whole days to go by."""

    expected: Decimal
    daily: Decimal
    low: Decimal | None
    high: Decimal | None


def forecast(spent: Decimal, days: Sequence[Decimal], left: Decimal, known: Decimal = ZERO) -> Forecast:
    """`days` are the costs of the last whole days, `left` how many are left of the month, `known` what is fixed."""
    days = days[-LOOK_BACK:]
    count = len(days)
    daily = _C.divide(total_of(days), Decimal(count)) if count else ZERO
    expected = _C.add(_C.add(spent, known), _C.multiply(daily, left))
    low = high = None
    if count >= 2:
        squares = _squares_of([_C.subtract(day, daily) for day in days])
        variance = _C.divide(squares, Decimal(count - 1))
        # The days that are left, each by itself, and the mean, which all of them share.
        spread = _C.multiply(variance, _C.add(left, _C.divide(_C.multiply(left, left), Decimal(count))))
        margin = _C.multiply(Decimal(_T90[count - 2]), _C.sqrt(spread))
        low = _money(max(_C.subtract(expected, margin), min(expected, _C.add(spent, known))))
        high = _money(_C.add(expected, margin))
    return Forecast(_money(expected), _money(daily), low, high)


def naive(spent: Decimal, gone: Decimal, left: Decimal) -> Decimal:
    """The whole month like what is gone of it: what a forecast has to be better than."""
    return _money(_C.divide(_C.multiply(spent, _C.add(gone, left)), gone)) if gone else ZERO


def _squares_of(values: Sequence[Decimal]) -> Decimal:
    total = ZERO
    for value in values:
        total = _C.add(total, _C.multiply(value, value))
    return total


def _money(amount: Decimal) -> Decimal:
    return rounded(amount, PAYABLE_STEP, ROUND_HALF_EVEN)
