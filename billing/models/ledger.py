"""The double-entry ledger: append-only, and each transaction sums to zero in each currency (migration 0006)."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from portal.models.base import ScopedQuerySet, uuid7


class AccountKind(models.TextChoices):
    """What an account counts. Debits are positive, credits negative, whatever the kind."""

    UNBILLED = "unbilled"  # a tenant's usage that no invoice has asked for yet
    RECEIVABLE = "receivable"  # what a tenant was asked for and has not paid
    WALLET = "wallet"  # what a tenant has paid or was given in advance
    REVENUE = "revenue"  # what the cards of a site brought in
    TAX = "tax"  # owed to the tax office
    ROUNDING = "rounding"  # what rounding to the payable amount added or took
    CREDIT = "credit"  # what was given away: grants, amends for bad service
    COMMITMENT = "commitment"  # reservations that were paid for and are not used up
    SETTLEMENT = "settlement"  # between the members of a federation
    CASH = "cash"  # what came in


class LedgerAccount(models.Model):
    """One account for each kind, tenant, site and currency; made when it is first used, and never changed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=16, choices=AccountKind.choices)
    tenant_id = models.UUIDField(null=True)
    site = models.CharField(max_length=63, blank=True, default="")
    currency = models.CharField(max_length=3)

    scope_paths: ClassVar = {"tenant": "tenant_id"}
    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "tenant_id", "site", "currency"], name="account_once", nulls_distinct=False
            ),
            models.CheckConstraint(name="account_currency_is_iso", condition=Q(currency__regex=r"^[A-Z]{3}$")),
        ]

    def __str__(self) -> str:
        return " ".join(filter(None, [self.kind, str(self.tenant_id or ""), self.site, self.currency]))


class TransactionKind(models.TextChoices):
    USAGE = "usage"
    COMMITMENT = "commitment"
    INVOICE = "invoice"
    CREDIT = "credit"
    PAYMENT = "payment"
    SETTLEMENT = "settlement"
    REVERSAL = "reversal"


class LedgerTransaction(models.Model):
    """One posting. `seq` has no gaps; `chain` is the hash of the one before and of all that this one says.

    `key` makes a repeat harmless: the same key with the same content is the same transaction, and with any other
    it is refused. `reverses` is undone by this one: all its entries and charges stand here with the opposite sign.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    seq = models.BigIntegerField(unique=True)
    kind = models.CharField(max_length=16, choices=TransactionKind.choices)
    tenant_id = models.UUIDField(null=True)
    key = models.CharField(max_length=200, unique=True)
    reverses = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="reversals", db_index=False)
    memo = models.CharField(max_length=500, blank=True, default="")
    by = models.CharField(max_length=150)
    posted_at = models.DateTimeField()
    digest = models.CharField(max_length=64)
    chain = models.CharField(max_length=64)

    scope_paths: ClassVar = {"tenant": "tenant_id"}
    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["tenant_id", "-seq"], name="transaction_tenant"),
            models.Index(fields=["reverses"], name="transaction_reversed", condition=Q(reverses__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.kind}"


class LedgerEntry(models.Model):
    """What one transaction moves on one account: a debit above zero, a credit below."""

    id = models.BigAutoField(primary_key=True)
    transaction = models.ForeignKey(LedgerTransaction, on_delete=models.PROTECT, related_name="entries")
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="entries")
    amount = models.DecimalField(max_digits=38, decimal_places=15)
    currency = models.CharField(max_length=3)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    scope_paths: ClassVar = {"tenant": "transaction__tenant_id"}
    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["transaction", "account"], name="entry_once_per_account")]
        indexes = [models.Index(fields=["account", "id"], name="entry_account")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"
