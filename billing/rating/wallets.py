"""What is taken of which credit, and in which order. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from billing.rating.money import ZERO, less, plus


@dataclass(frozen=True, slots=True)
class Lot:
    """What is left of one credit."""

    id: UUID
    left: Decimal
    expires_at: datetime | None
    came_at: datetime

    def is_good_at(self, at: datetime) -> bool:
        return self.expires_at is None or at < self.expires_at


@dataclass(frozen=True, slots=True)
class Drain:
    """So much of each credit, so much on the overdraft, and what is still to be paid."""

    taken: tuple[tuple[UUID, Decimal], ...]
    overdrawn: Decimal
    due: Decimal

    @property
    def paid(self) -> Decimal:
        total = self.overdrawn
        for _, amount in self.taken:
            total = plus(total, amount)
        return total


def in_order(lots: Iterable[Lot]) -> list[Lot]:
    """What expires first goes first, what never does last; of those alike the oldest."""
    return sorted(lots, key=lambda lot: (lot.expires_at is None, lot.expires_at or lot.came_at, lot.came_at, lot.id))


def drain(lots: Iterable[Lot], wanted: Decimal, at: datetime, overdraft: Decimal = ZERO) -> Drain:
    """Pay as much of `wanted` as the credits and then the room on the overdraft allow."""
    due, taken = max(wanted, ZERO), []
    for lot in in_order(lots):
        amount = min(lot.left, due)
        if amount > ZERO and lot.is_good_at(at):
            taken.append((lot.id, amount))
            due = less(due, amount)
    overdrawn = min(max(overdraft, ZERO), due)
    return Drain(tuple(taken), overdrawn, less(due, overdrawn))
