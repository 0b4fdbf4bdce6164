"""Billing profiles: whom a tenant's invoices are made out to."""

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.actions import profiles
from billing.api.books import check_site
from billing.models import BillingProfile
from portal.http.filters import FilterSet
from portal.http.scope import tenant_here
from portal.http.viewsets import ReadViewSet

_SAID = [
    "legal_name", "tax_id", "address", "phone", "bank", "bank_account", "email", "payment_terms_days", "home_site",
]  # fmt: skip


class BillingProfileSerializer(serializers.ModelSerializer[BillingProfile]):
    """Copied onto each invoice when it is issued. `home_site` is the member whose tenant it is, for settlements."""

    tenant = serializers.UUIDField(source="tenant_id")

    class Meta:
        model = BillingProfile
        fields = ["id", "tenant", *_SAID, "created_at", "version"]


class ProfileChangeSerializer(serializers.ModelSerializer[BillingProfile]):
    payment_terms_days = serializers.IntegerField(min_value=0, max_value=365, required=False)

    class Meta:
        model = BillingProfile
        fields = _SAID

    def validate_home_site(self, value: str) -> str:
        check_site(value)
        return value


class NewProfileSerializer(ProfileChangeSerializer):
    tenant = serializers.UUIDField()

    class Meta(ProfileChangeSerializer.Meta):
        fields = ["tenant", *_SAID]


class ProfileFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")

    class Meta:
        model = BillingProfile
        fields = ["tax_id"]


class BillingProfileViewSet(ReadViewSet):
    queryset = BillingProfile.objects.all()
    serializer_class = BillingProfileSerializer
    filterset_class = ProfileFilter
    permissions = {
        **dict.fromkeys(["list", "retrieve"], "invoice.view"),
        **dict.fromkeys(["create", "partial_update"], "invoice.issue"),
    }

    @extend_schema(request=NewProfileSerializer, responses={201: BillingProfileSerializer})
    def create(self, request: Request) -> Response:
        """Whom a tenant's invoices are made out to from now on."""
        data = self.valid(NewProfileSerializer)
        tenant = tenant_here(self.user, data.pop("tenant"))
        self.require(tenant=tenant.pk)
        return self.created(lambda: profiles.create(by=self.user, tenant=tenant, **data))

    @extend_schema(request=ProfileChangeSerializer, responses=BillingProfileSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """What is issued already stays as it is."""
        profile = self.get_object()
        self.require(profile)
        self.checked_version(profile)
        data = self.valid(ProfileChangeSerializer, partial=True)
        return self.answer(profiles.change(by=self.user, profile=profile, **data))
