"""The same rating on columns: millions of records at once, in whole numbers, to the same last digit.

Quantities are counted in units of 1e-9 and prices in 1e-6, so a cost counts 1e-15: more than 64 bits hold. It is kept
as two numbers, `whole` (whole hours x price, in 1e-6) and `part` (the rest of the hour x price, in 1e-15), and added
up as three. A price may be 9,223 at most, and what goes beyond is refused; `charges.rate_record` has no such bound.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from billing.rating.kinds import TierMode, TierScope
from billing.rating.prices import Asked, Prices, PriceWindow, tiers_of

I64 = npt.NDArray[np.int64]
NANO, MICRO, COST = 10**9, 10**6, 10**15
_SPAN = 1 << 36  # seconds that one key of the price table has room for
_MOST_PRICE = (2**63 - 1) // NANO
_LONGEST = (2**63 - 1) // 5000  # milli-seconds of one record


@dataclass(frozen=True, slots=True)
class Records:
    """Records of usage, a column each. `sku` and `payer` are indexes into those of the sheet."""

    tenant: I64
    sku: I64
    start: I64  # seconds since 1970
    seconds: I64
    held_milli: I64

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: Any) -> "Records":
        return Records(self.tenant[rows], self.sku[rows], self.start[rows], self.seconds[rows], self.held_milli[rows])


@dataclass(frozen=True, slots=True)
class RatedColumns:
    """Pieces of records, each at one price and tier. `version` -1: no price, and no cost."""

    record: I64
    start: I64
    milli_seconds: I64
    quantity: I64
    version: I64
    tier: I64
    whole: I64
    part: I64

    def __len__(self) -> int:
        return len(self.record)

    def cost(self, row: int) -> Decimal:
        return _decimal(int(self.whole[row]) * NANO + int(self.part[row]))


class Sheet:
    """Prices in columns: for each kind of payer and SKU the stretches of time in which one version holds.

    Tenants that pay alike are one kind; who has an agreement is one of its own.
    """

    def __init__(self, payers: Sequence[tuple[str, Prices]], skus: Sequence[Asked]) -> None:
        self.skus, self.versions = len(skus), list[PriceWindow]()
        numbers: dict[PriceWindow, int] = {}
        begins, holds = list[int](), list[int]()
        for payer, (tenant_class, prices) in enumerate(payers):
            for sku, asked in enumerate(skus):
                what = Asked(
                    asked.flavor_id, asked.meter, tenant_class, asked.site, asked.slicing_mode, asked.service_class
                )
                key = (payer * self.skus + sku) * _SPAN
                for at, price in _stretches(prices, what):
                    begins.append(key + at)
                    holds.append(-1 if price is None else numbers.setdefault(price, len(numbers)))
        self.versions = list(numbers)
        self._begins = np.array([*begins, len(payers) * self.skus * _SPAN], dtype=np.int64)
        self._holds = np.array([*holds, -1], dtype=np.int64)
        if any(_micro(tier.unit_price) > _MOST_PRICE for price in self.versions for tier in tiers_of(price)):
            raise ValueError("A price is too high for columns.")
        self._prices = np.array([*(_micro(price.unit_price) for price in self.versions), 0], dtype=np.int64)
        self._tiered = np.array([*(price.tier_mode is not None for price in self.versions), False])
        if any(p.tier_mode is not None and p.tier_scope is not TierScope.TENANT for p in self.versions):
            raise ValueError("In columns, tiers are of the tenant's month.")

    def rate(self, records: Records, payers: I64, months: Sequence[int]) -> RatedColumns:
        """All records of some tenants, which is what their tiers are counted in. `payers` is by tenant; `months` are
        the instants at which months begin, the first before all records.
        """
        if len(records) and int((records.seconds * records.held_milli).max()) > _LONGEST:
            raise ValueError("A record is too long for columns.")
        keys = (payers[records.tenant] * self.skus + records.sku) * _SPAN
        edges = np.array([*months, _SPAN], dtype=np.int64)
        rows, done = np.arange(len(records), dtype=np.int64), np.zeros(len(records), dtype=np.int64)
        pieces: list[tuple[I64, ...]] = []
        while len(rows):
            at = records.start[rows] + done
            stretch = np.searchsorted(self._begins, keys[rows] + at, side="right") - 1
            month = np.searchsorted(edges, at, side="right") - 1
            until = np.minimum(self._begins[stretch + 1] - keys[rows], edges[month + 1])
            stop = np.minimum(until - records.start[rows], records.seconds[rows])
            held = records.held_milli[rows]
            quantity = _quantity(stop * held) - _quantity(done * held)
            pieces.append((rows, at, (stop - done) * held, quantity, self._holds[stretch], month))
            left = stop < records.seconds[rows]
            rows, done = rows[left], stop[left]
        record, start, consumed, quantity, version, month = _joined(pieces)
        tier = np.zeros(len(record), dtype=np.int64)
        price = np.where(version >= 0, self._prices[version], 0)
        tiered = self._tiered[version]
        if not tiered.any():
            return _costed(record, start, consumed, quantity, version, tier, price)
        plain = ~tiered
        columns = (record, start, consumed, quantity, version)
        return _costed(
            *(
                np.concatenate(both)
                for both in zip(
                    (*_rows(columns, plain), tier[plain], price[plain]),
                    self._in_tiers(_rows(columns, tiered), records, month[tiered]),
                    strict=True,
                )
            )
        )

    def _in_tiers(self, columns: tuple[I64, ...], records: Records, month: I64) -> tuple[I64, ...]:
        """Cut at tiers what comes to more than one, records in order of time within a tenant's month at one price."""
        record, start, _, _, version = columns
        tenant = records.tenant[record]
        order = np.lexsort((start, record, records.start[record], month, version, tenant))
        record, start, consumed, quantity, version = _rows(columns, order)
        tenant, month = tenant[order], month[order]
        is_first = np.ones(len(record), dtype=bool)
        is_first[1:] = (np.diff(tenant) != 0) | (np.diff(version) != 0) | (np.diff(month) != 0)
        begins = np.flatnonzero(is_first)
        sums = np.cumsum(quantity)
        after = sums - np.repeat((sums - quantity)[begins], np.diff([*begins, len(record)]))
        before = after - quantity
        found: list[tuple[I64, ...]] = []
        for number in np.unique(version):
            mine = version == number
            price, tiers = self.versions[int(number)], tiers_of(self.versions[int(number)])
            starts = [_nano(tier.start) for tier in tiers]
            if price.tier_mode is TierMode.VOLUME:
                ends = np.repeat(after[np.append(begins[1:], len(record)) - 1], np.diff([*begins, len(record)]))[mine]
                tier = np.searchsorted(np.array(starts[1:], dtype=np.int64), ends, side="right")
                prices = np.array([_micro(t.unit_price) for t in tiers], dtype=np.int64)[tier]
                found.append((record[mine], start[mine], consumed[mine], quantity[mine], version[mine], tier, prices))
                continue
            given = np.zeros(int(mine.sum()), dtype=np.int64)
            for tier_number, (low, high) in enumerate(zip(starts, [*starts[1:], 2**62], strict=True)):
                taken = np.minimum(after[mine], high) - np.maximum(before[mine], low)
                some = taken > 0
                is_last = after[mine] <= high
                shares = np.where(is_last, consumed[mine] - given, _share(consumed[mine], taken, quantity[mine]))
                given = given + np.where(some, shares, 0)
                size = int(some.sum())
                found.append(
                    (
                        record[mine][some], start[mine][some], shares[some], taken[some], version[mine][some],
                        np.full(size, tier_number, dtype=np.int64),
                        np.full(size, _micro(tiers[tier_number].unit_price), dtype=np.int64),
                    )
                )  # fmt: skip
        return _joined(found)


def totals(rated: RatedColumns, tenant: I64) -> dict[int, Decimal]:
    """What each tenant comes to, exactly. `tenant` is by record."""
    whose = tenant[rated.record]
    order = np.argsort(whose, kind="stable")
    whose = whose[order]
    if not len(whose):
        return {}
    begins = np.flatnonzero(np.append(True, np.diff(whose) != 0))
    whole, part = rated.whole[order], rated.part[order]
    sums = [np.add.reduceat(column, begins) for column in (whole, part // NANO, part % NANO)]
    return {
        int(payer): _decimal((int(a) + int(b)) * NANO + int(c))
        for payer, a, b, c in zip(whose[begins], *sums, strict=True)
    }


def by_tenants(records: Records, most: int = 1_000_000) -> Iterator[Records]:
    """In parts of about so many, each with all records of its tenants, in the order in which they came."""
    if not len(records):
        return
    kind: Any = np.uint16 if int(records.tenant.max()) < 1 << 16 else np.int64  # small numbers are sorted by digits
    order = np.argsort(records.tenant.astype(kind), kind="stable")
    ends = np.cumsum(np.bincount(records.tenant))
    at = 0
    while at < len(records):
        last = int(np.searchsorted(ends, at + most, side="right")) - 1
        end = int(ends[last]) if last >= 0 and ends[last] > at else int(ends[np.searchsorted(ends, at, side="right")])
        yield records.take(order[at:end])
        at = end


def digest(rated: RatedColumns) -> bytes:
    """Equal for equal lines, whatever order they were rated in."""
    order = np.lexsort((rated.tier, rated.start, rated.record))
    found = sha256()
    for name in ("record", "start", "milli_seconds", "quantity", "version", "tier", "whole", "part"):
        found.update(np.ascontiguousarray(getattr(rated, name)[order]).tobytes())
    return found.digest()


def _stretches(prices: Prices, what: Asked) -> Iterator[tuple[int, PriceWindow | None]]:
    """From which second on which price holds; the first from the beginning of time."""
    instants = {at for w in prices.windows if w.fits(what) for at in (w.valid_from, w.valid_to) if at is not None}
    yield 0, None
    for at in sorted(instants):
        yield _second(at), prices.at(what, at)


def _second(at: datetime) -> int:
    return int(at.timestamp())


def _quantity(milli_seconds: I64) -> I64:
    """Hours in 1e-9: 2500/9 of each, to the nearest. No half ever occurs (see money.quantity_of)."""
    return np.asarray((milli_seconds * 5000 + 9) // 18, dtype=np.int64)


def _share(consumed: I64, taken: I64, quantity: I64) -> I64:
    """`consumed` in the proportion taken / quantity, cut to whole numbers, without going beyond 64 bits."""
    high, low = np.divmod(consumed, quantity)
    return np.asarray(high * taken + _scaled(low, taken, quantity), dtype=np.int64)


def _scaled(low: I64, taken: I64, quantity: I64) -> I64:
    is_safe = (low == 0) | (taken <= (2**63 - 1) // np.maximum(low, 1))
    found = np.where(is_safe, low * np.where(is_safe, taken, 0) // quantity, 0)
    for row in np.flatnonzero(~is_safe):
        found[row] = int(low[row]) * int(taken[row]) // int(quantity[row])
    return np.asarray(found, dtype=np.int64)


def _rows(columns: tuple[I64, ...], which: Any) -> tuple[I64, ...]:
    return tuple(column[which] for column in columns)


def _joined(pieces: Sequence[tuple[I64, ...]]) -> tuple[I64, ...]:
    if len(pieces) == 1:
        return pieces[0]
    return tuple(np.concatenate(column) for column in zip(*pieces, strict=True))


def _costed(*columns: Any) -> RatedColumns:
    record, start, consumed, quantity, version, tier, price = columns
    hours, rest = np.divmod(quantity, NANO)
    return RatedColumns(record, start, consumed, quantity, version, tier, hours * price, rest * price)


def _micro(amount: Decimal) -> int:
    return int(amount * MICRO)


def _nano(amount: Decimal) -> int:
    return int(amount * NANO)


def _decimal(scaled: int) -> Decimal:
    return Decimal(scaled).scaleb(-15)
