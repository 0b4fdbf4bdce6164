"""The datasets beside Cost and Usage: months, lines of invoices, reservations."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from decimal import Decimal

from django.db import connection

from billing.exports.focus import reference_rows as rows
from billing.exports.focus.charges import Party, Period, Unit
from billing.exports.focus.columns import Row
from billing.exports.ledger.query import AT_ONCE, Whole
from billing.models import Commitment, Invoice, InvoiceLine, LedgerTransaction
from billing.periods import month_of
from billing.policy import policy
from billing.rating import ZERO, product, quantity_of
from billing.rating.money import plus

_SECOND = timedelta(seconds=1)
# A month is closed when it is over and no charge of it is left that no invoice asks for.
_OPEN = """
SELECT EXISTS (
  SELECT FROM billing_charge c JOIN billing_ledgertransaction t ON t.id = c.transaction_id AND t.seq <= %(seq)s
  WHERE c.billing_period_start = %(start)s AND (%(tenant)s::uuid IS NULL OR c.tenant_id = %(tenant)s)
    AND (SELECT coalesce(sum(ic.sign), 0)
         FROM billing_invoicedcharge ic
         JOIN billing_invoice i ON i.id = ic.invoice_id
         JOIN billing_ledgertransaction it ON it.id = i.posted_in_id AND it.seq <= %(seq)s
         WHERE ic.charge_id = c.id) = 0
), (SELECT max(t.posted_at) FROM billing_charge c JOIN billing_ledgertransaction t ON t.id = c.transaction_id
    WHERE t.seq <= %(seq)s AND c.billing_period_start = %(start)s
      AND (%(tenant)s::uuid IS NULL OR c.tenant_id = %(tenant)s))
"""


def taken_at(whole: Whole) -> datetime:
    """When the ledger stood like this; where there is no ledger yet, where the month begins."""
    last = LedgerTransaction.objects.filter(seq=whole.seq).first()
    return whole.start if last is None else last.posted_at


def billing_periods(whole: Whole, hub: Party) -> Iterator[Row]:
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, {"seq": whole.seq, "start": whole.start, "tenant": whole.tenant_id})
        has_open, changed_at = cursor.fetchone()
    is_closed = not has_open and taken_at(whole) >= whole.end
    updated_at = _instant(max(changed_at or whole.start, whole.start))
    month = rows.BillingMonth(hub.name, Period(whole.start, whole.end), is_closed, whole.start, updated_at)
    yield rows.billing_period(month)


def invoice_details(whole: Whole, hub: Party) -> Iterator[Row]:
    lines = InvoiceLine.objects.filter(invoice__posted_in__seq__lte=whole.seq, invoice__period_start=whole.start)
    if whole.tenant_id is not None:
        lines = lines.filter(invoice__tenant_id=whole.tenant_id)
    found = lines.select_related("invoice__refers_to", "invoice__credit_note__posted_in")
    for line in found.order_by("invoice__number", "position").iterator(AT_ONCE):
        invoice = line.invoice
        note = getattr(invoice, "credit_note", None)
        is_voided = note is not None and note.posted_in is not None and note.posted_in.seq <= whole.seq
        yield rows.invoice_detail(
            rows.InvoiceLine(
                line_id=str(line.pk),
                invoice_id=invoice.number or "",
                payer=Party(str(invoice.tenant_id), invoice.tenant),
                issuer=hub.name,
                period=Period(invoice.period_start, invoice.period_end),
                currency=invoice.currency,
                category=line.category.capitalize(),
                cost=line.cost,
                description=" ".join(filter(None, (line.project, line.flavor, line.site, line.meter))) or line.category,
                created_at=_instant(invoice.issued_at),
                updated_at=_instant(note.issued_at if note is not None and is_voided else invoice.issued_at),
                payment_terms=_terms(invoice),
                due_at=None if invoice.due_on is None else datetime.combine(invoice.due_on, time(), policy().zone),
                issued_at=_instant(invoice.issued_at),
                is_voided=is_voided,
                refers_to=invoice.refers_to.number if invoice.refers_to else None,
                project_id=str(line.project_id) if line.project_id else None,
                site_id=line.site or None,
            )
        )


def commitments(whole: Whole, hub: Party) -> Iterator[Row]:
    at = taken_at(whole)
    found = Commitment.objects.filter(start_at__lt=whole.end, end_at__gt=whole.start, created_at__lte=at)
    if whole.tenant_id is not None:
        found = found.filter(tenant_id=whole.tenant_id)
    for commitment in found.select_related("flavor", "tenant").order_by("id"):
        hours = _hours(commitment)
        term = Period(commitment.start_at, commitment.end_at)
        flavor = commitment.flavor
        yield rows.contract_commitment(
            rows.Reservation(
                id=str(commitment.pk),
                contract_id=str(commitment.pk),
                contract_period=term,
                description=f"{commitment.held_milli / Decimal(1000):f} of {flavor.name} for {commitment.tenant.name}",
                issuer=hub.name,
                provider=hub.name,
                currency=commitment.currency,
                term=term,
                term_in_words=_words(term.end - term.start),
                status="Pending" if at < term.start else "Active" if at < term.end else "Expired",
                hours=hours,
                unit=Unit.ACCELERATOR if flavor.unit == "device" else Unit.CORE,
                cost=product(hours, commitment.unit_price),
                discount=None,
                upfront=ZERO,
                sku_id=f"{flavor.name}/reservation",
                created_at=_instant(commitment.created_at),
                updated_at=_instant(commitment.created_at),
            )
        )


def _terms(invoice: Invoice) -> str:
    """As the invoice was issued under; those before due dates were agreed on elsewhere."""
    if invoice.due_on is None or invoice.issued_at is None:
        return "As agreed"
    return f"Net {(invoice.due_on - invoice.issued_at.astimezone(policy().zone).date()).days} days"


def _instant(at: datetime | None) -> datetime:
    """As fine as the formats are."""
    assert at is not None  # of what is issued or posted
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _hours(commitment: Commitment) -> Decimal:
    """Month by month, as it is asked for."""
    total, at, zone = ZERO, commitment.start_at, policy().zone
    while at < commitment.end_at:
        end = min(month_of(at, zone).end, commitment.end_at)
        total = plus(total, quantity_of((end - at) // _SECOND * commitment.held_milli))
        at = end
    return total


def _words(length: timedelta) -> str:
    for unit, name in ((timedelta(days=1), "Day"), (timedelta(hours=1), "Hour"), (timedelta(minutes=1), "Minute")):
        count, rest = divmod(length, unit)
        if not rest:
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{length // _SECOND} Seconds"
