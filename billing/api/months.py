"""Months: what of them is not settled yet, closing them, and the archive of a closed one."""

from typing import Any

import django_filters
from django.http import Http404, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.actions import months
from billing.api.csv import JsonPieces
from billing.exports import archive
from billing.models import Month
from billing.periods import month
from billing.policy import policy
from billing.states import MonthState
from portal.errors import Conflict
from portal.http.filters import FilterSet
from portal.http.pagination import CursorPages
from portal.http.viewsets import ReadViewSet, allowed_verbs

_VERBS: dict[str, tuple[str, frozenset[str]]] = {"close": ("month.close", frozenset({MonthState.OPEN}))}


class MonthSerializer(serializers.ModelSerializer[Month]):
    """`in_the_way` says what hinders its closing: `month-not-over`, `earlier-month-open`, and, which can be accepted,
    `unrated-usage` and `open-gaps`. `archive_sha256` is of the archive as it was when the month was closed.
    """

    drafts = serializers.IntegerField()
    unrated = serializers.IntegerField(help_text="Charges without a price.")
    uncharged = serializers.IntegerField(help_text="Usage records that are not charged yet.")
    gaps = serializers.IntegerField(help_text="Open ones, until its end.")
    accepted = serializers.ListField(
        child=serializers.CharField(), help_text="What was in the way, and is closed over."
    )
    in_the_way = serializers.SerializerMethodField()
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Month
        fields = [
            "id", "label", "period_start", "period_end", "state", "reason", "message", "state_since", "drafts",
            "unrated", "uncharged", "gaps", "in_the_way", "accepted", "asked_by", "ledger_seq", "closed_at",
            "archive_sha256", "archive_bytes", "created_at", "version", "actions",
        ]  # fmt: skip

    def get_in_the_way(self, found: Month) -> list[str]:
        return months.in_the_way(found)

    def get_actions(self, found: Month) -> list[str]:
        """Closing is offered once nothing is in the way that cannot be accepted."""
        if not set(months.in_the_way(found)) <= set(months.ACCEPTABLE):
            return []
        return allowed_verbs(self.context["request"].user, found, _VERBS)


class CloseSerializer(serializers.Serializer[Any]):
    accept = serializers.ListField(
        child=serializers.ChoiceField([(code, code) for code in months.ACCEPTABLE]),
        required=False,
        help_text="What it is closed over.",
    )


class MonthFilter(FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=[(s.value, s.value) for s in MonthState])

    class Meta:
        model = Month
        fields = ["label"]


class MonthPages(CursorPages):
    ordering = "-period_start"


class MonthViewSet(ReadViewSet):
    """`id` may be the name of a month as well, as 2026-10."""

    queryset = months.counted(Month.objects.all())
    serializer_class = MonthSerializer
    filterset_class = MonthFilter
    pagination_class = MonthPages
    permissions = {**dict.fromkeys(["list", "retrieve", "archive"], "month.view"), "close": "month.close"}

    def get_object(self) -> Any:
        label = self.kwargs["pk"]
        try:
            month(label, policy().zone)
        except ValueError:
            return super().get_object()
        found = self.get_queryset().filter(label=label).first()
        if found is None:
            raise Http404
        return found

    @extend_schema(request=CloseSerializer, responses={202: MonthSerializer})
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str) -> Response:
        """Charge what is metered, issue all drafts, settle, and write the archive. Workers do it; look again."""
        data = self.valid(CloseSerializer)
        return self.verb(
            lambda found: months.close(
                by=self.user, period=month(found.label, policy().zone), policy=policy(), accept=data.get("accept", ())
            )
        )

    @extend_schema(responses=OpenApiTypes.OBJECT, filters=False)
    @action(detail=True, methods=["get"], url_path=r"archive\.json", pagination_class=None)
    def archive(self, request: Request, pk: str) -> HttpResponseBase:
        """All that a closed month says, to the byte as it was closed. Its SHA-256 is the month's `archive_sha256`."""
        found = self.get_object()
        if found.state != MonthState.CLOSED:
            raise Conflict("This month is not closed.")
        return JsonPieces(archive.pieces(found), f"{found.label}.json", found.archive_sha256)
