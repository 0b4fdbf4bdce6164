"""What is owed. Once issued, an invoice and its lines are fixed (triggers, migration 0002)."""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.models.charges import Charge
from billing.models.ledger import LedgerTransaction
from billing.periods import month_of
from billing.policy import policy
from billing.rating import payable_of
from billing.states import INVOICE_ARROWS, InvoiceState
from portal.models.base import Row, StatefulRow


class Invoice(StatefulRow):
    """One tenant, one month, one currency. `total` is the sum of its lines, to the last digit.

    A draft holds what is not yet invoiced and is rebuilt as usage comes in. An issued one is corrected by a
    credit note that refers to it, and by the next draft of the same month.
    """

    topic = "invoice"
    arrows = INVOICE_ARROWS
    scope_paths: ClassVar = {"tenant": "tenant_id"}

    tenant_id = models.UUIDField()
    tenant = models.CharField(max_length=200)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    currency = models.CharField(max_length=3)
    state = models.CharField(
        max_length=16, choices=[(s.value, s.value) for s in InvoiceState], default=InvoiceState.DRAFT
    )
    number = models.CharField(max_length=32, null=True, unique=True)  # noqa: DJ001  # none before issue
    refers_to = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="credit_note", help_text="What it cancels."
    )
    total = models.DecimalField(max_digits=38, decimal_places=15, default=Decimal(0))
    posted_in = models.ForeignKey(LedgerTransaction, on_delete=models.PROTECT, null=True, related_name="invoices")
    issued_at = models.DateTimeField(null=True)
    due_on = models.DateField(null=True)
    issuer = models.JSONField(default=dict, help_text="Who asks for it, as it was when it was issued.")
    bill_to = models.JSONField(default=dict, help_text="The tenant's billing profile, as it was when it was issued.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "period_start", "currency"],
                name="invoice_one_draft_once",
                condition=Q(state="draft", refers_to__isnull=True),
            ),
            models.CheckConstraint(
                name="invoice_numbered_when_issued",
                condition=Q(state="draft", number__isnull=True, issued_at__isnull=True)
                | (~Q(state="draft") & Q(number__isnull=False, issued_at__isnull=False)),
            ),
            models.CheckConstraint(name="invoice_period_has_length", condition=Q(period_end__gt=F("period_start"))),
        ]
        indexes = [
            models.Index(fields=["tenant_id", "-id"], name="invoice_tenant_newest"),
            models.Index(fields=["tenant_id", "period_start"], name="invoice_tenant_period"),
        ]

    @property
    def is_credit_note(self) -> bool:
        return self.refers_to_id is not None

    @property
    def payable(self) -> Decimal:
        """The total to the least unit of money. Equal to `total` once issued."""
        return payable_of(self.total)

    @property
    def asks(self) -> bool:
        """Whether somebody is to pay it, or to get it back."""
        return self.state == InvoiceState.ISSUED and not self.is_credit_note and bool(self.total)

    @property
    def is_overdue(self) -> bool:
        if self.due_on is None or not self.asks or self.total < 0:
            return False
        return timezone.now().astimezone(policy().zone).date() > self.due_on

    @property
    def period(self) -> str:
        """The month's name in the billing time zone."""
        return month_of(self.period_start, policy().zone).label

    def __str__(self) -> str:
        return self.number or f"draft for {self.tenant}"


class InvoiceLine(Row):
    """An item at one price: `cost` = `quantity` x `unit_price`, not rounded. No price: not rated, cost 0.

    Its proof is the usage records of the same project, flavor and site within the invoice's month.
    """

    class Category(models.TextChoices):
        USAGE = "usage"
        PURCHASE = "purchase"
        CREDIT = "credit"
        TAX = "tax"
        ADJUSTMENT = "adjustment"

    scope_paths: ClassVar = {"tenant": "invoice__tenant_id"}

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveIntegerField()
    category = models.CharField(max_length=16, choices=Category.choices, default=Category.USAGE)
    project_id = models.UUIDField(null=True)
    project = models.CharField(max_length=200, blank=True, default="")
    flavor_id = models.UUIDField(null=True)
    flavor = models.CharField(max_length=63, blank=True, default="")
    unit = models.CharField(max_length=8, blank=True, default="")
    site = models.CharField(max_length=63, blank=True, default="")
    meter = models.CharField(max_length=16, blank=True, default="", help_text="Empty: what the flavor is counted in.")
    price_id = models.UUIDField(null=True)
    unit_price = models.DecimalField(max_digits=18, decimal_places=6, null=True)
    milli_seconds = models.BigIntegerField(default=0)
    quantity = models.DecimalField(max_digits=24, decimal_places=9, default=Decimal(0))
    cost = models.DecimalField(max_digits=38, decimal_places=15, default=Decimal(0))
    currency = models.CharField(max_length=3)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="invoiceline_position_once"),
            models.CheckConstraint(
                name="invoiceline_cost_is_product",
                condition=Q(category__in=["credit", "tax", "adjustment"], unit_price__isnull=True)
                | Q(category="usage", unit_price__isnull=True, price_id__isnull=True, cost=0)
                | Q(
                    category__in=["usage", "purchase"],
                    unit_price__isnull=False,
                    price_id__isnull=False,
                    cost=F("quantity") * F("unit_price"),
                ),
            ),
        ]

    @property
    def is_rated(self) -> bool:
        return self.category != self.Category.USAGE or self.unit_price is not None

    def __str__(self) -> str:
        return f"{self.category} {self.project} {self.flavor}".strip()


class InvoicedCharge(models.Model):
    """Which charges an invoice asks for (`sign` 1) or a credit note takes back (-1): the proof of its total.

    The billed costs with their signs add up to what its lines do. Added when it is issued, and kept.
    """

    id = models.BigAutoField(primary_key=True)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="charged")
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, related_name="invoiced")
    sign = models.SmallIntegerField(default=1)

    scope_paths: ClassVar = {"tenant": "invoice__tenant_id"}

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["charge", "invoice"], name="charge_once_on_an_invoice"),
            models.CheckConstraint(name="charge_asked_or_taken_back", condition=Q(sign__in=[1, -1])),
        ]

    def __str__(self) -> str:
        return f"{self.charge_id} on {self.invoice_id}"


class NumberSeries(models.Model):
    """The last number given in a series. Raised in the transaction that issues, so there are no gaps."""

    prefix = models.CharField(max_length=24, primary_key=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.prefix}{self.last:04d}"
