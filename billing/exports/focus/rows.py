"""From a charge to a row of Cost and Usage: one function for both versions of FOCUS, a dataset takes what it has."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from billing.exports.focus.charges import Charge, ChargeKind, InvalidCharge, Pairs, Party, Pricing
from billing.exports.focus.columns import Value
from billing.exports.focus.money import product
from billing.exports.focus.services import Service
from billing.exports.focus.text import compact_json, number

ZERO = Decimal(0)
# Keys of SkuPriceDetails that FOCUS has; all others are ours.
_DETAILS = frozenset({"CoreCount", "GpuCount", "InstanceSeries", "InstanceType", "MemorySize", "OperatingSystem"})

# Of each kind: ChargeCategory, PricingCategory, ChargeFrequency, and Used or Unused.
_WORDS: dict[ChargeKind, tuple[str, str | None, str, str | None]] = {
    ChargeKind.ON_DEMAND: ("Usage", "Standard", "Usage-Based", None),
    ChargeKind.SPOT: ("Usage", "Dynamic", "Usage-Based", None),
    ChargeKind.PURCHASE: ("Purchase", "Committed", "One-Time", None),
    ChargeKind.COMMITTED_USED: ("Usage", "Committed", "Usage-Based", "Used"),
    ChargeKind.COMMITTED_UNUSED: ("Usage", "Committed", "Usage-Based", "Unused"),
    ChargeKind.CREDIT: ("Credit", None, "One-Time", None),
    ChargeKind.TAX: ("Tax", None, "One-Time", None),
    ChargeKind.ADJUSTMENT: ("Adjustment", None, "One-Time", None),
}


def cost_and_usage(charge: Charge) -> dict[str, Value]:
    """The row of a charge, with the columns of FOCUS 1.2 and 1.4. A column that is missing is null."""
    category, pricing_category, frequency, status = _WORDS[charge.kind]
    service = Service.INFERENCE if charge.is_inference else Service.COMPUTE
    billed, effective = _costs(charge)
    row: dict[str, Value] = {
        "BilledCost": billed,
        "BillingAccountId": identifier("org", charge.payer.id),
        "BillingAccountName": text(charge.payer.name),
        "BillingAccountType": "Organisation",
        "BillingCurrency": charge.currency,
        "BillingPeriodEnd": utc(charge.period.end),
        "BillingPeriodStart": utc(charge.period.start),
        "ChargeCategory": category,
        "ChargeClass": "Correction" if charge.corrects or charge.is_correction else None,
        "ChargeDescription": text(charge.description),
        "ChargeFrequency": "Recurring" if charge.is_recurring else frequency,
        "ChargePeriodEnd": utc(charge.end),
        "ChargePeriodStart": utc(charge.start),
        # What has no price of its own is worth what is billed for it.
        "ContractedCost": billed,
        "EffectiveCost": effective,
        "HostProviderName": text(charge.host.name),
        "InvoiceDetailId": identifier("line", charge.invoice_line_id),
        "InvoiceId": invoice_number(charge.invoice_id),
        "InvoiceIssuerName": text(charge.issuer),
        "ListCost": billed,
        "PricingCurrency": charge.currency,
        "PricingCurrencyEffectiveCost": effective,
        "ProviderName": text(charge.provider),
        "PublisherName": text(charge.host.name),
        "ServiceCategory": service.category,
        "ServiceName": service.title,
        "ServiceProviderName": text(charge.provider),
        "ServiceSubcategory": service.subcategory,
        "Tags": pairs(charge.tags),
        "x_CorrectsLineId": identifier("line", charge.corrects),
        "x_HostId": identifier("org", charge.host.id),
        "x_LineId": identifier("line", charge.line_id),
        "x_PriceBook": charge.price_book,
    }
    if charge.project is not None:
        row.update(_project(charge.project))
    if charge.site is not None:
        row["RegionId"] = identifier("site", charge.site.id)
        row["RegionName"] = text(charge.site.name)
        row["AvailabilityZone"] = identifier("pool", charge.pool_id)
    if charge.resource is not None:
        row["ResourceId"] = identifier(charge.resource.kind, charge.resource.id)
        row["ResourceName"] = text(charge.resource.name)
        row["ResourceType"] = charge.resource.kind.capitalize()
    if charge.pricing is not None:
        row.update(_pricing(charge.pricing))
        row["PricingCategory"] = pricing_category
    if charge.seconds is not None and charge.pricing is not None:
        row["ConsumedQuantity"] = charge.seconds
        row["ConsumedUnit"] = charge.pricing.unit.seconds
    if charge.commitment is not None and charge.pricing is not None:
        row.update(_commitment(charge, status))
    if charge.tax is not None:
        row["x_TaxName"], row["x_TaxRate"] = text(charge.tax.name), charge.tax.rate
    return row


def _costs(charge: Charge) -> tuple[Decimal, Decimal]:
    """What is billed, and what it is worth with reservations spread over the hours that they cover."""
    match charge.kind:
        case ChargeKind.PURCHASE:
            return charge.cost, ZERO
        case ChargeKind.COMMITTED_USED | ChargeKind.COMMITTED_UNUSED:
            return ZERO, charge.cost
    return charge.cost, charge.cost


def _project(project: Party) -> dict[str, Value]:
    return {
        "SubAccountId": identifier("proj", project.id),
        "SubAccountName": text(project.name),
        "SubAccountType": "Project",
    }


def _pricing(pricing: Pricing) -> dict[str, Value]:
    return {
        "ContractedCost": product(pricing.agreed_price, pricing.quantity),
        "ContractedUnitPrice": pricing.agreed_price,
        "ListCost": product(pricing.list_price, pricing.quantity),
        "ListUnitPrice": pricing.list_price,
        "PricingCurrencyContractedUnitPrice": pricing.agreed_price,
        "PricingCurrencyListUnitPrice": pricing.list_price,
        "PricingQuantity": pricing.quantity,
        "PricingUnit": pricing.unit.hours,
        "SkuId": identifier("sku", pricing.sku_id),
        "SkuMeter": text(pricing.meter),
        "SkuPriceDetails": _details(pricing.details),
        "SkuPriceId": identifier("price", pricing.price_id),
    }


def _commitment(charge: Charge, status: str | None) -> dict[str, Value]:
    assert charge.commitment is not None and charge.pricing is not None
    reservation = identifier("res", charge.commitment.id)
    is_correction = charge.corrects is not None or charge.is_correction
    row: dict[str, Value] = {
        "CapacityReservationId": reservation,
        "CapacityReservationStatus": status,
        "CommitmentDiscountCategory": "Usage",
        "CommitmentDiscountId": reservation,
        "CommitmentDiscountName": text(charge.commitment.name),
        # FOCUS has them null on corrections: what they take back is in PricingQuantity.
        "CommitmentDiscountQuantity": None if is_correction else charge.pricing.quantity,
        "CommitmentDiscountStatus": status,
        "CommitmentDiscountType": "Reservation",
        "CommitmentDiscountUnit": None if is_correction else charge.pricing.unit.hours,
    }
    if status == "Used":
        # By hand: FOCUS wants a number here, and a float would lose digits.
        contract = identifier("contract", charge.commitment.contract_id)
        row["ContractApplied"] = (
            f'{{"Elements":[{{"ContractCommitmentAppliedQuantity":{number(charge.pricing.quantity)},'
            f'"ContractCommitmentAppliedUnit":"{charge.pricing.unit.hours}",'
            f'"ContractCommitmentId":{compact_text(reservation)},"ContractId":{compact_text(contract)}}}]}}'
        )
    return row


def identifier(prefix: str, value: str | None) -> str | None:
    """With its prefix: digits alone would be read as a number. Always, so that two values never become one."""
    found = text(value)
    return None if found is None else f"{prefix}-{found}"


def invoice_number(value: str | None) -> str | None:
    """As it is on the invoice: people look for it there."""
    found = text(value)
    if found is not None and found.isdigit():
        raise InvalidCharge(f"The invoice number {found} is digits alone, which programs would read as a number.")
    return found


def text(value: str | None) -> str | None:
    """Blank is null: FOCUS knows no empty text."""
    return value if value is not None and value.strip() else None


def compact_text(value: str | None) -> str:
    return "null" if value is None else compact_json([value])[1:-1]


def utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise InvalidCharge(f"{value} has no time zone.")
    return value.astimezone(UTC)


@lru_cache(maxsize=4096)
def pairs(values: Pairs) -> str | None:
    return compact_json(dict(values)) if values else None


@lru_cache(maxsize=4096)
def _details(values: Pairs) -> str | None:
    named = {name if name in _DETAILS or name.startswith("x_") else f"x_{name}": value for name, value in values}
    return compact_json(named) if named else None
