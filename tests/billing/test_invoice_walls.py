"""What is issued does not change, and only what adds up is issued: the database itself refuses the rest."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from billing.actions import invoices
from billing.models import Invoice, InvoiceLine
from portal.audit import SYSTEM
from tests.billing.invoicing import draft, issue
from tests.billing.rows import NOVEMBER, Estate, at

pytestmark = pytest.mark.django_db


REFUSALS: list[Any] = [
    lambda i: Invoice.objects.filter(pk=i.pk).update(total=1),
    lambda i: Invoice.objects.filter(pk=i.pk).update(number="INV-1"),
    lambda i: Invoice.objects.filter(pk=i.pk).update(state="draft", number=None, issued_at=None),
    lambda i: Invoice.objects.filter(pk=i.pk).update(state="void", total=0),
    lambda i: Invoice.objects.filter(pk=i.pk).update(reason="Else"),
    lambda i: i.lines.update(cost=1, quantity=1, unit_price=1),
    lambda i: i.lines.update(project="Else"),
    lambda i: i.lines.all().delete(),
    lambda i: InvoiceLine.objects.create(invoice=i, position=99, category="adjustment", currency="CNY"),
    lambda i: (i.lines.all()._raw_delete(i.lines.db), i.delete()),
]


@pytest.mark.parametrize("state", ["issued", "void"])
@pytest.mark.parametrize("change", REFUSALS)
def test_the_database_refuses_any_change_of_what_is_issued(change: Any, state: str) -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(60))
    invoice = issue(estate)
    if state == "void":
        invoices.cancel(by=SYSTEM, invoice=invoice)
        invoice.refresh_from_db()
    before = (Invoice.objects.filter(pk=invoice.pk).values().get(), list(invoice.lines.values()))
    with pytest.raises(IntegrityError, match=r"do(es)? not change"), transaction.atomic():
        change(invoice)
    assert (Invoice.objects.filter(pk=invoice.pk).values().get(), list(invoice.lines.values())) == before


def test_the_database_deletes_drafts_only() -> None:
    def bare() -> Invoice:
        invoice: Invoice = Invoice.objects.create(
            tenant_id=Estate().tenant.pk,
            period_start=NOVEMBER.start,
            period_end=NOVEMBER.end,
            currency="CNY",
        )
        return invoice

    draft, issued = bare(), bare()
    Invoice.objects.filter(pk=issued.pk).update(state="issued", number="X", issued_at=at(0))
    draft.delete()
    with pytest.raises(IntegrityError, match="does not change"), transaction.atomic():
        issued.delete()


def test_a_line_cannot_be_moved_to_an_issued_invoice() -> None:
    estate = Estate()
    estate.ended(at(0), at(60))
    issued = issue(estate)
    estate.ended(at(60), at(90))
    line = draft(estate).lines.get()
    with pytest.raises(IntegrityError, match="do not change"), transaction.atomic():
        InvoiceLine.objects.filter(pk=line.pk).update(invoice=issued, position=50)


@pytest.mark.parametrize("total", [Decimal("10.01"), Decimal("9.995")])
def test_the_database_issues_only_what_adds_up(total: Decimal) -> None:
    estate = Estate()
    estate.price("9.995" if total == Decimal("9.995") else "10")
    estate.ended(at(0), at(60))
    invoice = draft(estate)
    with pytest.raises(IntegrityError, match="is the sum"), transaction.atomic():
        Invoice.objects.filter(pk=invoice.pk).update(state="issued", number="X", issued_at=at(0), total=total)


def test_the_database_refuses_a_line_whose_cost_is_not_the_product() -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(60))
    invoice = draft(estate)
    for change in ({"cost": 11}, {"unit_price": None}, {"price_id": None}):
        with pytest.raises(IntegrityError, match="cost_is_product"), transaction.atomic():
            invoice.lines.update(**change)
