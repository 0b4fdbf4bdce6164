"""What a month will come to, from what it came to so far. Pure.

Spent so far, and for the time that is left what a day came to on average in the last whole days (at most seven, so
that each day of the week counts once), and what is known to come. The range is what eight of ten months should end in
if days, or weeks, go on to differ as they did: the wider of both, by Student's distribution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import pairwise

from billing.rating.money import PAYABLE_STEP, ZERO, rounded, total_of

LOOK_BACK = 7  # days that a forecast goes by
MOST_DAYS = 5 * LOOK_BACK  # that its range goes by
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
    """`days`: costs of the last whole days, in order; `left`: how many the month still has; `known`: what is fixed."""
    week = days[-LOOK_BACK:]
    count = len(week)
    daily = _mean(week) if count else ZERO
    sure = _C.add(spent, known)
    expected = _C.add(sure, _C.multiply(daily, left))
    if count < 2:
        return Forecast(_money(expected), _money(daily), None, None)
    margin = max(_of_days(week, daily, left), _of_weeks(days[-MOST_DAYS:], left))
    low, high = max(_C.subtract(expected, margin), min(expected, sure)), _C.add(expected, margin)
    return Forecast(_money(expected), _money(daily), _money(low), _money(high))


def _of_days(week: Sequence[Decimal], daily: Decimal, left: Decimal) -> Decimal:
    """How far off, if days differ by chance: each that is left by itself, and the mean, which all of them share."""
    count = len(week)
    variance = _C.divide(_squares_of([_C.subtract(day, daily) for day in week]), Decimal(count - 1))
    spread = _C.multiply(variance, _C.add(left, _C.divide(_C.multiply(left, left), Decimal(count))))
    return _C.multiply(Decimal(_T90[count - 2]), _C.sqrt(spread))


def _of_weeks(days: Sequence[Decimal], left: Decimal) -> Decimal:
    """How far off, if weeks go on to wander as they did: a walk whose steps are the differences of their means.

    Between the mean of one week and that of so many days after it, a walk goes as far as from week to week, and the
    further the more are left: by (left / 7 + 1) / 2 in the square.
    """
    ends = range(len(days), LOOK_BACK - 1, -LOOK_BACK)
    means = [_mean(days[end - LOOK_BACK : end]) for end in ends]
    steps = [_C.subtract(after, before) for after, before in pairwise(means)]
    if not steps:
        return ZERO
    square = _C.divide(_squares_of(steps), Decimal(len(steps)))
    factor = _C.divide(_C.add(_C.divide(left, Decimal(LOOK_BACK)), Decimal(1)), Decimal(2))
    return _C.multiply(Decimal(_T90[len(steps) - 1]), _C.multiply(left, _C.sqrt(_C.multiply(square, factor))))


def naive(spent: Decimal, gone: Decimal, left: Decimal) -> Decimal:
    """The whole month like what is gone of it: what a forecast has to be better than."""
    return _money(_C.divide(_C.multiply(spent, _C.add(gone, left)), gone)) if gone else ZERO


def _mean(values: Sequence[Decimal]) -> Decimal:
    return _C.divide(total_of(values), Decimal(len(values)))


def _squares_of(values: Sequence[Decimal]) -> Decimal:
    total = ZERO
    for value in values:
        total = _C.add(total, _C.multiply(value, value))
    return total


def _money(amount: Decimal) -> Decimal:
    return rounded(amount, PAYABLE_STEP, ROUND_HALF_EVEN)
