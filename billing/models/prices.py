"""What an hour costs. A price never changes: it ends, and another begins."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Now
from django.db.models.lookups import Exact

from billing.rating import PriceWindow
from portal.models import Project, ResourceFlavor, Tenant
from portal.models.base import Row, ScopedQuerySet

if TYPE_CHECKING:
    from portal.permissions import Scope


def whole_second(field: str) -> Exact:
    return Exact(F(field), Func(Value("second"), F(field), function="date_trunc", output_field=models.DateTimeField()))


class PriceQuerySet(ScopedQuerySet["Price"]):
    def in_scope(self, scope: "Scope") -> "PriceQuerySet":
        """List prices are for everybody; an agreed price is for its tenant, people of its projects too."""
        if scope.is_everything:
            return self
        if scope.is_empty:
            return self.none()
        through = Project.objects.filter(pk__in=scope.projects).values("tenant_id")
        return self.filter(Q(tenant=None) | Q(tenant__in=scope.tenants) | Q(tenant__in=through))

    def alike(self, *, flavor_id: UUID, tenant_id: UUID | None, currency: str) -> "PriceQuerySet":
        """Prices of which only one can hold at a time."""
        mine = Q(tenant=None) if tenant_id is None else Q(tenant_id=tenant_id)
        return self.filter(mine, flavor_id=flavor_id, currency=currency)

    def for_tenant(self, tenant_id: UUID, currency: str) -> "PriceQuerySet":
        return self.filter(Q(tenant=None) | Q(tenant_id=tenant_id), currency=currency)

    def holding(self, start: datetime, end: datetime) -> "PriceQuerySet":
        """Prices that hold at some time between two instants."""
        return self.filter(Q(valid_to=None) | Q(valid_to__gt=start), valid_from__lt=end)


class Price(Row):
    """An hour of a flavor's whole unit (a card-hour, a core-hour). No tenant: the list price.

    Triggers (migration 0002) refuse two that hold at once, and any change but an end.
    """

    scope_paths: ClassVar = {"tenant": "tenant_id"}

    flavor = models.ForeignKey(ResourceFlavor, on_delete=models.PROTECT, related_name="prices")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, null=True, related_name="prices")
    currency = models.CharField(max_length=3)
    unit_price = models.DecimalField(max_digits=18, decimal_places=6)
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
        ]
        indexes = [
            models.Index(fields=["flavor", "tenant", "currency", "valid_from"], name="price_alike"),
            models.Index(fields=["-changed_at"], name="price_changed"),
        ]

    def window(self) -> PriceWindow:
        return PriceWindow(
            self.pk,
            self.flavor_id,
            self.tenant_id is not None,
            self.unit_price,
            self.valid_from,
            self.valid_to,
        )

    def __str__(self) -> str:
        return f"{self.unit_price} {self.currency} from {self.valid_from:%Y-%m-%d %H:%M:%S}Z"
