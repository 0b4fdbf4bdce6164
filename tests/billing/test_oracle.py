"""Thirty days of work as a site might tell of it, against a count of every second that is written otherwise.

The hub hears reports that are late, doubled, out of order or false, or nothing for hours. In between it meters and
charges at any time. Whatever came of that, in the end the charges are what the seconds were worth.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
from hypothesis import strategies as st

from billing.rating import Prices, PriceWindow, edges_of
from billing.rating.charges import Metered, Rated, rate_record
from billing.rating.money import QUANTITY_STEP
from billing.rating.timeline import Recorded, amend
from tests.billing.cases import holds_for

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 30
LENGTH = DAYS * 86_400
FLAVOR, TENANT = UUID(int=1), UUID(int=2)


def moment(second: int) -> datetime:
    return BEGIN + timedelta(seconds=second)


@dataclass(frozen=True)
class Report:
    """Received when, of what the site says has run by then; and whether it says that this was all."""

    received: int
    ran: int
    is_end: bool


@dataclass
class Run:
    """What the hub knows of one grant, by its rules: proof never falls, and what never began never ran."""

    number: int
    granted: int
    start: int
    held: int
    reports: list[Report]
    proven: int = 0
    ended: int | None = None
    records: dict[UUID, tuple[Recorded, int]] = field(default_factory=dict)  # with the sign of what it counts
    charged: list[tuple[int, Rated]] = field(default_factory=list)

    def hear(self, report: Report) -> None:
        ran = max(0, min(report.ran, report.received - self.start))
        self.proven = max(self.proven, ran)
        if report.is_end:
            self.ended = ran if self.ended is None else max(self.ended, ran)

    @property
    def seconds(self) -> int:
        """Until the proven end, or the last proof. What was seen at all ran for a second."""
        return max(1, self.proven if self.ended is None else self.ended)

    def meter(self, edges: list[datetime], fresh: Iterator[UUID]) -> None:
        start, end = moment(self.start), moment(self.start + self.seconds)
        known = [record for record, _ in self.records.values()]
        undone = {record.reverses for record in known}
        live = [record for record in known if record.reverses is None and record.id not in undone]
        is_tail = bool(live) and min(record.start for record in live) == start  # as billing.metering looks at it
        if is_tail:
            since = min(max(record.end for record in live) - timedelta(seconds=1), end)
            known = [record for record in known if record.end > since]
        change = amend(start, end, known, edges, is_tail=is_tail)
        for gone in change.gone:
            assert not self.records[gone][0].is_charged
            del self.records[gone]
        for was in change.reversed:
            pk = next(fresh)
            self.records[pk] = (Recorded(pk, was.start, was.end, False, was.revision, was.id), -1)
        places = {(r.start, r.revision): pk for pk, (r, _) in self.records.items() if r.reverses is None}
        for begins, ends, revision in change.added:
            pk = places.get((begins, revision)) or next(fresh)
            assert pk not in self.records or not self.records[pk][0].is_charged
            self.records[pk] = (Recorded(pk, begins, ends, False, revision, None), 1)

    def charge(self, prices: Prices, edges: list[datetime], until: int) -> None:
        for pk, (record, sign) in list(self.records.items()):
            if record.is_charged or record.end > moment(until):
                continue
            what = Metered(
                id=pk, tenant_id=TENANT, project_id=TENANT, user="", flavor_id=FLAVOR, unit="device", site="s",
                slicing_mode="", service_class="", start=record.start, end=record.end, held_milli=self.held,
            )  # fmt: skip
            self.charged += [(sign, rated) for rated in rate_record(what, prices, "", edges, BEGIN, {})]
            self.records[pk] = (
                Recorded(pk, record.start, record.end, True, record.revision, record.reverses), sign
            )  # fmt: skip


def told(random: Random) -> Run:
    """A run, and what is told of it."""
    granted = random.randrange(LENGTH - 7200)
    start = granted + random.randrange(300)
    length = min(random.choice([40, 900, 7200, 50_000, 400_000]), LENGTH - start - 600)
    length = random.randrange(1, max(2, length))
    silent_from = random.randrange(start, start + length + 1)
    silent_to = silent_from + random.choice([0, 0, 3600, 30_000])
    every = max(60, length // random.randrange(3, 25))
    reports = []
    for ran in range(0, length, every):
        now = start + ran + random.randrange(20)
        if silent_from <= now < silent_to and random.random() < 0.95:
            continue  # nobody heard it
        lie = random.choice([0] * 12 + [-30, 5000, 10**7])
        late = random.choice([0] * 6 + [600, 20_000])
        reports += [Report(now + late, max(0, ran + lie), False)] * random.choice([1, 1, 1, 2, 3])
    if random.random() < 0.8:
        end = Report(max(start + length, silent_to) + random.randrange(900), length, True)
        reports += [end] * random.choice([1, 1, 2])
        if random.random() < 0.2:  # it says otherwise later on
            reports.append(Report(end.received + 5000, random.randrange(2 * length), True))
    random.shuffle(reports)
    return Run(0, granted, start, random.choice([1, 125, 250, 333, 1000, 7000, 16_000]), reports)


def priced(random: Random) -> list[PriceWindow]:
    edges = sorted({0, *(random.randrange(1, LENGTH) for _ in range(random.randrange(6))), LENGTH + 10**6})
    found = []
    for n, (start, end) in enumerate(pairwise(edges)):
        if random.random() < 0.9:
            price = Decimal(random.randrange(10**8)).scaleb(-6)
            found.append(PriceWindow(UUID(int=n + 10), FLAVOR, False, price, moment(start), moment(end)))
    return found


def by_second(
    runs: list[Run], book: list[PriceWindow]
) -> tuple[dict[UUID | None, int], Fraction, np.ndarray[Any, Any]]:
    """Each second of the month at a time: what each price's amount is, what it is worth, and how much each hour has."""
    held = np.zeros(LENGTH, dtype=np.int64)
    for run in runs:
        heard_proof, heard_end = 0, None
        for report in run.reports:
            ran = max(0, min(report.ran, report.received - run.start))
            heard_proof = max(heard_proof, ran)
            if report.is_end:
                heard_end = ran if heard_end is None else max(heard_end, ran)
        last = heard_proof if heard_end is None else heard_end
        if run.reports:
            held[run.start : run.start + max(1, last)] += run.held
    price = np.full(LENGTH, -1, dtype=np.int64)
    for number, window in enumerate(book):
        begin = int((window.valid_from - BEGIN).total_seconds())
        end = int(((window.valid_to or moment(LENGTH)) - BEGIN).total_seconds())
        price[begin : min(end, LENGTH)] = number
    amounts: dict[UUID | None, int] = {}
    worth = Fraction(0)
    for number in range(-1, len(book)):
        amount = int(held[price == number].sum())
        if amount:
            amounts[book[number].id if number >= 0 else None] = amount
            if number >= 0:
                worth += Fraction(amount, 3_600_000) * Fraction(book[number].unit_price)
    return amounts, worth, held.reshape(-1, 3600).sum(axis=1)


@holds_for(st.integers(0, 2**48), cases=500, at_length=5000)
def test_charges_are_what_the_seconds_were_worth(seed: int) -> None:
    random = Random(seed)
    book = priced(random)
    prices, edges = Prices(book), edges_of(book, BEGIN, moment(LENGTH))
    fresh = (UUID(int=n) for n in range(1000, 10**9))
    runs = [told(random) for _ in range(random.randrange(1, 4))]
    for run in runs:
        for report in run.reports:  # in the order in which they come, which is any
            run.hear(report)
            if random.random() < 0.5:
                run.meter(edges, fresh)
                if random.random() < 0.4:
                    run.meter(edges, fresh)  # however often
            if random.random() < 0.3:
                run.charge(prices, edges, random.randrange(LENGTH))
        if run.reports:
            run.meter(edges, fresh)
        run.charge(prices, edges, LENGTH)
    amounts, worth, hours = by_second(runs, book)
    found: Counter[UUID | None] = Counter()
    in_hours = np.zeros(DAYS * 24, dtype=np.int64)
    cost, pieces = Fraction(0), 0
    for run in runs:
        for sign, rated in run.charged:
            found[rated.price.id if rated.price else None] += sign * rated.consumed
            in_hours[int((rated.start - BEGIN).total_seconds()) // 3600] += sign * rated.consumed
            cost += sign * Fraction(rated.cost)
            pieces += 1
    assert {key: amount for key, amount in found.items() if amount} == amounts
    assert (in_hours == hours).all()
    dearest = max((window.unit_price for window in book), default=Decimal(0))
    assert abs(cost - worth) <= pieces * Fraction(QUANTITY_STEP) * Fraction(dearest)


@holds_for(st.integers(0, 2**48))
def test_the_order_and_number_of_reports_do_not_matter(seed: int) -> None:
    """What is charged in the end is the same, whatever was metered and charged on the way."""
    random = Random(seed)
    run = told(random)
    if not run.reports:
        return
    outcomes = []
    for _ in range(3):
        fresh = (UUID(int=n) for n in range(1000, 10**9))
        again = Run(0, run.granted, run.start, run.held, [])
        reports = random.sample(run.reports, len(run.reports)) + random.choices(run.reports, k=random.randrange(4))
        random.shuffle(reports)
        for report in reports:
            again.hear(report)
            if random.random() < 0.4:
                again.meter([], fresh)
            if random.random() < 0.3:
                again.charge(Prices([]), [], random.randrange(LENGTH))
        again.meter([], fresh)
        again.charge(Prices([]), [], LENGTH)
        hours: Counter[int] = Counter()
        for sign, rated in again.charged:
            hours[int((rated.start - BEGIN).total_seconds()) // 3600] += sign * rated.consumed
        outcomes.append({hour: amount for hour, amount in hours.items() if amount})
    assert outcomes[0] == outcomes[1] == outcomes[2]
