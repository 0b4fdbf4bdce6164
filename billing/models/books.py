"""Price books: a currency, prices that hold from one instant until another, and the tax on them."""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from portal.models import Tenant
from portal.models.base import Row, ScopedQuerySet
from portal.models.tenants import slug_rule


class TenantClass(models.TextChoices):
    """By whom a price is paid: those of the house, those who share it, all others."""

    INTERNAL = "internal"
    PARTNER = "partner"
    EXTERNAL = "external"


class PriceBook(Row):
    """A set of prices in one currency. The default book of a currency is for whoever has no terms of their own."""

    scope_paths: ClassVar = {}

    slug = models.CharField(max_length=63, unique=True, validators=[slug_rule])
    name = models.CharField(max_length=200)
    currency = models.CharField(max_length=3)
    is_default = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["currency"], name="book_one_default", condition=Q(is_default=True)),
            models.CheckConstraint(name="book_currency_is_iso", condition=Q(currency__regex=r"^[A-Z]{3}$")),
        ]

    def __str__(self) -> str:
        return self.name


class TaxRule(Row):
    """A tax on all of a book from one instant until another; `rate` 0.06 is six per cent. Fixed as prices are."""

    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="taxes")
    name = models.CharField(max_length=63)
    rate = models.DecimalField(max_digits=9, decimal_places=6)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="tax_rate_is_a_share", condition=Q(rate__gte=0, rate__lt=Decimal(10))),
            models.CheckConstraint(
                name="tax_ends_after_it_begins", condition=Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.rate}"


class BillingTerm(Row):
    """By which book and as whom a tenant pays, from an instant until its next term begins. It never changes.

    Without any: by the default book of the installation's currency, as external, taxed.
    """

    scope_paths: ClassVar = {"tenant": "tenant_id"}

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="billing_terms")
    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="terms")
    tenant_class = models.CharField(max_length=16, choices=TenantClass.choices, default=TenantClass.EXTERNAL)
    is_taxed = models.BooleanField(default=True)
    valid_from = models.DateTimeField()

    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "valid_from"], name="term_begins_once")]

    def __str__(self) -> str:
        return f"{self.tenant_class} by {self.book_id}"
