"""How much a tenant or a project may spend in a month, and what of it work that is let in may still need."""

from decimal import Decimal
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from portal.models import Project, Tenant
from portal.models.base import Row

_EXACT: dict[str, Any] = {"max_digits": 38, "decimal_places": 15, "default": Decimal(0)}
THRESHOLDS = (50, 80, 100)  # per cent


class OnExhausted(models.TextChoices):
    """What happens to work when a budget is spent. New work is refused in either case."""

    REFUSE = "refuse"  # what runs may go on
    STOP = "stop"  # what runs is suspended, to be resumed when there is money again


class Budget(Row):
    """The most that a tenant, or one project of it, may spend in each month of the billing time zone.

    `spent` is what the month's usage is worth so far, `held` what work that was let in may still come to at worst.
    Whoever lets work in holds this row's lock, so that spent + held + new <= limit is true of all of them together.
    `charged` is the part of `spent` that the ledger has, up to its transaction `counted_seq`.
    """

    topic: ClassVar = "budget"
    scope_paths: ClassVar = {"tenant": "tenant_id", "project": "project_id"}

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="budgets")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, related_name="budgets")
    currency = models.CharField(max_length=3)
    limit = models.DecimalField(max_digits=20, decimal_places=2, help_text="For each month.")
    on_exhausted = models.CharField(max_length=8, choices=OnExhausted.choices, default=OnExhausted.REFUSE)
    horizon_hours = models.PositiveIntegerField(
        null=True, help_text="What work without a time limit reserves at once; empty: until the month ends."
    )
    thresholds = ArrayField(models.PositiveSmallIntegerField(), default=list, help_text="Alerts, in per cent.")
    period_start = models.DateTimeField(help_text="The month that what follows is about.")
    charged = models.DecimalField(**_EXACT)
    counted_seq = models.BigIntegerField(default=0)
    spent = models.DecimalField(**_EXACT)
    held = models.DecimalField(**_EXACT)
    settled_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "project", "currency"], name="budget_once", nulls_distinct=False,
                condition=Q(ended_at__isnull=True),
            ),
            models.CheckConstraint(name="budget_limit_not_negative", condition=Q(limit__gte=0)),
            models.CheckConstraint(name="budget_held_not_negative", condition=Q(held__gte=0)),
            models.CheckConstraint(name="budget_currency_is_iso", condition=Q(currency__regex=r"^[A-Z]{3}$")),
        ]  # fmt: skip
        indexes = [models.Index(fields=["settled_at"], name="budget_due", condition=Q(ended_at__isnull=True))]

    @property
    def left(self) -> Decimal:
        """What new work may come to. Below zero when more was spent than was foreseen."""
        return self.limit - self.spent - self.held

    def __str__(self) -> str:
        return f"{self.limit} {self.currency} a month for {self.project_id or self.tenant_id}"


class BudgetHold(models.Model):
    """What one workload may still cost a budget this month: `amount` at worst, of which `used` is spent already.

    `rate` is what an hour of it costs at most. Released when the work has ended and all its usage is metered.
    """

    id = models.BigAutoField(primary_key=True)
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="holds")
    workload_id = models.UUIDField()
    attempt = models.PositiveIntegerField(default=1)
    rate = models.DecimalField(**_EXACT)
    amount = models.DecimalField(**_EXACT)
    charged = models.DecimalField(**_EXACT)
    used = models.DecimalField(**_EXACT)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["budget", "workload_id"], name="budgethold_once"),
            models.CheckConstraint(name="budgethold_not_negative", condition=Q(amount__gte=0, rate__gte=0)),
        ]
        indexes = [
            models.Index(fields=["budget"], name="budgethold_open", condition=Q(released_at__isnull=True)),
        ]

    @property
    def left(self) -> Decimal:
        return max(self.amount - self.used, Decimal(0))

    def __str__(self) -> str:
        return f"{self.amount} for {self.workload_id}"


class BudgetAlert(models.Model):
    """A month's spending has reached so many per cent of its budget. Once for each of them and month."""

    id = models.BigAutoField(primary_key=True)
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="alerts")
    period_start = models.DateTimeField()
    threshold = models.PositiveSmallIntegerField(help_text="Per cent.")
    spent = models.DecimalField(max_digits=38, decimal_places=15)
    limit = models.DecimalField(max_digits=20, decimal_places=2)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["budget", "period_start", "threshold"], name="budgetalert_once"),
            models.CheckConstraint(
                name="budgetalert_was_reached", condition=Q(spent__gte=F("limit") * F("threshold") / 100)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.threshold} % of {self.limit}"
