"""What an invoice asks for: usage at its prices, summed by item, less what was asked for before."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from billing.rating.kinds import Meter
from billing.rating.money import ZERO, plus, product


@dataclass(frozen=True, slots=True)
class Item:
    """What one line of an invoice is about."""

    project_id: UUID | None
    flavor_id: UUID | None
    site: str
    category: str = "usage"
    meter: str = Meter.ACCELERATOR


@dataclass(frozen=True, slots=True)
class Names:
    """What people read on the line. Copies: a later renaming leaves old invoices alone."""

    project: str
    flavor: str
    unit: str


@dataclass(frozen=True, slots=True)
class Line:
    """An item at one price. No price: not rated, cost 0, and shown all the same. What has no quantity has an amount."""

    item: Item
    names: Names
    price_id: UUID | None
    unit_price: Decimal | None
    milli_seconds: int
    quantity: Decimal
    amount: Decimal | None = None

    @property
    def cost(self) -> Decimal:
        if self.amount is not None:
            return self.amount
        return ZERO if self.unit_price is None else product(self.quantity, self.unit_price)


_Key = tuple[Item, UUID | None, Decimal | None]


def outstanding(worth: Iterable[Line], invoiced: Iterable[Line]) -> list[Line]:
    """What usage is worth less what was invoiced for it already: what the next invoice asks for.

    Usage that a site proved late comes out as more, usage it took back as less; a line that another
    price has replaced comes out as a pair.
    """
    found: dict[_Key, Line] = {}
    for line in worth:
        _add(found, line)
    for line in invoiced:
        amount = None if line.amount is None else -line.amount
        _add(found, replace(line, milli_seconds=-line.milli_seconds, quantity=-line.quantity, amount=amount))
    return _in_order(line for line in found.values() if line.milli_seconds or line.quantity or line.amount)


def summed(lines: Iterable[Line]) -> list[Line]:
    """Added up by item and price, in order."""
    found: dict[_Key, Line] = {}
    for line in lines:
        _add(found, line)
    return _in_order(found.values())


def _add(found: dict[_Key, Line], line: Line) -> None:
    key = (line.item, line.price_id, line.unit_price)
    there = found.get(key)
    if there is not None:
        line = replace(
            there,
            milli_seconds=there.milli_seconds + line.milli_seconds,
            quantity=plus(there.quantity, line.quantity),
            amount=None if there.amount is None else plus(there.amount, line.amount or ZERO),
        )
    found[key] = line


def _in_order(lines: Iterable[Line]) -> list[Line]:
    return sorted(
        lines,
        key=lambda n: (
            n.names.project,
            n.names.flavor,
            n.item.site,
            n.item.category,
            n.item.meter,
            str(n.item.project_id),
            str(n.item.flavor_id),
            n.price_id is None,
            str(n.price_id),
            n.unit_price or ZERO,
        ),
    )
