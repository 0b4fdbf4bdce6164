"""Amounts: exact decimals, rounded in one function.

- An amount used is whole seconds times 1/1000 of the unit: an integer of milli-seconds, exact.
- A quantity is hours of the whole unit at nine decimals. Seconds do not divide an hour evenly, so it is
  rounded once, where usage is recorded; from there on quantities are only added up. What has to be cut later is
  cut so that the parts add up to the whole (`parts_of`).
- A cost is quantity x unit price (six decimals), exact at fifteen decimals. It is never rounded.
- What is to be paid is rounded once per invoice, to 0.01; the difference is a line of its own.
Sums and products run in a context that raises where a digit would be lost.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation
from itertools import accumulate, pairwise

MILLI_SECONDS_PER_HOUR = 3_600_000
QUANTITY_STEP = Decimal("0.000000001")
COST_STEP = Decimal("0.000000000000001")
PAYABLE_STEP = Decimal("0.01")
ZERO = Decimal(0)
_WIDE = Context(prec=80)
_EXACT = Context(prec=80, traps=[Inexact, InvalidOperation])


def rounded(value: Decimal, step: Decimal, how: str) -> Decimal:
    """The only place where an amount is rounded."""
    return value.quantize(step, rounding=how, context=_WIDE)


def quantity_of(milli_seconds: int) -> Decimal:
    """Hours of the whole unit. (A tie cannot occur: 2500/9 of an integer never ends in one half.)"""
    return amount_of(milli_seconds, MILLI_SECONDS_PER_HOUR)


def amount_of(consumed: int, per_unit: int) -> Decimal:
    """Units of what was consumed, `per_unit` of which are one."""
    return rounded(_WIDE.divide(Decimal(consumed), per_unit), QUANTITY_STEP, ROUND_HALF_EVEN)


def parts_of(consumed: Sequence[int], per_unit: int = MILLI_SECONDS_PER_HOUR) -> list[Decimal]:
    """Quantities of neighbouring pieces, which add up to the quantity of the whole to the last digit."""
    ends = [amount_of(total, per_unit) for total in accumulate(consumed, initial=0)]
    return [less(after, before) for before, after in pairwise(ends)]


def shares_of(amount: int, whole: Decimal, parts: Sequence[Decimal]) -> list[int]:
    """An integer in the proportion of `parts` of a whole; the last has the rest, so that nothing is lost."""
    if len(parts) == 1:
        return [amount]
    shares = [int(_WIDE.divide_int(_WIDE.multiply(amount, part), whole)) for part in parts[:-1]]
    return [*shares, amount - sum(shares)]


def payable_of(total: Decimal) -> Decimal:
    """What is to be paid: the exact total to the least unit of money, halves up (away from zero)."""
    return rounded(total, PAYABLE_STEP, ROUND_HALF_UP)


def tax_of(base: Decimal, rate: Decimal) -> Decimal:
    """The tax on an unrounded base, to the least unit of money, halves up (away from zero)."""
    return rounded(_EXACT.multiply(base, rate), PAYABLE_STEP, ROUND_HALF_UP)


def product(quantity: Decimal, unit_price: Decimal) -> Decimal:
    return _EXACT.multiply(quantity, unit_price)


def less(amount: Decimal, other: Decimal) -> Decimal:
    return _EXACT.subtract(amount, other)


def plus(amount: Decimal, other: Decimal) -> Decimal:
    return _EXACT.add(amount, other)


def total_of(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total
