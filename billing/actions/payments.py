"""What came in for invoices, and what went back. A payment moves the ledger from receivable to cash."""

from datetime import date
from decimal import Decimal

from django.db import transaction

from billing.actions import ledger, wallets
from billing.actions.invoices import locked
from billing.actions.ledger import Move
from billing.models import AccountKind, Invoice, Payment, TransactionKind
from billing.states import InvoiceState
from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, IllegalTransition, Invalid
from portal.models.base import uuid7
from portal.transitions import move


@transaction.atomic
def receive(*, by: Actor, invoice: Invoice, amount: Decimal, received_on: date, reference: str) -> Payment:
    """Money for an issued invoice, some of it or the rest. The rest makes it paid."""
    invoice = locked(invoice)
    if invoice.is_credit_note:
        raise Conflict("A credit note asks for nothing.")
    if invoice.state != InvoiceState.ISSUED:
        raise IllegalTransition(f"This invoice is {invoice.state}; only an issued one can be paid.")
    due = invoice.total - invoice.payments.paid() - wallets.paid_for(invoice)
    if not amount or (amount < 0) != (due < 0) or abs(amount) > abs(due):
        raise Invalid.field("amount", f"{due:.2f} {invoice.currency} is to be paid, and no more.", "not-what-is-due")
    pk = uuid7()
    posted = ledger.post(
        by=by,
        kind=TransactionKind.PAYMENT,
        key=f"payment {pk}",
        moves=[
            Move(AccountKind.CASH, amount, invoice.currency),
            Move(AccountKind.RECEIVABLE, -amount, invoice.currency, invoice.tenant_id),
        ],
        tenant_id=invoice.tenant_id,
        memo=f"{invoice.number} {reference}",
    )
    payment: Payment = Payment.objects.create(
        pk=pk, invoice=invoice, tenant_id=invoice.tenant_id, amount=amount, currency=invoice.currency,
        received_on=received_on, reference=reference, posted_in=posted, by=by.actor_name,
    )  # fmt: skip
    _record(by, "payment.receive", payment)
    if amount == due:
        move(invoice, InvoiceState.PAID, by=by, reason="PaidInFull")
    return payment


@transaction.atomic
def reverse(*, by: Actor, payment: Payment, message: str = "") -> Payment:
    """It did not come in, was for something else, or went back. The invoice asks for it again."""
    invoice = locked(payment.invoice)
    payment = Payment.objects.select_related("invoice").get(pk=payment.pk)
    if payment.reverses_id is not None or Payment.objects.filter(reverses=payment).exists():
        raise Conflict("This payment is reversed already.")
    posted = ledger.reverse(by=by, what=payment.posted_in, memo=f"{invoice.number} {message}".strip()[:500])
    back: Payment = Payment.objects.create(
        invoice=invoice, tenant_id=invoice.tenant_id, amount=-payment.amount, currency=payment.currency,
        received_on=payment.received_on, reference=payment.reference, reverses=payment, posted_in=posted,
        by=by.actor_name,
    )  # fmt: skip
    _record(by, "payment.reverse", back)
    if invoice.state == InvoiceState.PAID:
        move(invoice, InvoiceState.ISSUED, by=by, reason="PaymentReversed", message=message)
    return back


def _record(by: Actor, what: str, payment: Payment) -> None:
    audit.record(
        by=by, what=what, target=payment,
        detail={"invoice": payment.invoice.number, "amount": str(payment.amount), "currency": payment.currency},
    )  # fmt: skip
