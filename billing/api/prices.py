"""Prices: the list's, and those agreed with a tenant."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.actions import prices
from billing.models import PriceVersion
from billing.policy import policy
from portal.errors import Invalid
from portal.http.filters import FilterSet
from portal.http.scope import tenant_here
from portal.http.viewsets import ReadViewSet
from portal.models import ResourceFlavor


class PriceSerializer(serializers.ModelSerializer[PriceVersion]):
    """An hour of the flavor's whole unit. No tenant: the list price. No end: until another begins."""

    flavor = serializers.CharField(source="flavor.name")
    unit = serializers.CharField(source="flavor.unit")
    tenant = serializers.UUIDField(source="tenant_id", allow_null=True)
    tenant_name = serializers.CharField(source="tenant.name", default=None, allow_null=True)

    class Meta:
        model = PriceVersion
        fields = [
            "id", "flavor", "unit", "tenant", "tenant_name", "unit_price", "currency", "valid_from", "valid_to",
            "created_at", "version",
        ]  # fmt: skip


class NewPriceSerializer(serializers.Serializer[Any]):
    flavor = serializers.CharField(max_length=63)
    tenant = serializers.UUIDField(required=False, allow_null=True)
    unit_price = serializers.DecimalField(max_digits=18, decimal_places=6, min_value=Decimal(0))
    currency = serializers.CharField(required=False, max_length=3, help_text="The installation's; no other.")
    valid_from = serializers.DateTimeField(required=False, allow_null=True, help_text="Empty: now.")
    valid_to = serializers.DateTimeField(required=False, allow_null=True, help_text="Empty: until another begins.")


class PriceFilter(FilterSet):
    flavor = django_filters.CharFilter(field_name="flavor__name")
    tenant = django_filters.UUIDFilter(field_name="tenant_id")
    holds_at = django_filters.IsoDateTimeFilter(method="holding", help_text="Prices that hold at this instant.")

    class Meta:
        model = PriceVersion
        fields = ["flavor", "tenant", "currency"]

    def holding(self, rows: Any, name: str, at: datetime) -> Any:
        return rows.holding(at, at + timedelta(microseconds=1))


class PriceViewSet(ReadViewSet):
    queryset = PriceVersion.objects.select_related("flavor", "tenant")
    serializer_class = PriceSerializer
    filterset_class = PriceFilter
    permissions = {"list": "price.view", "retrieve": "price.view", "create": "price.edit"}

    @extend_schema(request=NewPriceSerializer, responses={201: PriceSerializer})
    def create(self, request: Request) -> Response:
        """Set a price. The one that holds at its beginning ends there."""
        self.require()
        data = self.valid(NewPriceSerializer)
        currency = data.pop("currency", policy().currency)
        if currency != policy().currency:
            raise Invalid.field("currency", f"This installation bills in {policy().currency}.", "other-currency")
        flavor = ResourceFlavor.objects.filter(name=data.pop("flavor")).first()
        if flavor is None:
            raise Invalid.field("flavor", "There is no such flavor.", "unknown-flavor")
        tenant_id = data.pop("tenant", None)
        tenant = tenant_here(self.user, tenant_id) if tenant_id else None
        return self.created(
            lambda: prices.set_price(by=self.user, flavor=flavor, tenant=tenant, currency=currency, **data)
        )
