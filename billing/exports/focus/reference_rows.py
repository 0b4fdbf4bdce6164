"""Rows of the datasets beside Cost and Usage in FOCUS 1.4: billing periods, lines of invoices, commitments."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.exports.focus.charges import Party, Period, Unit
from billing.exports.focus.columns import Value
from billing.exports.focus.rows import identifier, invoice_number, text, utc
from billing.exports.focus.text import compact_json


@dataclass(frozen=True, slots=True)
class BillingMonth:
    issuer: str
    period: Period
    is_closed: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """All charges of one category that an invoice has on one line. Their BilledCost adds up to `cost`."""

    line_id: str
    invoice_id: str
    payer: Party
    issuer: str
    period: Period
    currency: str
    category: str
    """Usage, Purchase, Credit, Tax or Adjustment."""
    cost: Decimal
    description: str
    created_at: datetime
    updated_at: datetime
    payment_terms: str
    issued_at: datetime | None = None
    due_at: datetime | None = None
    is_voided: bool = False
    refers_to: str | None = None
    """The number of the invoice that a credit note or a correction is about."""
    project_id: str | None = None
    sku_id: str | None = None
    site_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A commitment to pay for so many hours within a term, whether they are used or not."""

    id: str
    contract_id: str
    contract_period: Period
    description: str
    issuer: str
    provider: str
    currency: str
    term: Period
    term_in_words: str
    """A number and a unit: `1 Month`, `3 Years`."""
    status: str
    """Pending, Active, Expired or Canceled."""
    hours: Decimal
    unit: Unit
    cost: Decimal
    discount: Decimal | None
    """The share off the list price, from 0 to 1."""
    upfront: Decimal
    """The share paid at once, from 0 to 1."""
    sku_id: str
    created_at: datetime
    updated_at: datetime
    project_id: str | None = None
    is_negotiated: bool = True


def billing_period(month: BillingMonth) -> dict[str, Value]:
    return {
        "BillingPeriodCreated": utc(month.created_at),
        "BillingPeriodEnd": utc(month.period.end),
        "BillingPeriodLastUpdated": utc(month.updated_at),
        "BillingPeriodStart": utc(month.period.start),
        "BillingPeriodStatus": "Closed" if month.is_closed else "Open",
        "InvoiceIssuerName": text(month.issuer),
    }


def invoice_detail(line: InvoiceLine) -> dict[str, Value]:
    grain = {
        "RegionId": identifier("site", line.site_id),
        "SkuId": identifier("sku", line.sku_id),
        "SubAccountId": identifier("proj", line.project_id),
    }
    shared = {name: value for name, value in grain.items() if value}
    return {
        "BilledCost": line.cost,
        "BillingAccountId": identifier("org", line.payer.id),
        "BillingCurrency": line.currency,
        "BillingPeriodEnd": utc(line.period.end),
        "BillingPeriodStart": utc(line.period.start),
        "ChargeCategory": line.category,
        "InvoiceDetailCreated": utc(line.created_at),
        "InvoiceDetailDescription": text(line.description),
        "InvoiceDetailGrain": compact_json(shared) if shared else None,
        "InvoiceDetailId": identifier("line", line.line_id),
        "InvoiceDetailLastUpdated": utc(line.updated_at),
        "InvoiceId": invoice_number(line.invoice_id),
        "InvoiceIssueDate": utc(line.issued_at) if line.issued_at else None,
        "InvoiceIssueStatus": "Voided" if line.is_voided else "Issued" if line.issued_at else "Open",
        "InvoiceIssuerName": text(line.issuer),
        "PaymentDueDate": utc(line.due_at) if line.due_at else None,
        "PaymentTerms": text(line.payment_terms),
        "ReferenceInvoiceId": invoice_number(line.refers_to or line.invoice_id),
    }


def contract_commitment(reservation: Reservation) -> dict[str, Value]:
    model = {Decimal(0): "No Upfront", Decimal(1): "All Upfront"}.get(reservation.upfront, "Partial Upfront")
    return {
        "BillingCurrency": reservation.currency,
        "ContractCommitmentApplicability": _applicability(reservation),
        "ContractCommitmentBenefitCategory": "Discount",
        "ContractCommitmentCategory": "Usage",
        "ContractCommitmentCost": reservation.cost,
        "ContractCommitmentCreated": utc(reservation.created_at),
        "ContractCommitmentDescription": text(reservation.description),
        "ContractCommitmentDiscountPercentage": reservation.discount,
        "ContractCommitmentDurationType": reservation.term_in_words,
        "ContractCommitmentFulfillmentInterval": "Hourly",
        "ContractCommitmentId": identifier("res", reservation.id),
        "ContractCommitmentLastUpdated": utc(reservation.updated_at),
        "ContractCommitmentLifecycleStatus": reservation.status,
        "ContractCommitmentModel": "Continuous",
        "ContractCommitmentOfferCategory": "Negotiated" if reservation.is_negotiated else "Public",
        "ContractCommitmentPaymentInterval": "One-Time" if reservation.upfront == 1 else "Monthly",
        "ContractCommitmentPaymentModel": model,
        "ContractCommitmentPaymentUpfrontPercentage": reservation.upfront,
        "ContractCommitmentPeriodEnd": utc(reservation.term.end),
        "ContractCommitmentPeriodStart": utc(reservation.term.start),
        "ContractCommitmentQuantity": reservation.hours,
        "ContractCommitmentType": "Reservation",
        "ContractCommitmentUnit": reservation.unit.hours,
        "ContractId": identifier("contract", reservation.contract_id),
        "ContractPeriodEnd": utc(reservation.contract_period.end),
        "ContractPeriodStart": utc(reservation.contract_period.start),
        "InvoiceIssuerName": text(reservation.issuer),
        "ServiceProviderName": text(reservation.provider),
    }


def _applicability(reservation: Reservation) -> str:
    rules = [_rule("SkuId", identifier("sku", reservation.sku_id))]
    if reservation.project_id is not None:
        rules.append(_rule("SubAccountId", identifier("proj", reservation.project_id)))
    return compact_json({"InclusionOperator": "And", "Inclusions": rules})


def _rule(column: str, value: str | None) -> dict[str, object]:
    return {"Dimension": column, "Operator": "In", "Values": [value]}
