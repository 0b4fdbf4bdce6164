"""Wallets: money that tenants have in advance, and what came in."""

from decimal import Decimal
from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.actions import wallets
from billing.models import Credit, Wallet
from billing.policy import policy
from portal.http.filters import FilterSet
from portal.http.scope import tenant_here
from portal.http.viewsets import ReadViewSet

_MONEY: dict[str, Any] = {"max_digits": 20, "decimal_places": 2}
_SUM: dict[str, Any] = {"max_digits": 38, "decimal_places": 2}


class WalletSerializer(serializers.ModelSerializer[Wallet]):
    """One for each tenant and currency, made by the first credit. It pays invoices as they are issued."""

    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(source="tenant.name")
    balance = serializers.DecimalField(help_text="Below zero as far as it is overdrawn.", **_SUM)

    class Meta:
        model = Wallet
        fields = ["id", "tenant", "tenant_name", "currency", "balance", "overdraft", "created_at", "version"]


class WalletChangeSerializer(serializers.Serializer[Any]):
    overdraft = serializers.DecimalField(min_value=Decimal(0), help_text="How far below zero it may go.", **_MONEY)


class WalletFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")

    class Meta:
        model = Wallet
        fields = ["currency"]


class WalletViewSet(ReadViewSet):
    queryset = Wallet.objects.with_balance().select_related("tenant")
    serializer_class = WalletSerializer
    filterset_class = WalletFilter
    permissions = {"list": "wallet.view", "retrieve": "wallet.view", "partial_update": "wallet.edit"}

    @extend_schema(request=WalletChangeSerializer, responses=WalletSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Agree on another overdraft."""
        wallet = self.get_object()
        self.require(wallet)
        self.checked_version(wallet)
        return self.answer(wallets.set_overdraft(by=self.user, wallet=wallet, **self.valid(WalletChangeSerializer)))


class CreditSerializer(serializers.ModelSerializer[Credit]):
    """Money that came into a wallet: paid in, or given. `left` is not used up yet;
    what expires first is used first, then the oldest."""

    wallet = serializers.UUIDField(source="wallet_id")
    tenant = serializers.UUIDField(source="wallet.tenant_id")
    tenant_name = serializers.CharField(source="wallet.tenant.name")
    currency = serializers.CharField(source="wallet.currency")
    left = serializers.DecimalField(**_SUM)

    class Meta:
        model = Credit
        fields = [
            "id", "wallet", "tenant", "tenant_name", "kind", "currency", "amount", "left", "expires_at", "note", "by",
            "created_at", "version",
        ]  # fmt: skip


class NewCreditSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField()
    kind = serializers.ChoiceField(Credit.Kind.choices, help_text="Paid in, or given.")
    amount = serializers.DecimalField(min_value=Decimal("0.01"), **_MONEY)
    currency = serializers.RegexField(r"^[A-Z]{3}$", required=False, help_text="Empty: that of the installation.")
    expires_at = serializers.DateTimeField(required=False, allow_null=True, help_text="Empty: never.")
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)


class CreditFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="wallet__tenant_id")
    wallet = django_filters.UUIDFilter(field_name="wallet_id")

    class Meta:
        model = Credit
        fields = ["kind"]


class CreditViewSet(ReadViewSet):
    queryset = Credit.objects.with_left().select_related("wallet__tenant")
    serializer_class = CreditSerializer
    filterset_class = CreditFilter
    permissions = {"list": "wallet.view", "retrieve": "wallet.view", "create": "wallet.edit"}

    @extend_schema(request=NewCreditSerializer, responses={201: CreditSerializer})
    def create(self, request: Request) -> Response:
        """Top up a tenant's wallet, or grant it something."""
        data = self.valid(NewCreditSerializer)
        tenant = tenant_here(self.user, data.pop("tenant"))
        self.require(tenant=tenant.pk)
        currency = data.pop("currency", policy().currency)
        return self.created(lambda: wallets.add(by=self.user, tenant=tenant, currency=currency, **data))
