"""What an invoice asks for: usage at its prices, summed by item, less what was asked for before."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from billing.rating.money import ZERO, plus, product
from billing.rating.prices import PriceWindow


@dataclass(frozen=True, slots=True)
class Item:
    """What one line of an invoice is about."""

    project_id: UUID
    flavor_id: UUID
    site: str


@dataclass(frozen=True, slots=True)
class Names:
    """What people read on the line. Copies: a later renaming leaves old invoices alone."""

    project: str
    flavor: str
    unit: str


@dataclass(frozen=True, slots=True)
class Usage:
    """An amount of one item, used somewhere between two instants."""

    item: Item
    names: Names
    start: datetime
    end: datetime
    milli_seconds: int
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Line:
    """An item at one price. No price: not rated, cost 0, and shown all the same."""

    item: Item
    names: Names
    price_id: UUID | None
    unit_price: Decimal | None
    milli_seconds: int
    quantity: Decimal

    @property
    def cost(self) -> Decimal:
        return ZERO if self.unit_price is None else product(self.quantity, self.unit_price)


def cut(start: datetime, end: datetime, edges: Sequence[datetime]) -> Iterator[tuple[datetime, datetime, int]]:
    """The pieces of an interval between the first and the last of `edges`, each with its whole seconds."""
    start, end = max(start, edges[0]), min(end, edges[-1])
    while start < end:
        after = bisect_right(edges, start)
        stop = min(end, edges[after]) if after < len(edges) else end
        yield start, stop, (stop - start) // timedelta(seconds=1)
        start = stop


def rate(usage: Iterable[Usage], prices: Sequence[PriceWindow]) -> list[Line]:
    """Every amount at the price that held, summed by item and price. Nothing is dropped.

    Usage is cut at price edges before it comes here; ValueError when a price changes inside of it.
    """
    found: dict[tuple[Item, UUID | None], Line] = {}
    for used in usage:
        price = _price_at(prices, used.item.flavor_id, used.start)
        if price != _price_at(prices, used.item.flavor_id, used.end - timedelta(seconds=1)):
            raise ValueError(f"A price changes between {used.start} and {used.end}: cut the usage there.")
        line = Line(
            used.item,
            used.names,
            price.id if price else None,
            price.unit_price if price else None,
            used.milli_seconds,
            used.quantity,
        )
        _add(found, line)
    return _in_order(found.values())


def outstanding(worth: Iterable[Line], invoiced: Iterable[Line]) -> list[Line]:
    """What usage is worth less what was invoiced for it already: what the next invoice asks for.

    Usage that a site proved late comes out as more, usage it took back as less; a line that another
    price has replaced comes out as a pair.
    """
    found: dict[tuple[Item, UUID | None], Line] = {}
    for line in worth:
        _add(found, line)
    for line in invoiced:
        _add(found, replace(line, milli_seconds=-line.milli_seconds, quantity=-line.quantity))
    return _in_order(line for line in found.values() if line.milli_seconds or line.quantity)


def _price_at(prices: Sequence[PriceWindow], flavor_id: UUID, at: datetime) -> PriceWindow | None:
    holding = [p for p in prices if p.flavor_id == flavor_id and p.holds_at(at)]
    return max(holding, key=lambda p: p.is_own, default=None)


def _add(found: dict[tuple[Item, UUID | None], Line], line: Line) -> None:
    there = found.get((line.item, line.price_id))
    if there is not None:
        line = replace(
            there,
            milli_seconds=there.milli_seconds + line.milli_seconds,
            quantity=plus(there.quantity, line.quantity),
        )
    found[line.item, line.price_id] = line


def _in_order(lines: Iterable[Line]) -> list[Line]:
    return sorted(
        lines,
        key=lambda n: (
            n.names.project,
            n.names.flavor,
            n.item.site,
            str(n.item.project_id),
            str(n.item.flavor_id),
            n.price_id is None,
            str(n.price_id),
        ),
    )
