"""Flavors and quotas."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from portal.actions import quotas
from portal.errors import Invalid
from portal.http.scope import project_here, tenant_here
from portal.http.viewsets import CatalogueViewSet, ReadViewSet
from portal.models import Quota, ResourceFlavor


class FlavorSerializer(serializers.ModelSerializer[ResourceFlavor]):
    class Meta:
        model = ResourceFlavor
        fields = ["id", "name", "unit", "vendor", "model", "created_at", "version"]


class FlavorViewSet(CatalogueViewSet):
    queryset = ResourceFlavor.objects.all()
    serializer_class = FlavorSerializer
    filterset_fields = ["name", "unit", "vendor"]
    permissions = {"list": "catalogue.view", "retrieve": "catalogue.view"}


class QuotaSerializer(serializers.ModelSerializer[Quota]):
    """Amounts in 1/1000 of the flavor's unit. `limit_milli` is the guaranteed share and what may be borrowed."""

    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(source="tenant.name")
    project = serializers.UUIDField(source="project_id", allow_null=True)
    project_name = serializers.CharField(source="project.name", default=None, allow_null=True)
    flavor = serializers.CharField(source="flavor.name")
    unit = serializers.CharField(source="flavor.unit")
    limit_milli = serializers.IntegerField()

    class Meta:
        model = Quota
        fields = [
            "id", "tenant", "tenant_name", "project", "project_name", "flavor", "unit", "nominal_milli",
            "borrowing_limit_milli", "lending_limit_milli", "limit_milli", "weight", "held_milli", "created_at",
            "version",
        ]  # fmt: skip


_MILLI: dict[str, Any] = {"min_value": 0, "max_value": 10**12}


class NewQuotaSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField()
    project = serializers.UUIDField(required=False, allow_null=True)
    flavor = serializers.CharField(max_length=63)
    nominal_milli = serializers.IntegerField(**_MILLI)
    borrowing_limit_milli = serializers.IntegerField(required=False, **_MILLI)
    lending_limit_milli = serializers.IntegerField(required=False, allow_null=True, **_MILLI)
    weight = serializers.IntegerField(required=False, min_value=1, max_value=1_000_000)


class QuotaChangeSerializer(serializers.Serializer[Any]):
    nominal_milli = serializers.IntegerField(required=False, **_MILLI)
    borrowing_limit_milli = serializers.IntegerField(required=False, **_MILLI)
    lending_limit_milli = serializers.IntegerField(required=False, allow_null=True, **_MILLI)
    weight = serializers.IntegerField(required=False, min_value=1, max_value=1_000_000)


class QuotaViewSet(ReadViewSet):
    queryset = Quota.objects.select_related("tenant", "project", "flavor")
    serializer_class = QuotaSerializer
    filterset_fields = ["tenant", "project", "flavor__name"]
    permissions = {
        "list": "quota.view",
        "retrieve": "quota.view",
        "create": "quota.edit",
        "partial_update": "quota.edit",
    }

    @extend_schema(request=NewQuotaSerializer, responses={201: QuotaSerializer})
    def create(self, request: Request) -> Response:
        data = self.valid(NewQuotaSerializer)
        tenant = tenant_here(self.user, data.pop("tenant"))
        self.require(tenant=tenant.pk)
        project_id = data.pop("project", None)
        project = project_here(self.user, project_id) if project_id else None
        flavor = ResourceFlavor.objects.filter(name=data["flavor"]).first()
        if data["flavor"] == quotas.CPU:
            flavor = quotas.cpu_flavor()
        if flavor is None:
            raise Invalid.field("flavor", f"There is no flavor {data['flavor']}.", "unknown-flavor")
        data["flavor"] = flavor
        return self.created(lambda: quotas.grant(by=self.user, tenant=tenant, project=project, **data))

    @extend_schema(request=QuotaChangeSerializer, responses=QuotaSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        quota = self.get_object()
        self.require(quota)
        self.checked_version(quota)
        return self.answer(quotas.change(by=self.user, quota=quota, **self.valid(QuotaChangeSerializer)))
