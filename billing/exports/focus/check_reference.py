"""What rows of the other three datasets must be: by themselves, and to the charges."""

from collections.abc import Iterator
from decimal import Decimal

from billing.exports.focus.check_sets import SHARED, Seen
from billing.exports.focus.check_values import TextRow, Violation, json_object, number, time

Found = Iterator[Violation]


def _ordered(row: TextRow, first: str, second: str, rule: str, *, may_be_equal: bool = False) -> Found:
    start, end = time(row.get(first)), time(row.get(second))
    if start is not None and end is not None and (start > end or (start == end and not may_be_equal)):
        yield Violation(rule, second, f"{second} is before {first}.")


class BillingPeriods:
    def __init__(self) -> None:
        self._closed: dict[tuple[str | None, str | None, str | None], bool] = {}

    def add(self, row: TextRow) -> Found:
        yield from _ordered(row, "BillingPeriodStart", "BillingPeriodEnd", "billing-period")
        yield from _ordered(row, "BillingPeriodCreated", "BillingPeriodLastUpdated", "updated", may_be_equal=True)
        key = (row.get("BillingPeriodStart"), row.get("BillingPeriodEnd"), row.get("InvoiceIssuerName"))
        if key in self._closed:
            yield Violation("double-period", "BillingPeriodStart", "The period of this issuer is there twice.")
        self._closed[key] = row.get("BillingPeriodStatus") == "Closed"

    def against(self, charges: Seen) -> Found:
        for key, has_open in charges.periods.items():
            if key not in self._closed:
                yield Violation("no-period", "BillingPeriodStart", f"Charges of {key[0]} by {key[2]} have no period.")
            elif self._closed[key] and has_open:
                yield Violation("closed-period", "BillingPeriodStatus", f"{key[0]} is closed; a charge has no invoice.")


class InvoiceDetails:
    def __init__(self) -> None:
        self._costs: dict[str, Decimal] = {}
        self._facts: dict[str, tuple[str | None, ...]] = {}
        self._heads: dict[str, tuple[str | None, ...]] = {}

    def add(self, row: TextRow) -> Found:
        yield from _ordered(row, "BillingPeriodStart", "BillingPeriodEnd", "billing-period")
        yield from _ordered(row, "InvoiceDetailCreated", "InvoiceDetailLastUpdated", "updated", may_be_equal=True)
        yield from _ordered(row, "InvoiceIssueDate", "PaymentDueDate", "due", may_be_equal=True)
        is_open = row.get("InvoiceIssueStatus") == "Open"
        if is_open and row.get("InvoiceIssueDate") is not None:
            yield Violation("issued", "InvoiceIssueDate", "An open invoice has not been issued.")
        if row.get("InvoiceIssueStatus") == "Issued" and row.get("InvoiceIssueDate") is None:
            yield Violation("issued", "InvoiceIssueDate", "An issued invoice has a date of issue.")
        head_names = ("InvoiceIssueStatus", "InvoiceIssueDate", "PaymentDueDate", "ReferenceInvoiceId")
        head = tuple(row.get(name) for name in head_names)
        first = self._heads.setdefault(row.get("InvoiceId") or "", head)
        for name, here, before in zip(head_names, head, first, strict=True):
            if here != before:
                yield Violation("one-head", name, f"The invoice has {here} here and {before} before.")
        detail = row.get("InvoiceDetailId") or ""
        if detail in self._costs:
            yield Violation("double-detail", "InvoiceDetailId", f"{detail} is there twice.")
        self._costs[detail] = number(row.get("BilledCost")) or Decimal(0)
        self._facts[detail] = tuple(row.get(name) for name in SHARED)

    def against(self, charges: Seen) -> Found:
        for detail, total in charges.details.items():
            if detail not in self._costs:
                yield Violation("no-detail", "InvoiceDetailId", f"Charges name {detail}, which no invoice has.")
                continue
            if total != self._costs[detail]:
                message = f"{detail} says {self._costs[detail]}; its charges add up to {total}."
                yield Violation("reconcile", "BilledCost", message)
            for name, here, there in zip(SHARED, self._facts[detail], charges.detail_facts[detail], strict=True):
                if here != there:
                    yield Violation("detail-differs", name, f"{detail} has {here}; its charges have {there}.")
        for detail, cost in self._costs.items():
            if detail not in charges.details and cost != 0:
                yield Violation("reconcile", "InvoiceDetailId", f"{detail} asks for {cost} and has no charges.")


class Commitments:
    def __init__(self) -> None:
        self._terms: dict[str, tuple[TextRow, Decimal | None]] = {}

    def add(self, row: TextRow) -> Found:
        yield from _ordered(row, "ContractCommitmentPeriodStart", "ContractCommitmentPeriodEnd", "term")
        yield from _ordered(row, "ContractPeriodStart", "ContractPeriodEnd", "term")
        yield from _ordered(row, "ContractPeriodStart", "ContractCommitmentPeriodStart", "term", may_be_equal=True)
        yield from _ordered(row, "ContractCommitmentPeriodEnd", "ContractPeriodEnd", "term", may_be_equal=True)
        yield from _ordered(
            row, "ContractCommitmentCreated", "ContractCommitmentLastUpdated", "updated", may_be_equal=True
        )
        wanted = "Quantity" if row.get("ContractCommitmentCategory") == "Usage" else "Cost"
        if row.get(f"ContractCommitment{wanted}") is None:
            yield Violation("committed", f"ContractCommitment{wanted}", "What is committed has to be given.")
        if (row.get("ContractCommitmentQuantity") is None) != (row.get("ContractCommitmentUnit") is None):
            yield Violation("committed", "ContractCommitmentUnit", "Quantity and unit are given together.")
        upfront = number(row.get("ContractCommitmentPaymentUpfrontPercentage"))
        model = "No Upfront" if upfront == 0 else "All Upfront" if upfront == 1 else "Partial Upfront"
        if upfront is not None and model != row.get("ContractCommitmentPaymentModel"):
            yield Violation("upfront", "ContractCommitmentPaymentModel", f"A share of {upfront} at once is {model}.")
        yield from _applicability(row)
        name = row.get("ContractCommitmentId") or ""
        if name in self._terms:
            yield Violation("double-commitment", "ContractCommitmentId", f"{name} is there twice.")
        self._terms[name] = (row, number(row.get("ContractCommitmentCost")))

    def against(self, charges: Seen) -> Found:
        starts = [start for start in (time(key[0]) for key in charges.periods) if start is not None]
        ends = [end for end in (time(key[1]) for key in charges.periods) if end is not None]
        for name in sorted(charges.bought.keys() | charges.spread.keys()):
            if name not in self._terms:
                yield Violation("no-commitment-row", "CommitmentDiscountId", f"Nothing is known of {name}.")
                continue
            row, cost = self._terms[name]
            start, end = time(row["ContractCommitmentPeriodStart"]), time(row["ContractCommitmentPeriodEnd"])
            if start is None or end is None or not starts or start < min(starts) or end > max(ends):
                continue  # not all of its term is here
            bought, spread = charges.bought.get(name), charges.spread.get(name, Decimal(0))
            if bought is not None and bought != spread:
                yield Violation("spread", "EffectiveCost", f"{name} cost {bought}, of which {spread} is on its hours.")
            if bought is not None and cost is not None and bought != cost:
                yield Violation("spread", "ContractCommitmentCost", f"{name} says {cost} and was bought for {bought}.")


def _applicability(row: TextRow) -> Found:
    column = "ContractCommitmentApplicability"
    found = json_object(row.get(column) or "")
    rules = found.get("Inclusions") if found else None
    if not isinstance(rules, list) or not rules or found is None or found.get("InclusionOperator") not in ("And", "Or"):
        yield Violation("applicability", column, "It has to say with InclusionOperator and Inclusions what it is for.")
        return
    for rule in rules:
        if not isinstance(rule, dict) or rule.keys() != {"Dimension", "Operator", "Values"} or not rule["Values"]:
            yield Violation("applicability", column, "Each inclusion has Dimension, Operator and Values.")
