"""Invoices: drafted as usage comes in, issued once, corrected by credit notes."""

from decimal import Decimal
from typing import Any

import django_filters
from django.db.models import Exists, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.actions import drafts, invoices
from billing.api.csv import (
    CSV_RENDERERS,
    CSV_SCHEMA,
    LANGUAGE,
    PDF_RENDERERS,
    PDF_SCHEMA,
    CsvResponse,
    FileResponse,
    language_of,
)
from billing.api.filters import MONTH, month_filter, period_named
from billing.exports.csv import invoice_csv
from billing.models import Invoice, InvoiceLine, Payment
from billing.models.wallets import used_by
from billing.policy import policy
from billing.states import InvoiceState
from portal.http.filters import FilterSet
from portal.http.pagination import CursorPages
from portal.http.scope import tenant_here
from portal.http.viewsets import ReadViewSet, allowed_verbs

_VERBS: dict[str, tuple[str, frozenset[str]]] = {
    "issue": ("invoice.issue", frozenset({InvoiceState.DRAFT})),
    "cancel": ("invoice.issue", frozenset({InvoiceState.ISSUED, InvoiceState.PAID})),
    "pay": ("invoice.issue", frozenset({InvoiceState.ISSUED})),
}
_EXACT: dict[str, Any] = {"max_digits": 38, "decimal_places": 15}


class IssuerSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(default="")
    tax_id = serializers.CharField(default="")
    address = serializers.CharField(default="")
    bank = serializers.CharField(default="")


class BillToSerializer(serializers.Serializer[Any]):
    legal_name = serializers.CharField(default="")
    tax_id = serializers.CharField(default="")
    address = serializers.CharField(default="")
    phone = serializers.CharField(default="")
    bank = serializers.CharField(default="")
    bank_account = serializers.CharField(default="")
    email = serializers.CharField(default="")


class InvoiceSerializer(serializers.ModelSerializer[Invoice]):
    """`total` is exact; `payable` is what is to be paid, rounded once. Equal when issued."""

    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(source="tenant")
    period = serializers.CharField(help_text="The month, in the billing time zone.")
    payable = serializers.DecimalField(max_digits=38, decimal_places=2)
    has_unrated = serializers.BooleanField(help_text="Some of the usage has no price yet and costs 0 here.")
    refers_to = serializers.UUIDField(
        source="refers_to_id", allow_null=True, help_text="A credit note: the invoice it cancels."
    )
    credit_note = serializers.UUIDField(source="credit_note.pk", default=None, allow_null=True)
    paid = serializers.DecimalField(max_digits=38, decimal_places=2, help_text="What came in for it.")
    from_wallet = serializers.DecimalField(max_digits=38, decimal_places=2, help_text="What its wallet paid of it.")
    is_overdue = serializers.BooleanField()
    issuer = IssuerSerializer(help_text="Who asks for it. Empty in a draft.")
    bill_to = BillToSerializer(help_text="Whom it is made out to. Empty in a draft.")
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Invoice
        fields = [
            "id", "number", "state", "reason", "message", "state_since", "tenant", "tenant_name", "period",
            "period_start", "period_end", "currency", "total", "payable", "has_unrated", "refers_to", "credit_note",
            "issued_at", "due_on", "is_overdue", "paid", "from_wallet", "issuer", "bill_to", "created_at", "version",
            "actions",
        ]  # fmt: skip

    def get_actions(self, invoice: Invoice) -> list[str]:
        """`pay` is `POST /payments`."""
        verbs = allowed_verbs(self.context["request"].user, invoice, _VERBS)
        paid: Any = getattr(invoice, "paid", 0)
        refused = {"cancel": invoice.is_credit_note or bool(paid), "pay": not invoice.asks}
        return [verb for verb in verbs if not refused.get(verb)]


class ProjectTotalSerializer(serializers.Serializer[Any]):
    project = serializers.UUIDField(source="project_id")
    project_name = serializers.CharField(source="project")
    cost = serializers.DecimalField(**_EXACT)


class FlavorTotalSerializer(serializers.Serializer[Any]):
    flavor = serializers.CharField()
    unit = serializers.CharField()
    milli_seconds = serializers.IntegerField()
    quantity = serializers.DecimalField(max_digits=24, decimal_places=9)
    cost = serializers.DecimalField(**_EXACT)


class TotalsSerializer(serializers.Serializer[Any]):
    by_project = ProjectTotalSerializer(many=True)
    by_flavor = FlavorTotalSerializer(many=True)
    adjustment = serializers.DecimalField(help_text="What rounding to the payable amount added.", **_EXACT)


class InvoiceWithTotalsSerializer(InvoiceSerializer):
    totals = serializers.SerializerMethodField()

    class Meta(InvoiceSerializer.Meta):
        fields = [*InvoiceSerializer.Meta.fields, "totals"]

    @extend_schema_field(TotalsSerializer)
    def get_totals(self, invoice: Invoice) -> Any:
        lines = InvoiceLine.objects.filter(invoice=invoice)
        usage = lines.filter(category=InvoiceLine.Category.USAGE).order_by()
        by_project = usage.values("project_id", "project").annotate(cost=Sum("cost"))
        by_flavor = usage.values("flavor", "unit").annotate(
            cost=Sum("cost"), quantity=Sum("quantity"), milli_seconds=Sum("milli_seconds")
        )
        adjustment = lines.filter(category=InvoiceLine.Category.ADJUSTMENT).aggregate(cost=Sum("cost", default=0))
        return TotalsSerializer(
            {
                "by_project": by_project.order_by("project", "project_id"),
                "by_flavor": by_flavor.order_by("flavor"),
                "adjustment": adjustment["cost"],
            }
        ).data


class InvoiceLineSerializer(serializers.ModelSerializer[InvoiceLine]):
    """`cost` = `quantity` x `unit_price`, not rounded. Without a price it is not rated, and costs 0."""

    project = serializers.UUIDField(source="project_id", allow_null=True)
    project_name = serializers.CharField(source="project")
    price = serializers.UUIDField(source="price_id", allow_null=True)
    is_rated = serializers.BooleanField()

    class Meta:
        model = InvoiceLine
        fields = [
            "id", "position", "category", "project", "project_name", "site", "flavor", "unit", "milli_seconds",
            "quantity", "unit_price", "cost", "currency", "is_rated", "price", "created_at", "version", "meter",
        ]  # fmt: skip


class DraftSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField()
    period = serializers.RegexField(MONTH, help_text="A month of the billing time zone, as 2026-11.")


class CancelSerializer(serializers.Serializer[Any]):
    message = serializers.CharField(required=False, allow_blank=True, max_length=500, help_text="Why.")


class InvoiceFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")
    period = month_filter("of_period")
    state = django_filters.MultipleChoiceFilter(choices=[(s.value, s.value) for s in InvoiceState])

    class Meta:
        model = Invoice
        fields = ["number"]

    def of_period(self, rows: Any, name: str, label: str) -> Any:
        return rows.filter(period_start=period_named(label).start)


class LinePages(CursorPages):
    ordering = "position"


def _sum_of(model: Any) -> Any:
    """The amounts of what belongs to an invoice."""
    rows = model.objects.filter(invoice=OuterRef("pk")).order_by().values("invoice").annotate(sum=Sum("amount"))
    return Coalesce(Subquery(rows.values("sum")), Decimal(0))


class InvoiceViewSet(ReadViewSet):
    queryset = Invoice.objects.select_related("credit_note").annotate(
        has_unrated=Exists(
            InvoiceLine.objects.filter(invoice=OuterRef("pk"), category="usage", unit_price__isnull=True)
        ),
        paid=_sum_of(Payment),
        from_wallet=used_by("invoice"),
    )
    filterset_class = InvoiceFilter
    permissions = {
        **dict.fromkeys(["list", "retrieve", "lines", "export", "pdf", "fapiao"], "invoice.view"),
        **dict.fromkeys(["draft", "issue", "cancel"], "invoice.issue"),
    }

    def get_serializer_class(self) -> Any:
        return InvoiceSerializer if self.action == "list" else InvoiceWithTotalsSerializer

    @extend_schema(request=DraftSerializer, responses={201: InvoiceWithTotalsSerializer})
    @action(detail=False, methods=["post"])
    def draft(self, request: Request) -> Response:
        """Make or rebuild a tenant's draft for a month: what was used and is not invoiced yet."""
        data = self.valid(DraftSerializer)
        tenant = tenant_here(self.user, data["tenant"])
        self.require(tenant=tenant.pk)
        period = period_named(data["period"])
        return self.created(lambda: drafts.draft(by=self.user, tenant=tenant, period=period, policy=policy()))

    @extend_schema(request=None, responses={202: InvoiceWithTotalsSerializer})
    @action(detail=True, methods=["post"])
    def issue(self, request: Request, pk: str) -> Response:
        """Number it, round what is to be paid, and fix it for good."""
        return self.verb(lambda invoice: invoices.issue(by=self.user, invoice=invoice, policy=policy()))

    @extend_schema(request=CancelSerializer, responses={202: InvoiceWithTotalsSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Take an issued invoice back by a credit note. The month can be drafted anew."""
        data = self.valid(CancelSerializer)
        return self.verb(lambda invoice: invoices.cancel(by=self.user, invoice=invoice, **data))

    @extend_schema(responses=InvoiceLineSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=LinePages)
    def lines(self, request: Request, pk: str) -> Response:
        page = self.paginate_queryset(InvoiceLine.objects.filter(invoice=self.get_object()))
        return self.get_paginated_response(InvoiceLineSerializer(page, many=True).data)

    @extend_schema(responses=CSV_SCHEMA, filters=False)
    @action(
        detail=True, methods=["get"], url_path=r"export\.csv", pagination_class=None, renderer_classes=CSV_RENDERERS
    )
    def export(self, request: Request, pk: str) -> HttpResponseBase:
        """Its lines as CSV."""
        invoice = self.get_object()
        return CsvResponse(invoice_csv(invoice), invoice.number or f"draft-{invoice.period}-{invoice.pk}")

    @extend_schema(parameters=[LANGUAGE], responses=PDF_SCHEMA, filters=False)
    @action(
        detail=True, methods=["get"], url_path=r"invoice\.pdf", pagination_class=None, renderer_classes=PDF_RENDERERS
    )
    def pdf(self, request: Request, pk: str) -> HttpResponseBase:
        """The invoice on paper, in English or 中文. What is issued comes out the same each time, to the byte."""
        from billing.exports import bills, pdf  # fonts and their tools: only who asks for paper waits for them

        invoice = self.get_object()
        content = pdf.write(bills.bill_of(invoice, policy()), language_of(request))
        name = invoice.number or f"draft-{invoice.period}-{invoice.pk}"
        return FileResponse(content, f"{name}.pdf", "application/pdf")

    @extend_schema(responses=OpenApiTypes.OBJECT, filters=False)
    @action(detail=True, methods=["get"], url_path=r"fapiao\.json", pagination_class=None)
    def fapiao(self, request: Request, pk: str) -> Response:
        """What a fapiao (发票) for an issued invoice is to say, as the forms of tax offices name it. See the docs."""
        from billing.exports import bills

        return Response(bills.fapiao(self.get_object(), policy()))
