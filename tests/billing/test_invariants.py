"""Invariants of billing that only a database can show, on months of many tenants; see docs/billing-invariants.md.

A case is a run of somebody: each example has many, of tenants of all kinds.
"""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.models import F, Sum
from django.db.models.functions import TruncHour
from hypothesis import strategies as st

from billing.actions import commitments, drafts, invoices, ledger
from billing.actions.bookings import proven_total
from billing.exports.ledger.snapshots import FOCUS_1_2
from billing.models import (
    AccountKind,
    BillingTerm,
    Charge,
    Invoice,
    InvoicedCharge,
    InvoiceLine,
    LedgerEntry,
    PriceBook,
    PriceVersion,
    TaxRule,
    TenantClass,
    UsageRecord,
)
from billing.policy import policy
from billing.rating import RULE_VERSION, ZERO, payable_of, product, tax_of, total_of
from portal.audit import SYSTEM
from portal.models import Project, Tenant
from tests.billing.cases import holds_for
from tests.billing.crowd import LONG_AGO, SITES, Crowd, Run, write
from tests.billing.exporting import month, rows_of
from tests.billing.rows import NOVEMBER
from tests.billing.test_ledger import commit

pytestmark = pytest.mark.django_db
seeds = st.integers(0, 2**48)
_AMOUNTS = ("milli_seconds", "quantity", "list_cost", "contracted_cost", "billed_cost", "effective_cost")
_CURRENCIES = ("CNY", "USD")
SIX_HOURS = timedelta(hours=6)


def issued(tenants: list[Tenant]) -> list[Invoice]:
    """What each owes for the month, in each currency."""
    found = []
    for tenant in tenants:
        drafts.catch_up(tenant_id=tenant.pk, policy=policy(), until=NOVEMBER.end, period=NOVEMBER)
        for currency in _CURRENCIES:
            draft = drafts.rebuild(SYSTEM, tenant.pk, NOVEMBER, policy(), currency)
            if draft is not None:
                found.append(invoices.issue(by=SYSTEM, invoice=draft, policy=policy()))
    return found


def mine(crowd: Crowd) -> Any:
    return Charge.objects.filter(tenant_id__in=[t.pk for t in crowd.tenants])


def reconciles(crowd: Crowd, asked: list[Invoice]) -> None:
    """1: the ledger, its charges, lines, totals and the rows of an export agree to the last digit."""
    billed: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for row in rows_of(FOCUS_1_2, month())["CostAndUsage"]:
        billed[str(row["InvoiceId"])] += Decimal(str(row["BilledCost"]))
    owed: Counter[Any] = Counter()
    for invoice in asked:
        assert invoice.total == total_of(invoice.lines.values_list("cost", flat=True)) == proven_total(invoice)
        assert billed[str(invoice.number)] == invoice.total
        owed[invoice.tenant_id, invoice.currency] += invoice.total
    for tenant in crowd.tenants:
        for currency in _CURRENCIES:
            due = ledger.balance(AccountKind.RECEIVABLE, currency, tenant_id=tenant.pk)
            assert due == owed[tenant.pk, currency]
            assert ledger.balance(AccountKind.UNBILLED, currency, tenant_id=tenant.pk) == ZERO
            live = mine(crowd).filter(tenant_id=tenant.pk, currency=currency)
            assert total_of(live.values_list("billed_cost", flat=True)) == due


def seconds_add_up(crowd: Crowd, runs: list[Run]) -> None:
    """2: what is charged is what ran, by site, project and flavor; slices leave no gap and do not overlap."""
    expected: Counter[Any] = Counter()
    for run in runs:
        expected[run.site, run.project.pk, run.flavor.pk] += run.seconds * run.held_milli
    rows = mine(crowd).filter(category="usage").order_by().values_list("site", "project_id", "flavor_id")
    assert {tuple(key): amount for *key, amount in rows.annotate(Sum("milli_seconds"))} == expected
    slices: dict[Any, set[tuple[Any, Any]]] = defaultdict(set)
    for charge in mine(crowd).live().filter(category="usage"):
        slices[charge.allocation_id].add((charge.period_start, charge.period_end))
    for run in runs:
        found = sorted(slices[run.id])
        assert found[0][0] == run.start
        assert (found[-1][1] - run.start).total_seconds() == run.seconds
        assert all(a[1] == b[0] for a, b in pairwise(found))


def products_are_exact(crowd: Crowd) -> None:
    """7: for the list and for what was agreed."""
    for charge in mine(crowd).filter(category="usage"):
        quantity = charge.quantity or ZERO
        for price, cost in (
            (charge.list_unit_price, charge.list_cost), (charge.contracted_unit_price, charge.contracted_cost)
        ):  # fmt: skip
            assert cost == (ZERO if price is None else product(quantity, price))


def sums_to_nothing() -> None:
    """5: each transaction, in each currency."""
    sums = LedgerEntry.objects.order_by().values("transaction", "currency").annotate(sum=Sum("amount"))
    assert not sums.exclude(sum=0).exists()


def taxes_are_right(asked: list[Invoice]) -> None:
    """16, 17: from the exact base, rounded once; gross = net + tax; all in one currency."""
    rates = TaxRule.objects.in_bulk()
    for invoice in asked:
        lines = list(invoice.lines.order_by("position"))
        of: dict[str, list[Decimal]] = defaultdict(list)
        for line in lines:
            of[line.category].append(line.cost)
        base, tax = total_of(of["usage"]), total_of(of["tax"])
        assert all(n.cost == tax_of(base, rates[n.price_id].rate) for n in lines if n.category == "tax")
        assert invoice.total == payable_of(base + tax) == base + tax + total_of(of["adjustment"])
        assert {line.currency for line in lines} == {invoice.currency}
        behind = Charge.objects.filter(invoiced__invoice=invoice).order_by().values_list("currency", flat=True)
        assert set(behind.distinct()) == {invoice.currency}


def resolves(crowd: Crowd, runs: list[Run]) -> None:
    """22: to events, price and rules; and who posted it."""
    events = {run.id: run.event for run in runs}
    records = UsageRecord.objects.in_bulk()
    prices = PriceVersion.objects.in_bulk()
    for charge in mine(crowd).filter(category="usage").select_related("transaction"):
        (record,) = (records[pk] for pk in charge.usage_record_ids)
        assert record.event_ids == [events[record.allocation_id]]
        assert record.start_at <= charge.period_start < charge.period_end <= record.end_at
        assert charge.rule_version == RULE_VERSION
        assert charge.transaction.by == SYSTEM.actor_name
        if charge.contracted_unit_price is not None and not charge.tier:
            assert prices[charge.price_version_id].unit_price == charge.contracted_unit_price
            assert prices[charge.price_version_id].currency == charge.currency


def is_reversed(crowd: Crowd, asked: list[Invoice]) -> None:
    """6: what an invoice posted and its credit note are nothing together, in every column; its tax is its own."""
    for invoice in asked:
        invoices.cancel(by=SYSTEM, invoice=invoice)
        note = invoice.credit_note
        assert note.total == proven_total(note) == -invoice.total
        tax = [total_of(n.lines.filter(category="tax").values_list("cost", flat=True)) for n in (invoice, note)]
        assert tax[0] == -tax[1]
        behind = InvoicedCharge.objects.filter(invoice__in=[invoice, note])
        own = Charge.objects.filter(transaction__in=[invoice.posted_in, note.posted_in])
        for column in _AMOUNTS:
            assert not behind.aggregate(sum=Sum(F("sign") * F(f"charge__{column}")))["sum"]
            assert not own.aggregate(sum=Sum(column))["sum"]
        assert not InvoiceLine.objects.filter(invoice__in=[invoice, note]).aggregate(sum=Sum("cost"))["sum"]
    for tenant in crowd.tenants:
        for currency in _CURRENCIES:
            assert ledger.balance(AccountKind.RECEIVABLE, currency, tenant_id=tenant.pk) == ZERO


@holds_for(seeds, cases=5, at_length=25, is_shrunk=False)
def test_months_reconcile_and_are_taken_back(seed: int) -> None:
    """400 runs of 10 tenants in each: 2,000 in CI, 10,000 at length."""
    random = Random(seed)
    with transaction.atomic():
        crowd = Crowd(random, 10)
        runs = [crowd.run(tenant) for tenant in crowd.tenants for _ in range(40)]
        write([record for run in runs for record in run.records()])
        asked = issued(crowd.tenants)
        commit()
        reconciles(crowd, asked)
        seconds_add_up(crowd, runs)
        products_are_exact(crowd)
        sums_to_nothing()
        taxes_are_right(asked)
        resolves(crowd, runs)
        assert list(ledger.verify()) == []
        is_reversed(crowd, asked)
        commit()
        sums_to_nothing()
        again = issued(crowd.tenants)
        assert [(n.tenant_id, n.currency, n.total) for n in again] == [
            (n.tenant_id, n.currency, n.total) for n in asked
        ]
        assert list(ledger.verify()) == []
        transaction.set_rollback(True)
    assert connection.in_atomic_block


def told(tenant: Tenant, price_of: dict[Any, str]) -> dict[str, Any]:
    """What a tenant's ledger says in the end, however it came to it."""
    found = Charge.objects.filter(tenant_id=tenant.pk).exclude(category="purchase").order_by()
    whole = found.values_list("price_version_id", "currency").annotate(Sum("milli_seconds"))
    rows = found.values_list("price_version_id", "tier", "billing_period_start", "currency").annotate(
        *(Sum(name) for name in ("quantity", "billed_cost", "effective_cost"))
    )
    # Which tier has the thousandth of a second that lies on its edge depends on how usage is cut; their sum does not.
    return {
        "seconds": sorted((price_of.get(price, str(price)), *rest) for price, *rest in whole if rest[-1]),
        "rows": sorted((price_of.get(price, str(price)), *map(str, rest)) for price, *rest in rows if any(rest[-3:])),
        "unbilled": [ledger.balance(AccountKind.UNBILLED, c, tenant_id=tenant.pk) for c in _CURRENCIES],
        "reserved": [ledger.balance(AccountKind.COMMITMENT, c, tenant_id=tenant.pk) for c in _CURRENCIES],
    }


@holds_for(seeds, cases=6, at_length=30, is_shrunk=False)
def test_neither_order_nor_repeats_change_what_a_ledger_comes_to(seed: int) -> None:
    """4 pairs of tenants with 84 runs each: 2,016 in CI, 10,080 at length. One of a pair is charged at once, the other
    bit by bit, in any order, with drafts between; there are tiers and reservations.
    """
    random = Random(seed)
    with transaction.atomic():
        crowd = Crowd(random, 8, is_tiered=True, has_terms=False)
        for one, other in pairs(crowd):
            book, tenant_class = random.choice(list(PriceBook.objects.all())), random.choice(list(TenantClass))
            for tenant in (one, other):
                BillingTerm.objects.create(tenant=tenant, book=book, tenant_class=tenant_class, valid_from=LONG_AGO)
            price_of = {}
            for site in random.sample(["", *SITES], random.randrange(1, 3)):
                flavor, held, price = random.choice(crowd.flavors), random.randrange(1, 3000), random.randrange(10**7)
                for tenant in (one, other):
                    bought = commitments.buy(
                        by=SYSTEM, tenant=tenant, flavor=flavor, held_milli=held, site=site, currency=book.currency,
                        unit_price=Decimal(price).scaleb(-6), start=NOVEMBER.start, end=NOVEMBER.start + SIX_HOURS,
                    )  # fmt: skip
                    price_of[bought.pk] = f"reserved {site}"
            runs = [crowd.run(one, longest=9000, within=25_000) for _ in range(84)]
            its_own = dict(zip(crowd.projects[one.pk], crowd.projects[other.pk], strict=True))
            again = [twin(run, other, its_own[run.project]) for run in runs]
            write([record for run in runs for record in run.records()])
            caught_up(one)
            records = [record for run in again for record in run.records()]
            random.shuffle(records)
            while records:
                count = random.randrange(1, 100)
                write(records[:count])
                del records[:count]
                for _ in range(random.randrange(3)):
                    caught_up(other)
            caught_up(other)
            assert told(one, price_of) == told(other, price_of)
            for tenant in (one, other):
                is_spread(tenant)
        commit()
        sums_to_nothing()
        assert list(ledger.verify()) == []
        transaction.set_rollback(True)


def is_spread(tenant: Tenant) -> None:
    """11: what reservations cost is what they covered and what nobody used, and no hour covers more than it has."""
    for bought in tenant.commitments.all():
        hours = Charge.objects.filter(commitment_id=bought.pk, category="usage").order_by()
        paid = Charge.objects.filter(commitment_id=bought.pk, category="purchase").values_list("billed_cost", flat=True)
        assert total_of(paid) == total_of(hours.values_list("effective_cost", flat=True)) > ZERO
        reserved = Decimal(bought.held_milli) / 1000
        whole = hours.annotate(hour=TruncHour("period_start")).values_list("hour").annotate(Sum("quantity"))
        assert len(whole) == SIX_HOURS // timedelta(hours=1)
        assert all(quantity == reserved for _, quantity in whole)
        covered = hours.filter(meter="accelerator").annotate(hour=TruncHour("period_start")).values_list("hour")
        assert all(quantity <= reserved for _, quantity in covered.annotate(Sum("quantity")))


def pairs(crowd: Crowd) -> list[tuple[Tenant, Tenant]]:
    return list(zip(crowd.tenants[::2], crowd.tenants[1::2], strict=True))


def twin(run: Run, tenant: Tenant, project: Project) -> Run:
    """The same of another tenant; of two runs the one that was granted first is so here too."""
    return replace(run, tenant=tenant, project=project, id=UUID(int=run.id.int ^ 1))


def caught_up(tenant: Tenant) -> None:
    drafts.catch_up(tenant_id=tenant.pk, policy=policy(), until=NOVEMBER.end, period=NOVEMBER)
