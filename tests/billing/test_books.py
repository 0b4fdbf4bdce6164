"""By which book, as whom, in which currency and with which tax a tenant pays."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.actions import books, drafts, invoices, ledger, prices
from billing.actions.bookings import proven_total
from billing.models import AccountKind, BillingTerm, Charge, Invoice, PriceBook, TaxRule, TenantClass
from billing.policy import policy
from portal.audit import SYSTEM
from portal.errors import Conflict, Invalid
from tests.billing.invoicing import draft, issue, lines, meter
from tests.billing.rows import Estate, at

pytestmark = pytest.mark.django_db
LONG_AGO = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


def book(slug: str = "partners", currency: str = "CNY") -> PriceBook:
    return books.create(by=SYSTEM, slug=slug, name=slug.title(), currency=currency)


def price(estate: Estate, by_book: PriceBook, unit_price: str, **more: Any) -> None:
    prices.set_price(
        by=SYSTEM, flavor=estate.flavor, unit_price=Decimal(unit_price), currency=by_book.currency, book=by_book,
        valid_from=LONG_AGO, terms=prices.Terms(**more),
    )  # fmt: skip


def terms(estate: Estate, by_book: PriceBook, **more: Any) -> BillingTerm:
    more.setdefault("valid_from", LONG_AGO)
    return books.set_terms(by=SYSTEM, tenant=estate.tenant, book=by_book, **more)


def charged(estate: Estate) -> list[tuple[str, Decimal | None, Decimal | None]]:
    rows = Charge.objects.live().filter(tenant_id=estate.tenant.pk).order_by("period_start", "id")
    return [(c.tenant_class, c.contracted_unit_price, c.list_unit_price) for c in rows]


def test_a_tenant_pays_by_its_book_and_class() -> None:
    estate = Estate()
    estate.price("10")
    shared = book()
    price(estate, shared, "9")
    price(estate, shared, "6", tenant_class="internal")
    terms(estate, shared, tenant_class=TenantClass.INTERNAL)
    estate.ended(at(0), at(60))
    draft(estate)
    assert charged(estate) == [("internal", Decimal(6), Decimal(9))]


def test_site_mode_and_service_class_have_prices_of_their_own() -> None:
    estate = Estate()
    own = book()
    for unit_price, more in (
        ("10", {}), ("8", {"site": estate.site.slug}), ("5", {"site": estate.site.slug, "slicing_mode": "exclusive"}),
        ("2", {"site": estate.site.slug, "service_class": "over-quota"}),
    ):  # fmt: skip
        price(estate, own, unit_price, **more)
    terms(estate, own)
    quota = estate.tenant.quotas.get()
    estate.ended(at(0), at(60))
    estate.ended(at(60), at(120), device=0)
    type(quota).objects.filter(pk=quota.pk).update(nominal_milli=500, borrowing_limit_milli=5000)
    estate.ended(at(120), at(180))
    draft(estate)
    assert [unit_price for _, unit_price, _ in charged(estate)] == [8, 5, 2]
    assert {c.sku for c in Charge.objects.all()} == {
        f"{estate.flavor.name}/accelerator", f"{estate.flavor.name}/accelerator/exclusive",
        f"{estate.flavor.name}/accelerator/over-quota",
    }  # fmt: skip


def test_an_invoice_is_in_the_currency_of_the_book() -> None:
    estate, other = Estate(), Estate()
    dollars = book("dollars", "USD")
    price(estate, dollars, "1.5")
    terms(estate, dollars)
    other.price("10")
    for each in (estate, other):
        each.ended(at(0), at(60))
    assert (issue(estate).currency, issue(other).currency) == ("USD", "CNY")
    assert {c.currency for c in Charge.objects.filter(tenant_id=estate.tenant.pk)} == {"USD"}
    assert ledger.balance(AccountKind.RECEIVABLE, "USD") == Decimal("1.5")
    assert ledger.balance(AccountKind.RECEIVABLE, "CNY") == 10


def test_a_book_of_another_currency_in_the_middle_of_a_month_makes_two_invoices() -> None:
    estate = Estate()
    estate.price("10")
    dollars = book("dollars", "USD")
    price(estate, dollars, "1.5")
    estate.ended(at(0), at(60))
    meter()
    soon = timezone.now().replace(microsecond=0) + timedelta(hours=1)
    terms(estate, dollars, valid_from=soon)
    estate.ended(soon, soon + timedelta(minutes=30))
    meter()
    drafts.refresh(tenant_id=estate.tenant.pk, policy=policy())
    assert sorted((i.currency, i.total) for i in Invoice.objects.all()) == [("CNY", 10), ("USD", Decimal("0.75"))]


def test_terms_do_not_reach_back_over_usage() -> None:
    estate = Estate()
    shared = book()
    estate.ended(at(0), at(60))
    meter()
    with pytest.raises(Conflict, match="now or later"):
        terms(estate, shared, valid_from=at(30))
    terms(estate, shared, valid_from=at(60))
    with pytest.raises(Conflict, match="very moment"):
        terms(estate, shared, valid_from=at(60))
    with pytest.raises(Invalid):
        terms(estate, shared, valid_from=at(90, milliseconds=1))
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        BillingTerm.objects.update(tenant_class="internal")


def test_a_book_is_made_once() -> None:
    book()
    with pytest.raises(Conflict, match="already"):
        book()


def taxed(rate: str = "0.06") -> Estate:
    estate = Estate()
    estate.price("10")
    books.set_tax(by=SYSTEM, book=prices.default_book("CNY"), name="VAT", rate=Decimal(rate), valid_from=LONG_AGO)
    return estate


def test_tax_is_of_the_exact_sum_and_rounded_by_itself() -> None:
    estate = taxed()
    estate.ended(at(0), at(0, seconds=7))
    estate.ended(at(0), at(60))
    invoice = issue(estate)
    net = Decimal("10.01944444")
    assert [(n.category, n.cost) for n in invoice.lines.order_by("position")] == [
        ("usage", net), ("tax", Decimal("0.60")), ("adjustment", Decimal("10.62") - net - Decimal("0.60"))
    ]  # fmt: skip
    assert invoice.total == Decimal("10.62") == proven_total(invoice)
    assert ledger.balance(AccountKind.TAX, "CNY") == Decimal("-0.60")
    charge = Charge.objects.get(category="tax")
    assert (charge.tax_rule_id, charge.quantity, charge.sku) == (TaxRule.objects.get().pk, None, "")
    invoices.cancel(by=SYSTEM, invoice=invoice)
    note = invoice.credit_note
    assert [(n.category, n.cost) for n in note.lines.order_by("position")][1] == ("tax", Decimal("-0.60"))
    assert proven_total(note) == -invoice.total
    assert ledger.balance(AccountKind.TAX, "CNY") == 0
    assert list(ledger.verify()) == []


def test_what_is_corrected_carries_its_own_tax() -> None:
    estate = taxed("0.13")
    run = estate.ended(at(0), at(60))
    first = issue(estate)
    type(run).objects.filter(pk=run.pk).update(ended_at=at(30))
    second = issue(estate)
    assert (first.total, second.total) == (Decimal("11.30"), Decimal("-5.65"))
    assert ledger.balance(AccountKind.TAX, "CNY") == Decimal("-0.65")


def test_who_is_not_taxed_pays_none() -> None:
    estate = taxed()
    terms(estate, prices.default_book("CNY"), is_taxed=False)
    estate.ended(at(0), at(60))
    assert [n[0] for n in lines(issue(estate))] == ["Vision"]


def test_a_tax_ends_where_the_next_begins() -> None:
    estate = taxed()
    estate.ended(at(0), at(60))
    issue(estate)
    default = prices.default_book("CNY")
    with pytest.raises(Conflict, match="was asked for"):
        books.set_tax(by=SYSTEM, book=default, name="VAT", rate=Decimal("0.1"), valid_from=at(0))
    later = books.set_tax(
        by=SYSTEM, book=default, name="VAT", rate=Decimal("0.09"), valid_from=datetime(2027, 1, 1, tzinfo=at(0).tzinfo)
    )
    assert TaxRule.objects.get(rate=Decimal("0.06")).valid_to == later.valid_from
    with pytest.raises(Conflict, match="planned already"):
        books.set_tax(by=SYSTEM, book=default, name="VAT", rate=Decimal("0.1"))
    for act in (lambda: TaxRule.objects.update(rate=1), lambda: TaxRule.objects.all().delete()):
        with pytest.raises(IntegrityError), transaction.atomic():
            act()
