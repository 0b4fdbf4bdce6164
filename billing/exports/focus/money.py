"""Products and sums that are exact, or fail. A digit is never lost silently."""

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow])


def product(price: Decimal, quantity: Decimal) -> Decimal:
    return _EXACT.multiply(price, quantity)


def total(values: Iterable[Decimal]) -> Decimal:
    found = Decimal(0)
    for value in values:
        found = _EXACT.add(found, value)
    return found


def plus(one: Decimal, other: Decimal) -> Decimal:
    return _EXACT.add(one, other)
