"""Usage records: the proof of every line."""

from typing import Any

import django_filters
from django.db.models import F, Func
from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.csv import CSV_RENDERERS, CSV_SCHEMA, CsvResponse
from billing.api.filters import month_filter, period_named
from billing.exports.csv import usage_csv
from billing.models import Charge, UsageRecord
from portal.http.filters import FilterSet
from portal.http.history import StateChangeSerializer
from portal.http.viewsets import ReadViewSet
from portal.models import StateChange


class UsageRecordSerializer(serializers.ModelSerializer[UsageRecord]):
    """At most an hour of one allocation. `milli_seconds` = `seconds` x `held_milli`; `quantity` is in hours."""

    allocation = serializers.UUIDField(source="allocation_id")
    workload = serializers.UUIDField(source="workload_id")
    workload_name = serializers.CharField(source="workload")
    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(source="tenant")
    project = serializers.UUIDField(source="project_id")
    project_name = serializers.CharField(source="project")
    reverses = serializers.UUIDField(
        source="reverses_id", allow_null=True, help_text="A charged record that this one takes back."
    )
    event_ids = serializers.ListField(
        child=serializers.IntegerField(), help_text="The changes of state of the allocation that it rests on."
    )

    class Meta:
        model = UsageRecord
        fields = [
            "id", "allocation", "workload", "workload_name", "tenant", "tenant_name", "project", "project_name",
            "flavor", "unit", "site", "cluster", "node", "start_at", "end_at", "seconds", "held_milli",
            "milli_seconds", "quantity", "metered_at", "created_at", "version", "workload_kind", "user", "pool",
            "model", "slicing_mode", "service_class", "cpu_milli", "memory_mib", "device_memory_mib", "power_watts",
            "power_milliwatts", "revision", "reverses", "event_ids", "proof_at", "charged_in",
        ]  # fmt: skip


class UsageEventSerializer(StateChangeSerializer):
    """`at` is when it was written, `effective_at` when it was at the site, as far as that is proven."""


class UsageFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")
    project = django_filters.UUIDFilter(field_name="project_id")
    workload = django_filters.UUIDFilter(field_name="workload_id")
    allocation = django_filters.UUIDFilter(field_name="allocation_id")
    since = django_filters.IsoDateTimeFilter(
        field_name="start_at", lookup_expr="gte", help_text="Started then or later."
    )
    until = django_filters.IsoDateTimeFilter(field_name="start_at", lookup_expr="lt", help_text="Started before.")
    charge = django_filters.UUIDFilter(method="of_charge", help_text="That was made of it.")
    period = month_filter("in_period")

    class Meta:
        model = UsageRecord
        fields = ["flavor", "site", "cluster", "node"]

    def of_charge(self, rows: Any, name: str, charge: Any) -> Any:
        made = Charge.objects.filter(pk=charge).annotate(one=Func(F("usage_record_ids"), function="unnest"))
        return rows.filter(pk__in=made.values("one"))

    def in_period(self, rows: Any, name: str, label: str) -> Any:
        period = period_named(label)
        return rows.between(period.start, period.end)


class UsageRecordViewSet(ReadViewSet):
    queryset = UsageRecord.objects.all()
    serializer_class = UsageRecordSerializer
    filterset_class = UsageFilter
    permissions = dict.fromkeys(["list", "retrieve", "events", "export"], "usage.view")

    @extend_schema(responses=UsageEventSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def events(self, request: Request, pk: str) -> Response:
        """The changes of state that it rests on, oldest first: who, when, why, and when it was at the site."""
        record = self.get_object()
        rows = StateChange.objects.filter(pk__in=record.event_ids, tenant_id=record.tenant_id).order_by("id")
        return Response(UsageEventSerializer(rows, many=True).data)

    @extend_schema(responses=CSV_SCHEMA, filters=True)
    @action(
        detail=False,
        methods=["get"],
        url_path=r"export\.csv",
        pagination_class=None,
        renderer_classes=CSV_RENDERERS,
    )
    def export(self, request: Request) -> HttpResponseBase:
        """All records under the same filters as the list, oldest first."""
        records = self.filter_queryset(self.get_queryset()).order_by("start_at", "id")
        return CsvResponse(usage_csv(records), "usage")
