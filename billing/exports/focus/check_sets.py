"""What rows of Cost and Usage must be to each other. It reads on and on, and keeps a little of each row's ids."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from billing.exports.focus.check_values import TextRow, Violation, number
from billing.exports.focus.currencies import decimals
from billing.exports.focus.money import plus

ZERO = Decimal(0)
# What has only one of something: column, of what, rule.
_ONE = (
    ("SkuPriceId", "SkuId", "one-sku"),
    ("ServiceName", "ServiceCategory", "one-category"),
    ("SubAccountId", "BillingAccountId", "one-account"),
    ("InvoiceId", "BillingCurrency", "one-currency"),
    ("InvoiceId", "BillingAccountId", "one-account"),
    ("InvoiceId", "InvoiceIssuerName", "one-issuer"),
    ("InvoiceId", "BillingPeriodStart", "one-period"),
    ("InvoiceId", "BillingPeriodEnd", "one-period"),
)
# What a line of an invoice and its charges have in common.
SHARED = (
    "InvoiceId", "BillingAccountId", "BillingCurrency", "BillingPeriodStart", "BillingPeriodEnd", "InvoiceIssuerName",
    "ChargeCategory",
)  # fmt: skip


@dataclass
class Seen:
    """What is kept of the rows: sums, and who belongs to whom. Of each line's id, eight bytes."""

    firsts: dict[tuple[str, str, str], str | None] = field(default_factory=dict)
    lines: set[bytes] = field(default_factory=set)
    invoices: dict[str, Decimal] = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict)
    roundings: dict[str, int] = field(default_factory=dict)
    details: dict[str, Decimal] = field(default_factory=dict)
    detail_facts: dict[str, tuple[str | None, ...]] = field(default_factory=dict)
    periods: dict[tuple[str | None, str | None, str | None], bool] = field(default_factory=dict)
    """Period and issuer -> whether a charge of it is on no invoice."""
    bought: dict[str, Decimal] = field(default_factory=dict)
    spread: dict[str, Decimal] = field(default_factory=dict)

    def add(self, row: TextRow) -> Iterator[Violation]:
        for column, of, rule in _ONE:
            name = row.get(column)
            if name is None:
                continue
            first = self.firsts.setdefault((column, of, name), row.get(of))
            if first != row.get(of):
                yield Violation(rule, of, f"{column} {name} has {row.get(of)} here and {first} before.")
        line = row.get("x_LineId")
        if line is not None:
            short = hashlib.blake2b(line.encode(errors="replace"), digest_size=8).digest()
            if short in self.lines:
                yield Violation("double-line", "x_LineId", f"{line} is there twice.")
            self.lines.add(short)
        yield from self._money(row)

    def _money(self, row: TextRow) -> Iterator[Violation]:
        billed, effective = number(row.get("BilledCost")) or ZERO, number(row.get("EffectiveCost")) or ZERO
        invoice, detail = row.get("InvoiceId"), row.get("InvoiceDetailId")
        if invoice is not None:
            self.invoices[invoice] = plus(self.invoices.get(invoice, ZERO), billed)
            self.currencies.setdefault(invoice, row.get("BillingCurrency") or "")
            if row.get("ChargeCategory") == "Adjustment":
                self.roundings[invoice] = self.roundings.get(invoice, 0) + 1
                if self.roundings[invoice] > 1:
                    yield Violation("one-rounding", "ChargeCategory", f"Invoice {invoice} is rounded twice.")
        if detail is not None:
            self.details[detail] = plus(self.details.get(detail, ZERO), billed)
            facts = tuple(row.get(name) for name in SHARED)
            first = self.detail_facts.setdefault(detail, facts)
            for name, here, before in zip(SHARED, facts, first, strict=True):
                if here != before:
                    yield Violation("one-detail", name, f"Line {detail} has {here} here and {before} before.")
        period = (row.get("BillingPeriodStart"), row.get("BillingPeriodEnd"), row.get("InvoiceIssuerName"))
        self.periods[period] = self.periods.get(period, False) or invoice is None
        reservation = row.get("CommitmentDiscountId")
        if reservation is not None:
            into = self.bought if row.get("ChargeCategory") == "Purchase" else self.spread
            into[reservation] = plus(into.get(reservation, ZERO), billed if into is self.bought else effective)

    def whole_invoices(self) -> Iterator[Violation]:
        """Where all charges of each invoice are here: what is paid has no more decimals than its currency."""
        for invoice, total in self.invoices.items():
            quantum = Decimal(1).scaleb(-decimals(self.currencies[invoice]))
            if total % quantum:
                yield Violation("payable", "BilledCost", f"Invoice {invoice} adds up to {total}, which nobody can pay.")

    def payable(self, amounts: dict[str, Decimal]) -> Iterator[Violation]:
        for invoice, amount in amounts.items():
            total = self.invoices.get(invoice)
            if total != amount:
                found = "has no charges" if total is None else f"adds up to {total}"
                yield Violation("payable", "BilledCost", f"Invoice {invoice} {found}; it asks for {amount}.")
