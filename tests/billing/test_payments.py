"""Profiles, due dates, and what comes in for invoices."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from billing.actions import invoices, ledger, payments, profiles
from billing.models import AccountKind, Invoice, Payment
from billing.policy import policy
from portal.audit import SYSTEM
from portal.errors import Conflict, IllegalTransition, Invalid
from portal.models import AuditEntry
from tests.billing.invoicing import draft, issue
from tests.billing.rows import Estate, at

pytestmark = pytest.mark.django_db
USCC = "91110000600037341L"


def pay(invoice: Invoice, amount: str, reference: str = "B-1") -> Payment:
    return payments.receive(
        by=SYSTEM, invoice=invoice, amount=Decimal(amount), received_on=date(2026, 12, 1), reference=reference
    )


@pytest.fixture
def estate() -> Estate:
    made = Estate()
    made.price("10")
    made.ended(at(0), at(60))
    return made


def test_parts_add_up_until_it_is_paid(estate: Estate) -> None:
    invoice = issue(estate)
    first = pay(invoice, "3.99")
    invoice.refresh_from_db()
    assert (invoice.state, first.currency, first.tenant_id) == ("issued", "CNY", estate.tenant.pk)
    with pytest.raises(Invalid, match=r"6\.01 CNY is to be paid"):
        pay(invoice, "6.02")
    pay(invoice, "6.01")
    invoice.refresh_from_db()
    assert (invoice.state, invoice.reason) == ("paid", "PaidInFull")
    assert ledger.balance(AccountKind.RECEIVABLE, "CNY", tenant_id=estate.tenant.pk) == 0
    assert ledger.balance(AccountKind.CASH, "CNY") == 10
    assert list(ledger.verify()) == []
    assert AuditEntry.objects.filter(what="payment.receive", tenant_id=estate.tenant.pk).count() == 2
    with pytest.raises(IllegalTransition, match="is paid"):
        pay(invoice, "1")


@pytest.mark.parametrize("amount", ["0", "-1", "10.01"])
def test_not_more_nor_less_than_nothing_is_paid(estate: Estate, amount: str) -> None:
    with pytest.raises(Invalid):
        pay(issue(estate), amount)
    assert not Payment.objects.exists()


def test_a_payment_that_went_back_opens_the_invoice_again(estate: Estate) -> None:
    invoice = issue(estate)
    paid = pay(invoice, "10")
    back = payments.reverse(by=SYSTEM, payment=paid, message="Bounced")
    invoice.refresh_from_db()
    assert (invoice.state, invoice.reason, invoice.message) == ("issued", "PaymentReversed", "Bounced")
    assert (back.amount, back.reverses_id) == (-10, paid.pk)
    assert ledger.balance(AccountKind.CASH, "CNY") == 0
    assert ledger.balance(AccountKind.RECEIVABLE, "CNY", tenant_id=estate.tenant.pk) == 10
    for payment in (paid, back):
        with pytest.raises(Conflict, match="reversed already"):
            payments.reverse(by=SYSTEM, payment=payment)
    pay(invoice, "10")


def test_what_was_paid_is_given_back_before_an_invoice_is_void(estate: Estate) -> None:
    invoice = issue(estate)
    paid = pay(invoice, "5")
    with pytest.raises(Conflict, match="Reverse the payments first"):
        invoices.cancel(by=SYSTEM, invoice=invoice)
    payments.reverse(by=SYSTEM, payment=paid)
    invoices.cancel(by=SYSTEM, invoice=invoice)
    invoice.refresh_from_db()
    assert invoice.state == "void"
    with pytest.raises(Conflict, match="asks for nothing"):
        pay(Invoice.objects.get(refers_to=invoice), "-10")


def test_what_is_owed_to_a_tenant_is_paid_below_zero(estate: Estate) -> None:
    run = estate.running(at(60), at(120))
    issue(estate)
    type(run).objects.filter(pk=run.pk).update(ended_at=at(90))  # the site takes half an hour back
    owed = issue(estate)
    assert owed.total == -5
    with pytest.raises(Invalid):
        pay(owed, "5")
    pay(owed, "-5")
    owed.refresh_from_db()
    assert owed.state == "paid"


def test_a_draft_is_not_paid(estate: Estate) -> None:
    with pytest.raises(IllegalTransition, match="is draft"):
        pay(draft(estate), "10")


TOUCHES: list[Callable[[Payment], Any]] = [
    lambda p: Payment.objects.filter(pk=p.pk).update(amount=1),
    lambda p: Payment.objects.filter(pk=p.pk).delete(),
    lambda p: Invoice.objects.filter(pk=p.invoice_id).update(state="paid"),
    lambda p: Invoice.objects.filter(pk=p.invoice_id).update(state="void"),
    lambda p: Invoice.objects.filter(pk=p.invoice_id).update(due_on=date(2027, 1, 1)),
    lambda p: Invoice.objects.filter(pk=p.invoice_id).update(bill_to={}),
]


@pytest.mark.parametrize("touch", TOUCHES)
def test_the_database_refuses_to_change_what_was_paid(estate: Estate, touch: Callable[[Payment], Any]) -> None:
    payment = pay(issue(estate), "4")
    with pytest.raises(DatabaseError), transaction.atomic():
        touch(payment)


def test_an_invoice_is_due_by_the_terms_of_its_tenant_and_made_out_to_it(estate: Estate, settings: Any) -> None:
    settings.BILLING_ISSUER = {"name": "Hub", "tax_id": "", "address": "1 Road", "bank": "Bank 1"}
    profile = profiles.create(
        by=SYSTEM, tenant=estate.tenant, legal_name="华东计算所", tax_id=USCC, bank="Bank", payment_terms_days=14
    )
    invoice = issue(estate)
    today = timezone.now().astimezone(policy().zone).date()
    assert invoice.due_on == today + timedelta(days=14)
    assert not invoice.is_overdue
    profiles.change(by=SYSTEM, profile=profile, legal_name="Another", payment_terms_days=1)
    settings.BILLING_ISSUER = {"name": "Another hub"}
    invoice.refresh_from_db()
    assert (invoice.bill_to["legal_name"], invoice.bill_to["tax_id"]) == ("华东计算所", USCC)
    assert invoice.issuer == {"name": "Hub", "tax_id": "", "address": "1 Road", "bank": "Bank 1"}
    invoices.cancel(by=SYSTEM, invoice=invoice)
    note = Invoice.objects.get(refers_to=invoice)
    assert (note.bill_to, note.issuer, note.due_on) == (invoice.bill_to, invoice.issuer, None)
    again = issue(estate)
    assert (again.bill_to["legal_name"], again.due_on) == ("Another", today + timedelta(days=1))


def test_an_invoice_is_overdue_after_its_day(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    invoice = issue(estate)
    now = timezone.now()
    assert invoice.due_on is not None
    for days, is_overdue in ((30, False), (31, True)):
        monkeypatch.setattr(timezone, "now", lambda days=days: now + timedelta(days=days))
        assert invoice.is_overdue is is_overdue
    pay(invoice, "10")
    invoice.refresh_from_db()
    assert not invoice.is_overdue


@pytest.mark.parametrize("tax_id", ["91110000600037341M", "123", "9111000060003734IL"])
def test_a_tax_id_that_is_none_is_refused(estate: Estate, tax_id: str) -> None:
    with pytest.raises(Invalid, match="统一社会信用代码"):
        profiles.create(by=SYSTEM, tenant=estate.tenant, legal_name="X", tax_id=tax_id)


def test_a_tenant_has_one_profile(estate: Estate) -> None:
    profiles.create(by=SYSTEM, tenant=estate.tenant, legal_name="X", tax_id=f" {USCC.lower()} ")
    assert estate.tenant.billing_profile.tax_id == USCC
    with pytest.raises(Conflict, match="already"):
        profiles.create(by=SYSTEM, tenant=estate.tenant, legal_name="Y")
