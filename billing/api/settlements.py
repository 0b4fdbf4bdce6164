"""Settlements (内部结算): who owes whom for a closed month, between member sites and between departments."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import django_filters
from django.db.models import Q, Sum
from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.csv import (
    CSV_RENDERERS,
    CSV_SCHEMA,
    LANGUAGE,
    PDF_RENDERERS,
    PDF_SCHEMA,
    XLSX,
    XLSX_RENDERERS,
    XLSX_SCHEMA,
    CsvResponse,
    FileResponse,
    language_of,
)
from billing.api.filters import MONTH_RULE
from billing.exports.settlements import ORDER, settlement_csv, settlement_xlsx
from billing.exports.statements import Line, Party, Statement
from billing.models import Month, SettlementLine
from billing.rating.money import plus
from billing.rating.settlement import Owed, Side, positions
from billing.states import MonthState
from portal.errors import Conflict, Invalid
from portal.http.filters import FilterSet
from portal.http.viewsets import ReadViewSet

_MOST_ON_PAPER = 200  # statements; a page or two each
_EXACT: dict[str, Any] = {"max_digits": 38, "decimal_places": 15}


class SettlementSerializer(serializers.ModelSerializer[SettlementLine]):
    """`debtor` owes `amount` to `creditor`. Between sites both are slugs, and empty for the hub; between departments a
    department's slug, and empty for the tenant's centre. `period` is the month of usage, `month` that which was closed.
    """

    month = serializers.CharField(source="month.label")
    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(source="tenant")

    class Meta:
        model = SettlementLine
        fields = [
            "id", "month", "side", "tenant", "tenant_name", "debtor", "creditor", "period", "currency", "amount",
            "created_at", "version",
        ]  # fmt: skip


class PositionSerializer(serializers.Serializer[Any]):
    """All `net` of a side and currency add up to zero."""

    side = serializers.CharField()
    tenant = serializers.UUIDField(allow_null=True, help_text="Of departments: whose.")
    party = serializers.CharField(help_text="Empty: the hub, or the tenant's centre.")
    currency = serializers.CharField()
    owes = serializers.DecimalField(**_EXACT)
    is_owed = serializers.DecimalField(**_EXACT)
    net = serializers.DecimalField(**_EXACT)


class SettlementFilter(FilterSet):
    period = django_filters.CharFilter(
        field_name="month__label", validators=[MONTH_RULE], help_text="The month that was closed, as 2026-11."
    )
    tenant = django_filters.UUIDFilter(field_name="tenant_id")
    site = django_filters.CharFilter(method="of_site", help_text="What a site owes or is owed: its statement.")

    class Meta:
        model = SettlementLine
        fields = ["side", "currency"]

    def of_site(self, rows: Any, name: str, site: str) -> Any:
        return rows.filter(Q(debtor=site) | Q(creditor=site), side=SettlementLine.Side.SITE)


class SettlementViewSet(ReadViewSet):
    queryset = SettlementLine.objects.select_related("month")
    serializer_class = SettlementSerializer
    filterset_class = SettlementFilter
    permissions = dict.fromkeys(["list", "retrieve", "positions", "export", "workbook", "sheet"], "invoice.view")

    @extend_schema(responses=PositionSerializer(many=True), filters=True)
    @action(detail=False, methods=["get"], pagination_class=None)
    def positions(self, request: Request) -> Response:
        """What each party owes and is owed under the filters of the list, and what is left: its net position."""
        return Response(PositionSerializer(positions_of(self.filter_queryset(self.get_queryset())), many=True).data)

    @extend_schema(responses=CSV_SCHEMA, filters=True)
    @action(
        detail=False, methods=["get"], url_path=r"export\.csv", pagination_class=None, renderer_classes=CSV_RENDERERS
    )
    def export(self, request: Request) -> HttpResponseBase:
        """The lines of the list as CSV."""
        return CsvResponse(settlement_csv(self._rows()), "settlement")

    @extend_schema(responses=XLSX_SCHEMA, filters=True)
    @action(
        detail=False, methods=["get"], url_path=r"export\.xlsx", pagination_class=None, renderer_classes=XLSX_RENDERERS
    )
    def workbook(self, request: Request) -> HttpResponseBase:
        """Lines and positions as a workbook in both languages."""
        rows = self._rows()
        return FileResponse(settlement_xlsx(rows, positions_of(rows)), "settlement.xlsx", XLSX)

    @extend_schema(parameters=[LANGUAGE], responses=PDF_SCHEMA, filters=True)
    @action(
        detail=False, methods=["get"], url_path=r"sheet\.pdf", pagination_class=None, renderer_classes=PDF_RENDERERS
    )
    def sheet(self, request: Request) -> HttpResponseBase:
        """The settlement of one closed month on paper (内部结算单), in English or 中文: between sites, and between the
        departments of each tenant; of the last one if `period` does not say which.
        """
        from billing.exports import sheets  # as with invoices

        rows, label = self._rows(), request.query_params.get("period")
        closed = Month.objects.filter(state=MonthState.CLOSED).order_by("-period_start")
        month = (closed.filter(label=label) if label else closed).first()
        if month is None or month.closed_at is None:
            raise Conflict(f"{label} is not closed." if label else "No month is closed yet.")
        statements = statements_of(rows.filter(month=month))
        if len(statements) > _MOST_ON_PAPER:
            text = f"That would be {len(statements)} statements, more than {_MOST_ON_PAPER}. Choose a tenant or a side."
            raise Invalid.field("tenant", text, "too-many")
        content = sheets.write(statements, month.label, month.closed_at, language_of(request))
        return FileResponse(content, f"settlement-{month.label}.pdf", "application/pdf")

    def _rows(self) -> Any:
        return self.filter_queryset(self.get_queryset()).order_by("month__period_start", *ORDER)


def statements_of(rows: Any) -> list[Statement]:
    """One between sites over all tenants, then one for each tenant; with lines of the same parties added up."""
    sums = (
        rows.order_by()
        .values_list("side", "tenant_id", "tenant", "debtor", "creditor", "period", "currency")
        .annotate(Sum("amount"))
    )
    names: dict[Any, str] = {None: ""}
    lines: dict[Any, dict[tuple[str, str, str, str], Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for side, tenant_id, tenant, debtor, creditor, period, currency, amount in sums:
        whose = None if side == Side.SITE else tenant_id
        names[whose] = tenant if whose else ""
        key = (debtor, creditor, period, currency)
        lines[whose][key] = plus(lines[whose][key], amount)
    parties: dict[Any, list[Party]] = defaultdict(list)
    for row in positions_of(rows):
        found = Party(row["party"], row["currency"], row["owes"], row["is_owed"], row["net"])
        parties[row["tenant"]].append(found)
    return [
        Statement(names[whose], [Line(*key, lines[whose][key]) for key in sorted(lines[whose])], parties[whose])
        for whose in sorted(lines, key=lambda whose: (whose is not None, names[whose], str(whose)))
    ]


def positions_of(rows: Any) -> list[dict[str, Any]]:
    """Between sites over all tenants; between departments tenant by tenant."""
    sums = rows.order_by().values_list("side", "tenant_id", "debtor", "creditor", "currency").annotate(Sum("amount"))
    groups: dict[tuple[str, Any], list[Owed]] = {}
    for side, tenant_id, debtor, creditor, currency, amount in sums:
        whose = None if side == Side.SITE else tenant_id
        owed = Owed(Side(side), tenant_id, debtor, creditor, "", currency, amount)
        groups.setdefault((side, whose), []).append(owed)
    return [
        {
            "side": side, "tenant": whose, "party": party, "currency": currency, "owes": found.owes,
            "is_owed": found.is_owed, "net": found.net,
        }
        for (side, whose), owed in sorted(groups.items(), key=lambda group: (group[0][0], str(group[0][1])))
        for (party, currency), found in positions(owed).items()
    ]  # fmt: skip
