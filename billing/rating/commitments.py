"""What a reservation covers. Pure: quantities in, quantities out; nothing is rounded here."""

from collections.abc import Sequence
from decimal import Decimal

from billing.rating.money import ZERO, less


def cover(reserved: Decimal, used: Sequence[Decimal]) -> tuple[list[Decimal], Decimal]:
    """How much of each use is covered, the first ones first, and what is left unused."""
    covered = []
    for quantity in used:
        taken = min(quantity, reserved)
        covered.append(taken)
        reserved = less(reserved, taken)
    return covered, max(reserved, ZERO)
