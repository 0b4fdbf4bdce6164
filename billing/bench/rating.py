"""Rates very many usage records in columns, as often as asked, and compares some with the rating one by one.

    manage.py bench rating --events 10000000 --tenants 5000 --skus 200 --replay 2 --json

Records are of one month at prices that change within it: a third of the SKUs has graduated tiers, one tenant in a
hundred an agreement of its own. No database.
"""

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from random import Random
from typing import Any
from uuid import UUID

import numpy as np

from billing.rating import Asked, Prices, PriceWindow, Tier, TierMode, edges_of, total_of
from billing.rating.charges import Metered, rate_record
from billing.rating.vector import I64, Records, Sheet, by_tenants, digest, totals
from federation.bench.figures import BenchError

HELP = "rate usage records in columns, exactly, and again"
MONTH = datetime(2026, 10, 1, tzinfo=UTC)
_DAYS = 31
_CLASSES = ("internal", "partner", "external")
_COMPARED = 20_000  # records, of whole tenants


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=1_000_000, help="usage records")
    parser.add_argument("--tenants", type=int, default=5000)
    parser.add_argument("--skus", type=int, default=200)
    parser.add_argument("--replay", type=int, default=2, help="how often all of them are rated")
    parser.add_argument("--seed", type=int, default=1)


def run(options: dict[str, Any]) -> dict[str, Any]:
    events, tenants, skus, replay = (int(options[name]) for name in ("events", "tenants", "skus", "replay"))
    if min(events, tenants, skus, replay) < 1:
        raise BenchError("There has to be one of each at least.")
    began = time.perf_counter()
    asked, payers, payer_of = prices(tenants, skus, Random(options["seed"]))
    records = drawn(events, tenants, skus, options["seed"])
    drawn_s = time.perf_counter() - began
    looks: list[tuple[float, Decimal, str]] = []
    for _ in range(replay):
        began = time.perf_counter()
        total, lines, sums = Decimal(0), 0, []
        found = sha256()
        sheet = Sheet(payers, asked)
        for part in by_tenants(records):
            rated = sheet.rate(part, payer_of, [_seconds(MONTH)])
            lines += len(rated)
            sums.append(total_of(totals(rated, part.tenant).values()))
            found.update(digest(rated))
        total = total_of(sums)
        looks.append((time.perf_counter() - began, total, found.hexdigest()))
    seconds = [look[0] for look in looks]
    return {
        "events": events,
        "tenants": tenants,
        "skus": skus,
        "lines": lines,
        "drawn_s": round(drawn_s, 2),
        "rated_s": [round(s, 2) for s in seconds],
        "events_per_s": round(events / max(seconds)),
        "total": str(looks[0][1]),
        "digest": looks[0][2],
        "is_same_each_time": len({look[1:] for look in looks}) == 1,
        "compared_one_by_one": compared(records, asked, payers, payer_of),
    }


def prices(tenants: int, skus: int, random: Random) -> tuple[list[Asked], list[tuple[str, Prices]], I64]:
    """SKUs, kinds of payers with their prices, and the kind of each tenant."""
    asked = [
        Asked(UUID(int=n + 1), site=f"site-{n % 7}", slicing_mode=("exclusive", "mig")[n % 2],
              service_class=("guaranteed", "over-quota")[n % 3 == 0])
        for n in range(skus)
    ]  # fmt: skip
    listed = [w for n, what in enumerate(asked) for w in _windows(n, what.flavor_id, random)]
    payers = [(name, Prices(listed)) for name in _CLASSES]
    kinds = [random.randrange(len(_CLASSES)) for _ in range(tenants)]
    for tenant in range(0, tenants, 100):
        own = [_window(9_000_000 + tenant, what.flavor_id, "7.25", 0, None, is_own=True) for what in asked[:3]]
        payers.append((_CLASSES[kinds[tenant]], Prices([*listed, *own])))
        kinds[tenant] = len(payers) - 1
    return asked, payers, np.array(kinds, dtype=np.int64)


def drawn(events: int, tenants: int, skus: int, seed: int) -> Records:
    """Records of up to an hour, cut at the hours, of a share of a card or of up to eight."""
    chance = np.random.default_rng(seed)
    begin = chance.integers(0, 3600, events)
    hour = chance.integers(0, _DAYS * 24, events)
    return Records(
        tenant=chance.integers(0, tenants, events),
        sku=chance.integers(0, skus, events),
        start=_seconds(MONTH) + hour * 3600 + begin,
        seconds=1 + (chance.random(events) * (3600 - begin)).astype(np.int64),
        held_milli=chance.choice(np.array([125, 250, 500, 1000, 2000, 8000]), events),
    )


def compared(records: Records, asked: Sequence[Asked], payers: Sequence[tuple[str, Prices]], payer_of: I64) -> int:
    """How many records of the first tenants came to the same in columns and one by one. BenchError if any did not."""
    done = 0
    sheet = Sheet(payers, asked)
    for tenant in range(len(payer_of)):
        part = records.take(np.flatnonzero(records.tenant == tenant))
        tenant_class, book = payers[int(payer_of[tenant])]
        one_by_one = total_of(r.cost for r in _singly(part, asked, tenant_class, book))
        if totals(sheet.rate(part, payer_of, [_seconds(MONTH)]), part.tenant).get(tenant, Decimal(0)) != one_by_one:
            raise BenchError(f"Tenant {tenant} comes to something else one by one: {one_by_one}.")
        done += len(part)
        if done >= _COMPARED:
            break
    return done


def _singly(part: Records, asked: Sequence[Asked], tenant_class: str, book: Prices) -> Any:
    edges = edges_of(book.windows, MONTH, MONTH + timedelta(days=_DAYS + 1))
    counters: dict[Any, Decimal] = {}
    for row in np.lexsort((np.arange(len(part)), part.start)):
        what = asked[int(part.sku[row])]
        start = datetime.fromtimestamp(int(part.start[row]), UTC)
        record = Metered(
            id=UUID(int=int(row)), tenant_id=UUID(int=1), project_id=UUID(int=2), user="", flavor_id=what.flavor_id,
            unit="device", site=what.site, slicing_mode=what.slicing_mode, service_class=what.service_class,
            start=start, end=start + timedelta(seconds=int(part.seconds[row])), held_milli=int(part.held_milli[row]),
        )  # fmt: skip
        yield from rate_record(record, book, tenant_class, edges, MONTH, counters)


def _windows(n: int, flavor: UUID, random: Random) -> list[PriceWindow]:
    """Three list prices after each other, and a lower one for those of the house; with tiers for each third SKU."""
    first, second = sorted(random.sample(range(1, _DAYS * 86_400), 2))
    found = []
    tiers: tuple[Tier, ...]
    for place, (begin, end) in enumerate([(0, first), (first, second), (second, None)]):
        price = str(Decimal(random.randrange(1, 40_000_000)).scaleb(-6))
        tiers = (
            (Tier(Decimal(20), Decimal(price) * 8 / 10), Tier(Decimal(60), Decimal(price) / 2)) if n % 3 == 0 else ()
        )
        tiers = tuple(Tier(t.start, t.unit_price.quantize(Decimal("0.000001"))) for t in tiers)
        found.append(_window(n * 10 + place, flavor, price, begin, end, tiers=tiers))
    found.append(_window(n * 10 + 5, flavor, "1.234567", 0, None, tenant_class="internal"))
    return found


def _window(number: int, flavor: UUID, price: str, begin: int, end: int | None, **more: Any) -> PriceWindow:
    is_own, tiers = bool(more.pop("is_own", False)), more.pop("tiers", ())
    return PriceWindow(
        UUID(int=number + 1), flavor, is_own, Decimal(price), MONTH + timedelta(seconds=begin),
        None if end is None else MONTH + timedelta(seconds=end), tiers=tiers,
        tier_mode=TierMode.GRADUATED if tiers else None, **more,
    )  # fmt: skip


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
