"""What issuing and cancelling an invoice posts to the ledger, and which charges stand behind it."""

from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Sum

from billing.actions import ledger
from billing.actions.ledger import Move
from billing.models import (
    AccountKind,
    Charge,
    ChargeCategory,
    Invoice,
    InvoicedCharge,
    InvoiceLine,
    LedgerTransaction,
    TransactionKind,
)
from billing.rating import RULE_VERSION, ZERO, total_of
from portal.audit import Actor

_OF_INVOICES = (ChargeCategory.TAX, ChargeCategory.ADJUSTMENT)

# Charges of the month that no invoice asks for now: never asked for, or taken back as often.
_LINK = """
INSERT INTO billing_invoicedcharge (invoice_id, charge_id, sign)
SELECT %(invoice)s, c.id, 1 FROM billing_charge c
WHERE c.tenant_id = %(tenant)s AND c.billing_period_start = %(start)s AND c.currency = %(currency)s
  AND c.category NOT IN ('tax', 'adjustment')
  AND (SELECT coalesce(sum(sign), 0) FROM billing_invoicedcharge WHERE charge_id = c.id) = 0
"""


def ask(by: Actor, invoice: Invoice, payable: Decimal) -> LedgerTransaction:
    """From what is not billed to what is owed: the exact lines, the tax, and what rounding adds."""
    with connection.cursor() as cursor:
        cursor.execute(
            _LINK,
            {
                "invoice": invoice.pk, "tenant": invoice.tenant_id, "start": invoice.period_start,
                "currency": invoice.currency,
            },
        )  # fmt: skip
    lines = list(InvoiceLine.objects.filter(invoice=invoice).order_by("position"))
    tax = total_of(line.cost for line in lines if line.category == InvoiceLine.Category.TAX)
    rounding = total_of(line.cost for line in lines if line.category == InvoiceLine.Category.ADJUSTMENT)
    base = total_of(line.cost for line in lines if line.category not in _OF_INVOICES)
    currency, tenant_id = invoice.currency, invoice.tenant_id
    charges = [_charge(invoice, line) for line in lines if line.category in _OF_INVOICES]
    posted = ledger.post(
        by=by,
        kind=TransactionKind.INVOICE,
        key=f"invoice {invoice.pk}",
        moves=[
            Move(AccountKind.RECEIVABLE, payable, currency, tenant_id),
            Move(AccountKind.UNBILLED, -base, currency, tenant_id),
            *([Move(AccountKind.TAX, -tax, currency)] if tax else []),
            *([Move(AccountKind.ROUNDING, -rounding, currency)] if rounding else []),
        ],
        charges=charges,
        tenant_id=tenant_id,
    )
    InvoicedCharge.objects.bulk_create(InvoicedCharge(invoice=invoice, charge=charge) for charge in charges)
    return posted


def take_back(by: Actor, invoice: Invoice, note: Invoice) -> LedgerTransaction | None:
    """The reversal of what the invoice posted; its charges are to be asked for anew. None: it was issued before there
    was a ledger.
    """
    if invoice.posted_in is None:
        return None
    posted = ledger.reverse(by=by, what=invoice.posted_in, memo=f"Cancels {invoice.number}")
    own = set(Charge.objects.filter(transaction=invoice.posted_in).values_list("pk", flat=True))
    linked: Any = InvoicedCharge.objects.filter(invoice=invoice).exclude(charge_id__in=own).values_list("charge_id")
    InvoicedCharge.objects.bulk_create(
        [
            *(InvoicedCharge(invoice=note, charge_id=pk, sign=-1) for (pk,) in linked.iterator()),
            *(InvoicedCharge(invoice=note, charge=charge) for charge in Charge.objects.filter(transaction=posted)),
        ],
        batch_size=2000,
    )
    return posted


def proven_total(invoice: Invoice) -> Decimal:
    """What the charges behind an invoice add up to, with their signs."""
    rows = InvoicedCharge.objects.filter(invoice=invoice).order_by().values_list("sign")
    return total_of(sign * (amount or ZERO) for sign, amount in rows.annotate(Sum("charge__billed_cost")))


def _charge(invoice: Invoice, line: InvoiceLine) -> Charge:
    return Charge(
        category=line.category,
        tenant_id=invoice.tenant_id,
        tenant=invoice.tenant,
        billing_period_start=invoice.period_start,
        billing_period_end=invoice.period_end,
        period_start=invoice.period_start,
        period_end=invoice.period_end,
        billed_cost=line.cost,
        effective_cost=line.cost,
        contracted_cost=line.cost,
        list_cost=line.cost,
        currency=invoice.currency,
        tax_rule_id=line.price_id,
        rule_version=RULE_VERSION,
        description="Rounded to what is to be paid" if line.category == ChargeCategory.ADJUSTMENT else line.flavor,
    )
