"""Prices: the list's, and those agreed with a tenant."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.actions import prices
from billing.api.books import book_named, check_site
from billing.models import PriceVersion, TenantClass
from billing.policy import policy
from billing.rating import Meter, ServiceClass, Tier, TierMode, TierScope
from federation.accelerators.catalogue import SLICING_MODES
from portal.errors import Invalid
from portal.http.filters import FilterSet
from portal.http.scope import tenant_here
from portal.http.viewsets import ReadViewSet
from portal.models import ResourceFlavor

_METERS = [meter.value for meter in Meter]
_OF_FLAVORS = {Meter.ACCELERATOR, Meter.RESERVATION}
_YEAR = 366 * 86_400


class TierSerializer(serializers.Serializer[Any]):
    """From so many units of the month on, a unit costs this."""

    start = serializers.DecimalField(max_digits=24, decimal_places=9, min_value=Decimal("0.000000001"))
    unit_price = serializers.DecimalField(max_digits=18, decimal_places=6, min_value=Decimal(0))


class PriceSerializer(serializers.ModelSerializer[PriceVersion]):
    """An hour of the flavor's whole unit. No tenant: the list price. No end: until another begins."""

    flavor = serializers.CharField(source="flavor.name", default="", help_text="Empty: any.")
    unit = serializers.CharField(source="flavor.unit", default="")
    tenant = serializers.UUIDField(source="tenant_id", allow_null=True)
    tenant_name = serializers.CharField(source="tenant.name", default=None, allow_null=True)
    book = serializers.CharField(source="book.slug")
    tiers = serializers.SerializerMethodField()

    class Meta:
        model = PriceVersion
        fields = [
            "id", "flavor", "unit", "tenant", "tenant_name", "unit_price", "currency", "valid_from", "valid_to",
            "created_at", "version", "book", "meter", "tenant_class", "site", "slicing_mode", "service_class",
            "tier_mode", "tier_scope", "tiers", "minimum_seconds", "step_seconds",
        ]  # fmt: skip

    @extend_schema_field(TierSerializer(many=True))
    def get_tiers(self, price: PriceVersion) -> Any:
        found = zip(price.tier_starts, price.tier_prices, strict=True)
        return TierSerializer(
            [{"start": start, "unit_price": unit_price} for start, unit_price in found], many=True
        ).data


class NewPriceSerializer(serializers.Serializer[Any]):
    flavor = serializers.CharField(
        max_length=63, required=False, allow_blank=True, help_text="Empty: any; for cores, memory and energy only."
    )
    tenant = serializers.UUIDField(required=False, allow_null=True)
    book = serializers.CharField(max_length=63, required=False, help_text="Empty: the default one.")
    meter = serializers.ChoiceField(_METERS, default=Meter.ACCELERATOR)
    tenant_class = serializers.ChoiceField(TenantClass.choices, required=False, allow_blank=True)
    site = serializers.CharField(max_length=63, required=False, allow_blank=True)
    slicing_mode = serializers.CharField(max_length=16, required=False, allow_blank=True)
    service_class = serializers.ChoiceField([c.value for c in ServiceClass], required=False, allow_blank=True)
    tier_mode = serializers.ChoiceField([m.value for m in TierMode], required=False, allow_blank=True)
    tier_scope = serializers.ChoiceField([s.value for s in TierScope], default=TierScope.TENANT)
    tiers = TierSerializer(many=True, required=False, help_text="Above the first, which is `unit_price`.")
    minimum_seconds = serializers.IntegerField(default=0, min_value=0, max_value=_YEAR)
    step_seconds = serializers.IntegerField(default=1, min_value=1, max_value=_YEAR)
    unit_price = serializers.DecimalField(max_digits=18, decimal_places=6, min_value=Decimal(0))
    currency = serializers.CharField(required=False, max_length=3, help_text="That of the book; no other.")
    valid_from = serializers.DateTimeField(required=False, allow_null=True, help_text="Empty: now.")
    valid_to = serializers.DateTimeField(required=False, allow_null=True, help_text="Empty: until another begins.")


_TERMS = [field for field in prices.Terms.__dataclass_fields__ if field != "tiers"]


class PriceFilter(FilterSet):
    flavor = django_filters.CharFilter(field_name="flavor__name")
    tenant = django_filters.UUIDFilter(field_name="tenant_id")
    book = django_filters.CharFilter(field_name="book__slug")
    holds_at = django_filters.IsoDateTimeFilter(method="holding", help_text="Prices that hold at this instant.")

    class Meta:
        model = PriceVersion
        fields = ["flavor", "tenant", "currency", "meter", "site"]

    def holding(self, rows: Any, name: str, at: datetime) -> Any:
        return rows.holding(at, at + timedelta(microseconds=1))


class PriceViewSet(ReadViewSet):
    queryset = PriceVersion.objects.select_related("flavor", "tenant", "book")
    serializer_class = PriceSerializer
    filterset_class = PriceFilter
    permissions = {"list": "price.view", "retrieve": "price.view", "create": "price.edit"}

    @extend_schema(request=NewPriceSerializer, responses={201: PriceSerializer})
    def create(self, request: Request) -> Response:
        """Set a price. The one that holds at its beginning ends there."""
        self.require()
        data = self.valid(NewPriceSerializer)
        slug = data.pop("book", "")
        book = book_named(slug) if slug else prices.default_book(policy().currency)
        if data.pop("currency", book.currency) != book.currency:
            raise Invalid.field("currency", f"This book is in {book.currency}.", "other-currency")
        flavor = self._flavor(data.pop("flavor", ""), data["meter"])
        check_site(data.get("site", ""))
        if data.get("slicing_mode") and data["slicing_mode"] not in SLICING_MODES:
            raise Invalid.field("slicing_mode", f"It is one of {', '.join(SLICING_MODES)}.", "unknown-mode")
        tiers = [Tier(**tier) for tier in data.pop("tiers", [])]
        terms = prices.Terms(**{name: data.pop(name) for name in _TERMS if name in data}, tiers=tiers)
        tenant_id = data.pop("tenant", None)
        tenant = tenant_here(self.user, tenant_id) if tenant_id else None
        return self.created(
            lambda: prices.set_price(
                by=self.user, flavor=flavor, tenant=tenant, book=book, currency=book.currency, terms=terms, **data
            )
        )

    def _flavor(self, name: str, meter: str) -> ResourceFlavor | None:
        if not name and meter not in _OF_FLAVORS:
            return None
        found: ResourceFlavor | None = ResourceFlavor.objects.filter(name=name).first()
        if found is None:
            raise Invalid.field("flavor", "There is no such flavor.", "unknown-flavor")
        return found
