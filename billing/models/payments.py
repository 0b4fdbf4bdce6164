"""What came in for invoices. Append-only (triggers, migration 0010): what was wrong is reversed."""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import Q, Sum

from billing.models.invoices import Invoice
from billing.models.ledger import LedgerTransaction
from portal.models.base import Row, ScopedQuerySet


class PaymentQuerySet(ScopedQuerySet["Payment"]):
    def paid(self) -> Decimal:
        found: Decimal = self.aggregate(paid=Sum("amount", default=Decimal(0)))["paid"]
        return found


class Payment(Row):
    """Money for one invoice, or what takes a payment back. Below zero where an invoice is owed to its tenant."""

    scope_paths: ClassVar = {"tenant": "tenant_id"}

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="payments")
    tenant_id = models.UUIDField()
    amount = models.DecimalField(max_digits=20, decimal_places=2)
    currency = models.CharField(max_length=3)
    received_on = models.DateField()
    reference = models.CharField(max_length=200, help_text="As the bank has it.")
    reverses = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="reversal")
    posted_in = models.OneToOneField(LedgerTransaction, on_delete=models.PROTECT, related_name="payment")
    by = models.CharField(max_length=150)

    objects: ClassVar = PaymentQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(name="payment_is_of_something", condition=~Q(amount=0))]
        indexes = [models.Index(fields=["tenant_id", "-id"], name="payment_tenant_newest")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} {self.reference}"
