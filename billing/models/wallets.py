"""Money that a tenant has in advance: what it paid in or was given, until when, and what became of it."""

from decimal import Decimal
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce, Now

from billing.models.invoices import Invoice
from billing.models.ledger import LedgerTransaction
from portal.models import Tenant
from portal.models.base import Row, ScopedQuerySet


class WalletQuerySet(ScopedQuerySet["Wallet"]):
    def with_balance(self) -> "WalletQuerySet":
        """`balance`: what is in it, below zero as far as it is overdrawn."""
        given = _sum(Credit.objects.filter(wallet=models.OuterRef("pk")).values("wallet"))
        return self.annotate(balance=given - used_by("wallet"))


def used_by(whose: str) -> Coalesce:
    """What was taken for the wallet, credit or invoice at hand, less what was given back."""
    return _sum(CreditUse.objects.filter(**{whose: models.OuterRef("pk")}).values(whose))


def _sum(rows: Any) -> Coalesce:
    money: Any = models.DecimalField(max_digits=38, decimal_places=2)
    total = rows.order_by().annotate(total=Sum("amount")).values("total")
    return Coalesce(models.Subquery(total), Decimal(0), output_field=money)


class Wallet(Row):
    """One for each tenant and currency. It never holds less than nothing, unless an overdraft is agreed."""

    topic: ClassVar = "wallet"
    scope_paths: ClassVar = {"tenant": "tenant_id"}

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="wallets")
    currency = models.CharField(max_length=3)
    overdraft = models.DecimalField(
        max_digits=20, decimal_places=2, default=Decimal(0), help_text="How far below zero it may go."
    )

    objects: ClassVar = WalletQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "currency"], name="wallet_once"),
            models.CheckConstraint(name="wallet_overdraft_not_negative", condition=Q(overdraft__gte=0)),
            models.CheckConstraint(name="wallet_currency_is_iso", condition=Q(currency__regex=r"^[A-Z]{3}$")),
        ]

    def __str__(self) -> str:
        return f"{self.currency} of {self.tenant_id}"


class CreditQuerySet(ScopedQuerySet["Credit"]):
    def with_left(self) -> Any:
        """`left`: what of each is not used up."""
        return self.annotate(left=F("amount") - used_by("credit"))

    def in_order(self) -> Any:
        """As it is used: what expires first goes first, then the oldest."""
        return self.order_by(F("expires_at").asc(nulls_last=True), "created_at", "id")


class Credit(Row):
    """Money that came into a wallet. Never changed; what became of it is in `CreditUse`."""

    class Kind(models.TextChoices):
        TOP_UP = "top-up"  # paid in
        GRANT = "grant"  # given

    scope_paths: ClassVar = {"tenant": "wallet__tenant_id"}

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="credits")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    amount = models.DecimalField(max_digits=20, decimal_places=2)
    expires_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=200, blank=True, default="")
    by = models.CharField(max_length=150)
    posted_in = models.OneToOneField(LedgerTransaction, on_delete=models.PROTECT, related_name="credit")

    objects: ClassVar = CreditQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(name="credit_is_more_than_nothing", condition=Q(amount__gt=0))]
        indexes = [models.Index(fields=["wallet", "expires_at", "created_at"], name="credit_in_order")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.amount}"


class CreditUse(models.Model):
    """What was taken from a credit: for an invoice, or because it expired; below zero when it was given back.

    Without a credit it is on the wallet's overdraft, and the next credit makes it good.
    """

    class Reason(models.TextChoices):
        INVOICE = "invoice"
        RESTORED = "restored"  # the invoice was cancelled
        EXPIRED = "expired"
        OVERDRAFT = "overdraft"  # a credit makes good what was overdrawn

    scope_paths: ClassVar = {"tenant": "wallet__tenant_id"}

    id = models.BigAutoField(primary_key=True)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="uses")
    credit = models.ForeignKey(Credit, on_delete=models.PROTECT, null=True, related_name="uses")
    reason = models.CharField(max_length=10, choices=Reason.choices)
    amount = models.DecimalField(max_digits=20, decimal_places=2)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, null=True, related_name="credit_uses")
    posted_in = models.ForeignKey(LedgerTransaction, on_delete=models.PROTECT, null=True, related_name="credit_uses")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(name="credituse_is_something", condition=~Q(amount=0))]

    def __str__(self) -> str:
        return f"{self.reason} {self.amount}"
