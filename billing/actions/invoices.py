"""Issuing and cancelling invoices. See drafts.py for how they come to be."""

from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from billing.actions import bookings, drafts, profiles, wallets
from billing.models import Invoice, InvoiceLine, NumberSeries
from billing.periods import month_of
from billing.policy import Policy
from billing.rating import payable_of, total_of
from billing.states import InvoiceState
from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, IllegalTransition
from portal.models import Tenant
from portal.transitions import move


@transaction.atomic
def issue(*, by: Actor, invoice: Invoice, policy: Policy) -> Invoice:
    """Charge what is metered of its month, give it its number, round what is to be paid, and fix it for good."""
    invoice = locked(invoice)
    if invoice.state != InvoiceState.DRAFT:
        raise IllegalTransition(f"This invoice is {invoice.state}; only a draft can be issued.")
    period = month_of(invoice.period_start, policy.zone)
    drafts.catch_up(tenant_id=invoice.tenant_id, policy=policy, until=period.end, period=period)
    drafts.rebuild(by, invoice.tenant_id, period, policy, invoice.currency)
    invoice.refresh_from_db()
    fix(by, invoice, policy)
    return invoice


def fix(by: Actor, invoice: Invoice, policy: Policy) -> None:
    """Issue a draft as it stands. The caller holds it and its tenant, and has just rebuilt it."""
    lines = list(invoice.lines.order_by("position"))
    if not lines:
        raise Conflict("There is nothing on this draft to ask for.")
    total = total_of(line.cost for line in lines)
    payable = payable_of(total)
    if payable != total:
        InvoiceLine.objects.create(
            invoice=invoice,
            position=lines[-1].position + 1,
            category=InvoiceLine.Category.ADJUSTMENT,
            cost=payable - total,
            currency=invoice.currency,
        )
    posted = bookings.ask(by, invoice, payable)
    bill_to, days = profiles.copied(invoice.tenant_id, invoice.tenant)
    today = timezone.now().astimezone(policy.zone).date()
    _number(
        by, invoice, "INV", payable, reason="Issued", posted_in=posted, bill_to=bill_to,
        issuer=asdict(policy.issuer), due_on=today + timedelta(days=days),
    )  # fmt: skip
    if payable > 0 and wallets.pay(by, invoice, payable) == payable:
        move(invoice, InvoiceState.PAID, by=by, reason="PaidFromWallet")


@transaction.atomic
def cancel(*, by: Actor, invoice: Invoice, message: str = "") -> Invoice:
    """Take an issued invoice back by a credit note that refers to it. The month can be drafted anew then."""
    invoice = locked(invoice)
    if invoice.is_credit_note:
        raise Conflict("A credit note stays. Draft the month again to ask for its usage once more.")
    if invoice.state not in (InvoiceState.ISSUED, InvoiceState.PAID):
        raise IllegalTransition(f"This invoice is {invoice.state}; only an issued one can be cancelled.")
    if invoice.payments.paid():
        raise Conflict("Something was paid for this invoice already. Reverse the payments first.")
    note = Invoice.objects.create(
        tenant_id=invoice.tenant_id,
        tenant=invoice.tenant,
        period_start=invoice.period_start,
        period_end=invoice.period_end,
        currency=invoice.currency,
        refers_to=invoice,
        total=-invoice.total,
        issuer=invoice.issuer,
        bill_to=invoice.bill_to,
    )
    lines = list(invoice.lines.order_by("position"))
    for line in lines:
        line.pk, line.invoice, line.created_at = InvoiceLine().pk, note, Now()
        line.milli_seconds, line.quantity, line.cost = -line.milli_seconds, -line.quantity, -line.cost
    InvoiceLine.objects.bulk_create(lines)
    message_of_note = f"Cancels {invoice.number}. {message}".strip()
    _number(
        by, note, "CN", note.total, reason="Cancels", message=message_of_note,
        posted_in=bookings.take_back(by, invoice, note),
    )  # fmt: skip
    wallets.give_back(by, invoice)
    move(invoice, InvoiceState.VOID, by=by, reason="CancelledByCreditNote", message=message)
    audit.record(by=by, what="invoice.cancel", target=invoice, detail={"credit_note": note.number})
    return invoice


def locked(invoice: Invoice) -> Invoice:
    """The invoice, held together with its tenant until the transaction ends."""
    Tenant.objects.select_for_update(no_key=True).filter(pk=invoice.tenant_id).first()
    held: Invoice = Invoice.objects.select_for_update().get(pk=invoice.pk)
    return held


def _number(
    by: Actor, invoice: Invoice, prefix: str, total: Decimal, *, reason: str, message: str = "", **values: Any
) -> None:
    """Issue: the next number of the month's series, with no gaps, in this very transaction."""
    series = f"{prefix}-{invoice.period}-"
    NumberSeries.objects.get_or_create(prefix=series)
    NumberSeries.objects.filter(prefix=series).update(last=F("last") + 1)
    number = str(NumberSeries.objects.get(prefix=series))
    move(
        invoice, InvoiceState.ISSUED, by=by, reason=reason, message=message,
        number=number, total=total, issued_at=timezone.now(), **values,
    )  # fmt: skip
    audit.record(
        by=by,
        what="invoice.issue",
        target=invoice,
        detail={"number": number, "total": str(total), "currency": invoice.currency},
    )
