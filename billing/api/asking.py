"""How questions about costs are asked: for what time, and of which charges."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from billing.api.filters import MONTH, period_named
from billing.models import Charge
from portal.permissions import scope_of

EXACT: dict[str, Any] = {"max_digits": 60, "decimal_places": 15}


class BetweenSerializer(serializers.Serializer[Any]):
    """The time that is asked about: half-open, and where an end is left out, open there."""

    start = serializers.DateTimeField(required=False, help_text="From when; left out: from the first charge.")
    end = serializers.DateTimeField(required=False, help_text="Until when, exclusive; left out: to the last.")

    period = serializers.RegexField(
        MONTH, required=False, help_text="A month of the billing time zone, as 2026-11, in place of both."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if label := attrs.pop("period", ""):
            if attrs.keys() & {"start", "end"}:
                raise serializers.ValidationError(
                    {"period": "Name a month, or from when until when."}, code="period-and-edges"
                )
            named = period_named(label)
            attrs |= {"start": named.start, "end": named.end}
        start, end = attrs.get("start"), attrs.get("end")
        if start and end and end <= start:
            raise serializers.ValidationError({"end": "This has to be after `start`."}, code="ends-before-it-begins")
        return attrs


def asked(request: Request, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """The query, checked."""
    checked = serializer(data=request.query_params.dict())
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)


def charges_of(user: Any, query: dict[str, Any]) -> QuerySet[Charge]:
    """What the caller may see of what was charged for a time."""
    rows: Any = Charge.objects.in_scope(scope_of(user, "invoice.view"))
    for name, lookup in (("start", "period_start__gte"), ("end", "period_start__lt")):
        if query.get(name):
            rows = rows.filter(**{lookup: query[name]})
    for name, column in (("tenant", "tenant_id"), ("project", "project_id"), ("site", "site"), ("flavor", "flavor")):
        if query.get(name):
            rows = rows.filter(**{column: query[name]})
    found: QuerySet[Charge] = rows
    return found
