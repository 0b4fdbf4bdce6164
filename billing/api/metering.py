"""Gaps in proof, and what became of capacity."""

from typing import Any

import django_filters
from rest_framework import serializers

from billing.models import CapacityHour, UsageGap
from portal.http.filters import FilterSet
from portal.http.viewsets import ReadViewSet


class UsageGapSerializer(serializers.ModelSerializer[UsageGap]):
    """Work whose site was silent. Nothing of it is billed before it is proven. No end: it still is."""

    allocation = serializers.UUIDField(source="allocation_id")
    workload = serializers.UUIDField(source="workload_id")
    tenant = serializers.UUIDField(source="tenant_id")
    project = serializers.UUIDField(source="project_id")

    class Meta:
        model = UsageGap
        fields = [
            "id", "allocation", "workload", "tenant", "project", "site", "cluster", "node", "flavor", "held_milli",
            "start_at", "end_at", "proven_seconds", "created_at", "version",
        ]  # fmt: skip


class UsageGapFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")
    project = django_filters.UUIDFilter(field_name="project_id")
    allocation = django_filters.UUIDFilter(field_name="allocation_id")
    is_open = django_filters.BooleanFilter(field_name="end_at", lookup_expr="isnull")

    class Meta:
        model = UsageGap
        fields = ["site", "cluster"]


class UsageGapViewSet(ReadViewSet):
    queryset = UsageGap.objects.all()
    serializer_class = UsageGapSerializer
    filterset_class = UsageGapFilter
    permissions = {"list": "usage.view", "retrieve": "usage.view"}


class CapacityHourSerializer(serializers.ModelSerializer[CapacityHour]):
    """`capacity` = `work` + `reserved` + `idle`, in milli-seconds (seconds x 1/1000 of a card)."""

    class Meta:
        model = CapacityHour
        fields = [
            "id", "site", "flavor", "hour", "capacity", "work", "reserved", "idle", "contested", "computed_at",
        ]  # fmt: skip


class CapacityHourFilter(FilterSet):
    since = django_filters.IsoDateTimeFilter(field_name="hour", lookup_expr="gte")
    until = django_filters.IsoDateTimeFilter(field_name="hour", lookup_expr="lt")

    class Meta:
        model = CapacityHour
        fields = ["site", "flavor"]


class CapacityHourViewSet(ReadViewSet):
    """The platform's own: what it has, and what became of it."""

    queryset: Any = CapacityHour.objects.all()
    serializer_class = CapacityHourSerializer
    filterset_class = CapacityHourFilter
    permissions = {"list": "usage.view", "retrieve": "usage.view"}
