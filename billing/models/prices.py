"""What an hour costs. A price version never changes: it ends, and another begins."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Now
from django.db.models.lookups import Exact

from billing.models.books import BillingTerm, PriceBook, TenantClass
from billing.rating import Meter, PriceWindow, ServiceClass, Tier, TierMode, TierScope
from portal.models import Project, ResourceFlavor, Tenant
from portal.models.base import Row, ScopedQuerySet

if TYPE_CHECKING:
    from portal.permissions import Scope


def whole_second(field: str) -> Exact:
    return Exact(F(field), Func(Value("second"), F(field), function="date_trunc", output_field=models.DateTimeField()))


class PriceQuerySet(ScopedQuerySet["PriceVersion"]):
    def in_scope(self, scope: "Scope") -> "PriceQuerySet":
        """List prices of default books are for everybody, others for tenants that pay by their book; an agreed price is
        for its tenant, people of its projects too.
        """
        if scope.is_everything:
            return self
        if scope.is_empty:
            return self.none()
        through = Project.objects.filter(pk__in=scope.projects).values("tenant_id")
        mine = Q(tenant__in=scope.tenants) | Q(tenant__in=through)
        books = BillingTerm.objects.filter(mine).values("book_id")
        return self.filter(mine | Q(tenant=None, book__is_default=True) | Q(tenant=None, book__in=books))

    def alike(
        self, *, flavor_id: UUID | None, tenant_id: UUID | None, currency: str, book_id: UUID | None = None, **key: str
    ) -> "PriceQuerySet":
        """Versions of one price, of which only one can hold at a time. What is not named is empty: for any."""
        mine = Q(tenant=None) if tenant_id is None else Q(tenant_id=tenant_id)
        flavor = Q(flavor=None) if flavor_id is None else Q(flavor_id=flavor_id)
        book = Q(book_id=book_id) if book_id else Q(book__is_default=True)
        named = {"meter": Meter.ACCELERATOR, **dict.fromkeys(ANY, ""), **key}
        return self.filter(mine, flavor, book, currency=currency, **named)

    def plain(self, currency: str) -> "PriceQuerySet":
        """Prices of the flavors' own units in the default book, for any class, site and way of slicing."""
        return self.filter(book__is_default=True, currency=currency, meter=Meter.ACCELERATOR, **dict.fromkeys(ANY, ""))

    def for_tenant(self, tenant_id: UUID, currency: str) -> "PriceQuerySet":
        return self.filter(Q(tenant=None) | Q(tenant_id=tenant_id), currency=currency)

    def holding(self, start: datetime, end: datetime) -> "PriceQuerySet":
        """Prices that hold at some time between two instants."""
        return self.filter(Q(valid_to=None) | Q(valid_to__gt=start), valid_from__lt=end)


ANY = ("tenant_class", "site", "slicing_mode", "service_class")


class PriceVersion(Row):
    """One price of one SKU from one instant until another begins: an hour of a flavor's whole unit.

    No tenant: the list's. An empty `tenant_class`, `site`, `slicing_mode` or `service_class` is for any; of several
    that fit, the more particular goes first, in the order of `billing.rating.prices.rank`. With tiers, `unit_price`
    is that of the first. Triggers (migration 0006) refuse two of the same key at once, and any change but an end.
    """

    scope_paths: ClassVar = {"tenant": "tenant_id"}

    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="prices")
    flavor = models.ForeignKey(ResourceFlavor, on_delete=models.PROTECT, null=True, related_name="prices")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, null=True, related_name="prices")
    meter = models.CharField(max_length=16, choices=[(m.value, m.value) for m in Meter], default=Meter.ACCELERATOR)
    tenant_class = models.CharField(max_length=16, choices=TenantClass.choices, blank=True, default="")
    site = models.CharField(max_length=63, blank=True, default="")
    slicing_mode = models.CharField(max_length=16, blank=True, default="")
    service_class = models.CharField(
        max_length=16, choices=[(c.value, c.value) for c in ServiceClass], blank=True, default=""
    )
    currency = models.CharField(max_length=3)
    unit_price = models.DecimalField(max_digits=18, decimal_places=6)
    tier_mode = models.CharField(max_length=16, choices=[(m.value, m.value) for m in TierMode], blank=True, default="")
    tier_scope = models.CharField(
        max_length=16, choices=[(c.value, c.value) for c in TierScope], default=TierScope.TENANT
    )
    tier_starts = ArrayField(
        models.DecimalField(max_digits=24, decimal_places=9), default=list, blank=True,
        help_text="From how many units on the tiers above the first begin, in order.",
    )  # fmt: skip
    tier_prices = ArrayField(models.DecimalField(max_digits=18, decimal_places=6), default=list, blank=True)
    minimum_seconds = models.PositiveIntegerField(default=0, help_text="A run is billed for at least this long.")
    step_seconds = models.PositiveIntegerField(default=1, help_text="A run is billed in whole steps of this.")
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar = PriceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(name="price_not_negative", condition=Q(unit_price__gte=0)),
            models.CheckConstraint(name="price_currency_is_iso", condition=Q(currency__regex=r"^[A-Z]{3}$")),
            models.CheckConstraint(
                name="price_ends_after_it_begins",
                condition=Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")),
            ),
            models.CheckConstraint(
                name="price_edges_are_whole_seconds",
                condition=Q(whole_second("valid_from")) & (Q(valid_to__isnull=True) | Q(whole_second("valid_to"))),
            ),
            models.CheckConstraint(name="price_tiers_have_a_mode", condition=Q(tier_starts=[]) | ~Q(tier_mode="")),
            models.CheckConstraint(name="price_tiers_have_prices", condition=Q(tier_starts__len=F("tier_prices__len"))),
            models.CheckConstraint(name="price_step_at_least_a_second", condition=Q(step_seconds__gte=1)),
            models.CheckConstraint(
                name="price_of_cards_names_a_flavor",
                condition=Q(flavor__isnull=False) | ~Q(meter__in=["accelerator", "reservation"]),
            ),
        ]
        indexes = [
            models.Index(fields=["flavor", "tenant", "currency", "valid_from"], name="price_alike"),
            models.Index(fields=["-changed_at"], name="price_changed"),
        ]

    def window(self) -> PriceWindow:
        return PriceWindow(
            id=self.pk,
            flavor_id=self.flavor_id,
            is_own=self.tenant_id is not None,
            unit_price=self.unit_price,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            meter=Meter(self.meter),
            tenant_class=self.tenant_class,
            site=self.site,
            slicing_mode=self.slicing_mode,
            service_class=self.service_class,
            tier_mode=TierMode(self.tier_mode) if self.tier_mode else None,
            tier_scope=TierScope(self.tier_scope),
            tiers=tuple(map(Tier, self.tier_starts, self.tier_prices)),
            minimum_seconds=self.minimum_seconds,
            step_seconds=self.step_seconds,
        )

    def __str__(self) -> str:
        return f"{self.unit_price} {self.currency} from {self.valid_from:%Y-%m-%d %H:%M:%S}Z"
