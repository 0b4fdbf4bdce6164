"""From a line of an invoice to the charges behind it."""

from django.db.models import Case, DecimalField, F, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce

from billing.models import Charge, ChargeCategory, InvoiceLine
from billing.rating import Meter
from billing.states import InvoiceState

_PRICED = (ChargeCategory.USAGE, ChargeCategory.PURCHASE)
# At what price a line asks for a charge: what a commitment covers is paid for already.
_ASKED = Case(
    When(Q(commitment_id=None) | Q(category=ChargeCategory.PURCHASE), then=F("contracted_unit_price")),
    default=Value(0),
    output_field=DecimalField(max_digits=18, decimal_places=6),
)


def charges_behind(line: InvoiceLine) -> QuerySet[Charge]:
    """Those whose billed costs add up to the line; of a credit note, those that it takes back.

    Of a draft, those that no invoice asks for now; what is metered and not charged yet is on the draft as well.
    """
    invoice = line.invoice
    rows = Charge.objects.filter(
        tenant_id=invoice.tenant_id,
        billing_period_start=invoice.period_start,
        currency=line.currency,
        category=line.category,
        project_id=line.project_id,
        flavor_id=line.flavor_id,
        site=line.site,
    )
    if line.category == ChargeCategory.TAX:
        rows = rows.filter(tax_rule_id=line.price_id)
    elif line.category in _PRICED:
        rows = rows.annotate(asked=_ASKED).filter(
            meter=line.meter or Meter.ACCELERATOR, price_version_id=line.price_id, asked=line.unit_price
        )
    if invoice.state == InvoiceState.DRAFT:
        return rows.annotate(times=Coalesce(Sum("invoiced__sign"), 0)).filter(times=0)
    return rows.filter(invoiced__invoice_id=invoice.pk)
