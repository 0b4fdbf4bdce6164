"""What each piece of usage costs: the lines of the ledger, from which all invoices and exports are made."""

from decimal import Decimal
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from billing.models.ledger import LedgerTransaction
from billing.rating import Meter, PricingModel
from portal.models.base import ScopedQuerySet, uuid7


class ChargeCategory(models.TextChoices):
    """Named as in FOCUS."""

    USAGE = "usage"
    PURCHASE = "purchase"
    CREDIT = "credit"
    TAX = "tax"
    ADJUSTMENT = "adjustment"


class ChargeQuerySet(ScopedQuerySet["Charge"]):
    def between(self, start: object, end: object) -> "ChargeQuerySet":
        return self.filter(period_start__lt=end, period_end__gt=start)

    def live(self) -> "ChargeQuerySet":
        """Without those that were reversed, and without the reversals: sums are the same with and without.

        What a reversal of a reversal restored stands in that one, and can be taken back, but not restored again.
        """
        restored = Q(reverses__reverses__isnull=False, reverses__reverses__reverses=None)
        answered = Charge.objects.filter(reverses=OuterRef("pk"))
        return self.filter(Q(reverses=None) | restored).exclude(Exists(answered))


class Charge(models.Model):
    """A rated line. Append-only: a wrong one is answered by its one reversal (`reverses`), its opposite in each amount.

    `list_cost` and `contracted_cost` are exact products of `quantity` and their unit price. `billed_cost` is what
    goes onto an invoice (0 where a commitment covers it), `effective_cost` what it costs with commitments spread over
    what they cover. `sku` is what is sold (flavor, slicing mode, service class and meter), of which `price_version_id`
    is a price. `usage_record_ids` are what it was computed from, and each record names the changes of state and
    the proof it rests on. Plain ids and copies of names: it outlives what it tells of.
    """

    scope_paths: ClassVar = {"tenant": "tenant_id", "project": "project_id"}

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    transaction = models.ForeignKey(LedgerTransaction, on_delete=models.PROTECT, related_name="charges")
    position = models.PositiveIntegerField(help_text="Within its transaction.")
    category = models.CharField(max_length=16, choices=ChargeCategory.choices)
    reverses = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="reversals", db_index=False)
    is_correction = models.BooleanField(default=False, help_text="Of a month that was invoiced before.")

    is_minimum = models.BooleanField(default=False, help_text="Beyond what ran: up to the least, or a whole step.")

    tenant_id = models.UUIDField()
    tenant = models.CharField(max_length=200)
    project_id = models.UUIDField(null=True)
    project = models.CharField(max_length=200, blank=True, default="")
    workload_id = models.UUIDField(null=True)
    workload = models.CharField(max_length=200, blank=True, default="")
    workload_kind = models.CharField(max_length=16, blank=True, default="")
    allocation_id = models.UUIDField(null=True)
    user = models.CharField(max_length=150, blank=True, default="", help_text="Who submitted the work.")
    site = models.CharField(max_length=63, blank=True, default="")
    cluster = models.CharField(max_length=63, blank=True, default="")
    pool = models.CharField(max_length=63, blank=True, default="")
    node = models.CharField(max_length=253, blank=True, default="")
    flavor_id = models.UUIDField(null=True)
    flavor = models.CharField(max_length=63, blank=True, default="")
    model = models.CharField(max_length=64, blank=True, default="")
    slicing_mode = models.CharField(max_length=16, blank=True, default="")
    service_class = models.CharField(max_length=16, blank=True, default="")
    tenant_class = models.CharField(max_length=16, blank=True, default="")
    meter = models.CharField(max_length=16, choices=[(m.value, m.value) for m in Meter], blank=True, default="")
    sku = models.CharField(max_length=128, blank=True, default="")

    billing_period_start = models.DateTimeField()
    billing_period_end = models.DateTimeField()
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    milli_seconds = models.BigIntegerField(default=0, help_text="Consumed: seconds x 1/1000 of a unit.")
    quantity = models.DecimalField(max_digits=24, decimal_places=9, null=True)
    unit = models.CharField(max_length=32, blank=True, default="", help_text="As Accelerator-Hours.")
    tier = models.PositiveSmallIntegerField(default=0)
    pricing = models.CharField(
        max_length=16, choices=[(m.value, m.value) for m in PricingModel], blank=True, default=""
    )
    list_unit_price = models.DecimalField(max_digits=18, decimal_places=6, null=True)
    contracted_unit_price = models.DecimalField(max_digits=18, decimal_places=6, null=True)
    list_cost = models.DecimalField(max_digits=38, decimal_places=15, default=Decimal(0))
    contracted_cost = models.DecimalField(max_digits=38, decimal_places=15, default=Decimal(0))
    billed_cost = models.DecimalField(max_digits=38, decimal_places=15, default=Decimal(0))
    effective_cost = models.DecimalField(max_digits=38, decimal_places=15, default=Decimal(0))
    currency = models.CharField(max_length=3)
    price_version_id = models.UUIDField(null=True)
    list_price_version_id = models.UUIDField(null=True)
    commitment_id = models.UUIDField(null=True)
    tax_rule_id = models.UUIDField(null=True)
    rule_version = models.CharField(max_length=16)
    usage_record_ids = ArrayField(models.UUIDField(), default=list)
    description = models.CharField(max_length=500, blank=True, default="")

    objects: ClassVar = ChargeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["transaction", "position"], name="charge_position_once"),
            models.UniqueConstraint(
                fields=["reverses"], name="charge_reversed_once", condition=Q(reverses__isnull=False)
            ),
            models.CheckConstraint(
                name="charge_list_cost_is_product",
                condition=Q(list_unit_price__isnull=True, list_cost=0)
                | Q(list_cost=F("quantity") * F("list_unit_price"))
                | ~Q(category="usage"),
            ),
            models.CheckConstraint(
                name="charge_contracted_cost_is_product",
                condition=Q(contracted_unit_price__isnull=True)
                | Q(contracted_cost=F("quantity") * F("contracted_unit_price")),
            ),
            models.CheckConstraint(name="charge_currency_is_iso", condition=Q(currency__regex=r"^[A-Z]{3}$")),
            models.CheckConstraint(
                name="charge_lies_in_its_billing_period",
                condition=Q(
                    period_start__gte=F("billing_period_start"),
                    period_end__lte=F("billing_period_end"),
                    period_end__gte=F("period_start"),
                ),
            ),
        ]
        indexes = [
            models.Index(fields=["tenant_id", "billing_period_start", "id"], name="charge_tenant_month"),
            models.Index(fields=["tenant_id", "-id"], name="charge_tenant_newest"),
            models.Index(fields=["period_start"], name="charge_period_start"),
            models.Index(fields=["allocation_id"], name="charge_allocation"),
            GinIndex(fields=["usage_record_ids"], name="charge_of_usage"),
            models.Index(
                fields=["billing_period_start"],
                name="charge_unrated",
                condition=Q(category="usage", price_version_id=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.category} {self.billed_cost} {self.currency}"
