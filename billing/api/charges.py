"""Charges: the rated lines behind every invoice, each with the prices, the rules and the usage that it was made of."""

from typing import Any

import django_filters
from rest_framework import serializers

from billing.api.filters import month_filter, period_named
from billing.models import Charge, InvoiceLine
from billing.showback.proof import charges_behind
from portal.http.filters import FilterSet
from portal.http.viewsets import ReadViewSet


class ChargeSerializer(serializers.ModelSerializer[Charge]):
    """Costs are exact products of `quantity` and a unit price. `reverses`: all amounts are the opposite of that one's.

    Its proof is `usage-records?charge={id}`, and those name the changes of state that they rest on.
    """

    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(source="tenant")
    project = serializers.UUIDField(source="project_id", allow_null=True)
    project_name = serializers.CharField(source="project")
    workload = serializers.UUIDField(source="workload_id", allow_null=True)
    workload_name = serializers.CharField(source="workload")
    allocation = serializers.UUIDField(source="allocation_id", allow_null=True)
    transaction = serializers.UUIDField(source="transaction_id")
    transaction_seq = serializers.IntegerField(source="transaction.seq")
    reverses = serializers.UUIDField(source="reverses_id", allow_null=True)
    price_version = serializers.UUIDField(source="price_version_id", allow_null=True)
    list_price_version = serializers.UUIDField(source="list_price_version_id", allow_null=True)
    commitment = serializers.UUIDField(source="commitment_id", allow_null=True)
    tax_rule = serializers.UUIDField(source="tax_rule_id", allow_null=True)
    usage_records = serializers.ListField(source="usage_record_ids", child=serializers.UUIDField())

    class Meta:
        model = Charge
        fields = [
            "id", "created_at", "category", "reverses", "is_correction", "is_minimum", "transaction",
            "transaction_seq", "tenant", "tenant_name", "project", "project_name", "workload", "workload_name",
            "workload_kind", "allocation", "user", "site", "cluster", "pool", "node", "flavor", "model",
            "slicing_mode", "service_class", "tenant_class", "meter", "sku", "billing_period_start",
            "billing_period_end", "period_start", "period_end", "milli_seconds", "quantity", "unit", "tier", "pricing",
            "list_unit_price", "contracted_unit_price", "list_cost", "contracted_cost", "billed_cost",
            "effective_cost", "currency", "price_version", "list_price_version", "commitment", "tax_rule",
            "rule_version", "usage_records", "description",
        ]  # fmt: skip


class ChargeFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")
    project = django_filters.UUIDFilter(field_name="project_id")
    workload = django_filters.UUIDFilter(field_name="workload_id")
    allocation = django_filters.UUIDFilter(field_name="allocation_id")
    invoice = django_filters.UUIDFilter(field_name="invoiced__invoice_id", help_text="That it stands behind.")
    line = django_filters.UUIDFilter(method="of_line", help_text="Of an invoice, that it stands behind.")
    usage_record = django_filters.UUIDFilter(method="of_record", help_text="That it was made of.")
    period = month_filter("in_period")

    class Meta:
        model = Charge
        fields = ["category", "site", "flavor", "meter", "currency", "is_correction"]

    def of_line(self, rows: Any, name: str, pk: Any) -> Any:
        line = InvoiceLine.objects.select_related("invoice").filter(pk=pk).first()
        return rows.none() if line is None else rows.filter(pk__in=charges_behind(line).order_by().values("pk"))

    def of_record(self, rows: Any, name: str, record: Any) -> Any:
        return rows.filter(usage_record_ids__contains=[record])

    def in_period(self, rows: Any, name: str, label: str) -> Any:
        return rows.filter(billing_period_start=period_named(label).start)


class ChargeViewSet(ReadViewSet):
    queryset = Charge.objects.select_related("transaction")
    serializer_class = ChargeSerializer
    filterset_class = ChargeFilter
    permissions = {"list": "invoice.view", "retrieve": "invoice.view"}
