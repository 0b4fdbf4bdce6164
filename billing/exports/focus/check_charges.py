"""What the columns of one row of Cost and Usage must be to each other."""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from billing.exports.focus.check_values import TextRow, Violation, json_object, number, time
from billing.exports.focus.currencies import decimals
from billing.exports.focus.money import product
from billing.exports.focus.services import PARENTS

Found = Iterator[Violation]

_PRICING = (
    "SkuId", "SkuMeter", "SkuPriceId", "ListUnitPrice", "ContractedUnitPrice", "PricingQuantity", "PricingUnit",
    "PricingCategory", "PricingCurrencyListUnitPrice", "PricingCurrencyContractedUnitPrice",
)  # fmt: skip
_CONSUMED = ("ConsumedQuantity", "ConsumedUnit")
_COMMITMENT = (
    "CommitmentDiscountId", "CommitmentDiscountName", "CommitmentDiscountCategory", "CommitmentDiscountType",
    "CommitmentDiscountQuantity", "CommitmentDiscountUnit", "CapacityReservationId",
)  # fmt: skip
_STATUS = ("CommitmentDiscountStatus", "CapacityReservationStatus")
# The second is null where the first is; and, with True, it is not where the first is not.
_TOGETHER = (
    ("SubAccountId", "SubAccountName", True),
    ("SubAccountId", "SubAccountType", True),
    ("RegionId", "RegionName", True),
    ("RegionId", "AvailabilityZone", False),
    ("ResourceId", "ResourceType", True),
    ("ResourceId", "ResourceName", False),
    ("SkuId", "SkuMeter", True),
    ("SkuPriceId", "SkuPriceDetails", False),
    ("PricingQuantity", "PricingUnit", True),
    ("ConsumedQuantity", "ConsumedUnit", True),
    ("CommitmentDiscountQuantity", "CommitmentDiscountUnit", True),
    ("InvoiceId", "InvoiceDetailId", False),
    ("x_TaxName", "x_TaxRate", True),
)
# Hours are rounded where usage is cut; an hour's worth of rows is far from adding up to this.
_HOUR_SLACK = Decimal("0.000001")


def row_rules(row: TextRow, *, version: str, exact: bool) -> Found:
    """`exact` is False for numbers that were doubles in the file."""
    for rule in _RULES:
        yield from rule(row)
    yield from _products(row, version, exact)
    if version == "1.4":
        yield from _contract(row)


def _is_correction(row: TextRow) -> bool:
    return row.get("ChargeClass") == "Correction"


def _null(row: TextRow, names: Iterable[str], rule: str, why: str) -> Found:
    for name in names:
        if row.get(name) is not None:
            yield Violation(rule, name, f"It has to be null {why}.")


def _filled(row: TextRow, names: Iterable[str], rule: str, why: str) -> Found:
    for name in names:
        if row.get(name) is None:
            yield Violation(rule, name, f"It has to be given {why}.")


def _same(row: TextRow, names: Iterable[str], other: str, rule: str, why: str) -> Found:
    for name in names:
        if number(row.get(name)) != number(row.get(other)):
            yield Violation(rule, name, f"{row.get(name)} is not {other}, {row.get(other)}, {why}.")


def _zero(row: TextRow, name: str, rule: str, why: str) -> Found:
    if number(row.get(name)) != 0:
        yield Violation(rule, name, f"{row.get(name)} has to be 0 {why}.")


def _periods(row: TextRow) -> Found:
    start, end = time(row.get("ChargePeriodStart")), time(row.get("ChargePeriodEnd"))
    opens, closes = time(row.get("BillingPeriodStart")), time(row.get("BillingPeriodEnd"))
    if start is None or end is None or opens is None or closes is None:
        return
    if start >= end:
        yield Violation("charge-period", "ChargePeriodEnd", "The charge ends before it has begun.")
    if opens >= closes:
        yield Violation("billing-period", "BillingPeriodEnd", "The billing period ends before it has begun.")
    if start < opens and not _is_correction(row):
        yield Violation("outside-period", "ChargePeriodStart", "The charge begins before the billing period.")
    if end > closes:
        yield Violation("outside-period", "ChargePeriodEnd", "The charge ends after the billing period.")


def _together(row: TextRow) -> Found:
    for first, second, is_needed in _TOGETHER:
        if first not in row or second not in row:
            continue
        if row[first] is None and row[second] is not None:
            yield Violation("together", second, f"It has to be null where {first} is null.")
        if is_needed and row[first] is not None and row[second] is None:
            yield Violation("together", second, f"It has to be given where {first} is given.")


def _services(row: TextRow) -> Found:
    parent = PARENTS.get(row.get("ServiceSubcategory") or "")
    if parent is not None and parent != row.get("ServiceCategory"):
        yield Violation("subcategory", "ServiceSubcategory", f"It belongs to the category {parent}.")


def _corrections(row: TextRow) -> Found:
    if _is_correction(row):
        # What was missing is added by itself; what is taken back was there.
        if any((number(row.get(name)) or 0) < 0 for name in ("BilledCost", "PricingQuantity")):
            yield from _filled(row, ["x_CorrectsLineId"], "correction", "on a correction that takes back")
    else:
        yield from _null(row, ["x_CorrectsLineId"], "correction", "where nothing is corrected")
    if row.get("x_CorrectsLineId") is not None and row.get("x_CorrectsLineId") == row.get("x_LineId"):
        yield Violation("correction", "x_CorrectsLineId", "The line corrects itself.")


def _currencies(row: TextRow) -> Found:
    if row.get("PricingCurrency") != row.get("BillingCurrency"):
        yield Violation("pricing-currency", "PricingCurrency", "Prices are in the billing currency.")
    for name, other in (
        ("PricingCurrencyListUnitPrice", "ListUnitPrice"),
        ("PricingCurrencyContractedUnitPrice", "ContractedUnitPrice"),
        ("PricingCurrencyEffectiveCost", "EffectiveCost"),
    ):
        yield from _same(row, [name], other, "pricing-currency", "which is in the same currency")


def _usage(row: TextRow) -> Found:
    if row.get("ChargeCategory") != "Usage":
        yield from _null(row, (*_CONSUMED, *_STATUS), "not-usage", "on what is no usage")
        return
    is_unused = row.get("CommitmentDiscountStatus") == "Unused"
    if row.get("ChargeFrequency") != "Usage-Based":
        yield Violation("usage-frequency", "ChargeFrequency", "Usage is Usage-Based.")
    if is_unused:
        yield from _null(row, _CONSUMED, "unused", "where nothing was used")
    if not _is_correction(row):
        yield from _filled(row, _PRICING, "usage-priced", "on usage")
        if not is_unused:
            yield from _filled(row, _CONSUMED, "usage-metered", "on usage")
        for name in ("PricingQuantity", "ConsumedQuantity"):
            if (number(row.get(name)) or 0) < 0:
                yield Violation("usage-negative", name, "Only a correction takes back.")
    hours, seconds = number(row.get("PricingQuantity")), number(row.get("ConsumedQuantity"))
    if hours is not None and seconds is not None and abs(hours - seconds / 3600) > _HOUR_SLACK:
        yield Violation("hours", "PricingQuantity", f"{hours} hours are not {seconds} seconds.")
    if row.get("PricingCategory") in ("Standard", "Dynamic"):
        yield from _null(row, (*_COMMITMENT, *_STATUS), "on-demand", "on demand and on spot")
        yield from _same(row, ["EffectiveCost"], "BilledCost", "on-demand", "as on demand")
        if not _is_correction(row):
            yield from _same(row, ["BilledCost"], "ContractedCost", "on-demand", "as on demand")


def _purchase(row: TextRow) -> Found:
    if row.get("ChargeCategory") != "Purchase":
        return
    yield from _zero(row, "EffectiveCost", "purchase", "on a purchase: it is spread over the hours")
    if row.get("ChargeFrequency") == "Usage-Based":
        yield Violation("purchase", "ChargeFrequency", "A purchase is One-Time or Recurring.")
    if row.get("PricingCategory") not in ("Committed", None):
        yield Violation("purchase", "PricingCategory", "What is bought is Committed.")
    if not _is_correction(row):
        yield from _filled(row, _COMMITMENT, "purchase", "on a purchase")
        yield from _filled(row, _PRICING, "purchase", "on a purchase")
        yield from _same(row, ["BilledCost"], "ContractedCost", "purchase", "as on a purchase")


def _committed(row: TextRow) -> Found:
    reservation = row.get("CommitmentDiscountId")
    if reservation is None:
        yield from _null(row, (*_COMMITMENT[1:], *_STATUS), "no-commitment", "without a commitment")
        if row.get("PricingCategory") == "Committed":
            yield Violation("no-commitment", "CommitmentDiscountId", "What is Committed has a commitment.")
        return
    yield from _filled(row, ("CommitmentDiscountCategory", "CommitmentDiscountType"), "commitment", "with a commitment")
    if row.get("CapacityReservationId") != reservation:
        yield Violation("commitment", "CapacityReservationId", "The commitment is the reservation.")
    if _is_correction(row):
        yield from _null(row, ["CommitmentDiscountQuantity", "CommitmentDiscountUnit"], "commitment", "on a correction")
    else:
        yield from _filled(row, ["CommitmentDiscountQuantity"], "commitment", "with a commitment")
        why = "which is what is committed"
        yield from _same(row, ["CommitmentDiscountQuantity"], "PricingQuantity", "commitment", why)
    if row.get("ChargeCategory") == "Usage":
        yield from _filled(row, _STATUS, "commitment", "on usage with a commitment")
        if row.get(_STATUS[0]) != row.get(_STATUS[1]):
            yield Violation("commitment", _STATUS[1], "Commitment and reservation are used or unused together.")
        if row.get("PricingCategory") not in ("Committed", None):
            yield Violation("commitment", "PricingCategory", "Usage with a commitment is Committed.")
        yield from _zero(row, "BilledCost", "commitment", "where a reservation covers it")


def _unpriced(row: TextRow) -> Found:
    category = row.get("ChargeCategory")
    if category not in ("Credit", "Tax", "Adjustment"):
        if row.get("x_TaxName") is not None:
            yield Violation("tax", "x_TaxName", "Only tax names a tax.")
        return
    why = f"on a row of {category}"
    yield from _null(row, (*_PRICING, "SkuPriceDetails", *_COMMITMENT), "unpriced", why)
    yield from _same(row, ("EffectiveCost", "ListCost", "ContractedCost"), "BilledCost", "unpriced", why)
    if row.get("ChargeFrequency") == "Usage-Based":
        yield Violation("unpriced", "ChargeFrequency", "It is One-Time or Recurring.")
    billed = number(row.get("BilledCost")) or Decimal(0)
    if category == "Credit" and billed > 0 and not _is_correction(row):
        yield Violation("credit", "BilledCost", f"{billed} is above 0: a credit lowers what is owed.")
    if category == "Tax":
        yield from _filled(row, ("x_TaxName", "x_TaxRate"), "tax", "on tax")
    elif row.get("x_TaxName") is not None:
        yield Violation("tax", "x_TaxName", "Only tax names a tax.")
    half = Decimal(5).scaleb(-1 - decimals(row.get("BillingCurrency") or ""))
    if category == "Adjustment" and abs(billed) > half:
        yield Violation("rounding", "BilledCost", f"{billed} is more than rounding can make.")


def _products(row: TextRow, version: str, exact: bool) -> Found:
    """FOCUS lets corrections off in 1.2, and not in 1.4."""
    if version == "1.2" and _is_correction(row):
        return
    quantity = number(row.get("PricingQuantity"))
    for name, of in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
        price, cost = number(row.get(of)), number(row.get(name))
        if quantity is None or price is None or cost is None:
            continue
        slack = Decimal(0) if exact else max(abs(cost), Decimal(1)) / 10**9
        if abs(product(price, quantity) - cost) > slack:
            yield Violation("product", name, f"{cost} is not {of} times PricingQuantity, {price} x {quantity}.")


def _contract(row: TextRow) -> Found:
    """Which commitment covered it is told twice in 1.4, and has to be told alike."""
    text = row.get("ContractApplied")
    if row.get("CommitmentDiscountStatus") != "Used":
        yield from _null(row, ["ContractApplied"], "contract", "where no commitment is used")
        return
    elements = (json_object(text) or {}).get("Elements") if text else None
    if not isinstance(elements, list) or len(elements) != 1 or not isinstance(elements[0], dict):
        yield Violation("contract", "ContractApplied", "It has to name the one commitment that is used.")
        return
    (element,) = elements
    if element.get("ContractCommitmentId") != row.get("CommitmentDiscountId") or not element.get("ContractId"):
        yield Violation("contract", "ContractApplied", "It names another commitment than CommitmentDiscountId.")
    quantity = element.get("ContractCommitmentAppliedQuantity")
    if not isinstance(quantity, int | Decimal) or quantity != number(row.get("PricingQuantity")):
        yield Violation("contract", "ContractApplied", "Its quantity is not PricingQuantity.")
    if element.get("ContractCommitmentAppliedUnit") != row.get("PricingUnit"):
        yield Violation("contract", "ContractApplied", "Its unit is not PricingUnit.")


_RULES: tuple[Callable[[TextRow], Found], ...] = (
    _periods,
    _together,
    _services,
    _corrections,
    _currencies,
    _usage,
    _purchase,
    _committed,
    _unpriced,
)
