"""Months that are closed, and what their closing settled. Fixed when closed (triggers, migration 0011)."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from billing.models.ledger import LedgerTransaction
from billing.states import MONTH_ARROWS, MonthState
from portal.models.base import Row, ScopedQuerySet, StatefulRow


class Month(StatefulRow):
    """A month of the billing time zone, from the first usage on.

    Closed, it is what the ledger said of it at `ledger_seq`, and of earlier months after `previous_seq`, the one of the
    month closed before. What comes later is a correction, and belongs to the closing of the next.
    """

    topic = "month"
    arrows = MONTH_ARROWS
    scope_paths: ClassVar = {}
    tenant_id: ClassVar[None] = None

    label = models.CharField(max_length=7, unique=True)
    period_start = models.DateTimeField(unique=True)
    period_end = models.DateTimeField()
    state = models.CharField(max_length=16, choices=[(s.value, s.value) for s in MonthState], default=MonthState.OPEN)
    done_until = models.UUIDField(null=True, help_text="The last tenant that this step of the closing has done.")
    accepted = models.JSONField(default=list, help_text="What was in the way, and closed over by whoever asked.")
    asked_by = models.CharField(max_length=150, blank=True, default="")
    ledger_seq = models.BigIntegerField(null=True)
    previous_seq = models.BigIntegerField(null=True)
    posted_in = models.OneToOneField(LedgerTransaction, on_delete=models.PROTECT, null=True, related_name="month")
    closed_at = models.DateTimeField(null=True)
    archive_sha256 = models.CharField(max_length=64, blank=True, default="")
    archive_bytes = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(name="month_has_length", condition=Q(period_end__gt=F("period_start"))),
            models.CheckConstraint(
                name="month_closed_with_its_archive",
                condition=~Q(state="closed")
                | ~Q(archive_sha256="") & Q(closed_at__isnull=False, ledger_seq__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.label


class SettlementLine(Row):
    """What one party owes another for a month, by its closing. `period` is an earlier month where usage came late.

    Between sites a party is a site's slug, and empty for the hub; between departments a department's slug, and empty
    for the tenant's centre, which pays the invoices. Plain ids and copies of names.
    """

    class Side(models.TextChoices):
        SITE = "site"
        DEPARTMENT = "department"

    scope_paths: ClassVar = {"tenant": "tenant_id"}

    month = models.ForeignKey(Month, on_delete=models.PROTECT, related_name="settlement")
    side = models.CharField(max_length=16, choices=Side.choices)
    tenant_id = models.UUIDField()
    tenant = models.CharField(max_length=200)
    debtor = models.CharField(max_length=63, blank=True, default="")
    creditor = models.CharField(max_length=63, blank=True, default="")
    period = models.CharField(max_length=7)
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=38, decimal_places=15)

    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["month", "side", "tenant_id", "debtor", "creditor", "period", "currency"],
                name="settlement_once",
            ),
            models.CheckConstraint(name="settlement_of_two", condition=~Q(debtor=F("creditor"))),
        ]
        indexes = [models.Index(fields=["tenant_id", "-id"], name="settlement_tenant_newest")]

    def __str__(self) -> str:
        return f"{self.debtor or 'hub'} to {self.creditor or 'hub'}: {self.amount} {self.currency}"
