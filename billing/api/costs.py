"""Showback: what things cost, by whatever they can be told apart."""

from typing import Any

from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.asking import EXACT, BetweenSerializer, asked, charges_of
from billing.api.showback import ShowbackViewSet
from billing.policy import policy
from billing.showback import costs
from billing.showback.costs import Dimension, Measure, Step

MOST_SERIES = 50


@extend_schema_field(serializers.CharField())
class DimensionsField(serializers.Field[Any, str, str, Any]):
    """One or two, with a comma between."""

    default_error_messages = {"not-dimensions": "Name one or two of: {names}."}

    def to_internal_value(self, data: Any) -> Any:
        named = str(data).split(",")
        if len(named) > 2 or len(set(named)) < len(named) or not set(named) <= set(Dimension):
            self.fail("not-dimensions", names=", ".join(Dimension))
        return [Dimension(name) for name in named]


class CostsQuerySerializer(BetweenSerializer):
    by = DimensionsField(
        default=[Dimension.TENANT], help_text=f"One or two, with a comma between: {', '.join(Dimension)}."
    )
    step = serializers.ChoiceField(choices=[s.value for s in Step], default=Step.NONE)
    measure = serializers.ChoiceField(choices=[m.value for m in Measure], default=Measure.BILLED)
    top = serializers.IntegerField(
        min_value=1, max_value=MOST_SERIES, default=10, help_text="How many series; the rest is one of its own."
    )
    tenant = serializers.UUIDField(required=False)
    project = serializers.UUIDField(required=False)
    site = serializers.CharField(required=False)
    flavor = serializers.CharField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        start, end, step = attrs.get("start"), attrs.get("end"), Step(attrs["step"])
        if step in (Step.HOUR, Step.DAY):
            if not (start and end):
                raise serializers.ValidationError(
                    {"step": f"Say from when until when, for each {step}."}, code="needs-start-and-end"
                )
            if costs.steps_between(start, end, step) > costs.MOST_STEPS:
                raise serializers.ValidationError(
                    {"step": f"These would be more than {costs.MOST_STEPS} steps."}, code="too-many-steps"
                )
        return attrs


class CostKeySerializer(serializers.Serializer[Any]):
    dimension = serializers.ChoiceField(choices=[d.value for d in Dimension])
    id = serializers.UUIDField(allow_null=True)
    name = serializers.CharField(help_text="Empty: what has none, as a tax no project.")


class CostPointSerializer(serializers.Serializer[Any]):
    start = serializers.DateTimeField(allow_null=True, help_text="When its step begins; null without steps.")
    cost = serializers.DecimalField(**EXACT)


class CostSeriesSerializer(serializers.Serializer[Any]):
    """One group in one currency. Steps in which it cost nothing are left out."""

    currency = serializers.CharField()
    keys = CostKeySerializer(many=True, help_text="One for each dimension; none: all the others together.")
    total = serializers.DecimalField(**EXACT)
    share = serializers.DecimalField(
        max_digits=30, decimal_places=6, allow_null=True, help_text="Of the currency's total; rounded, to be read only."
    )
    points = CostPointSerializer(many=True)


class CostTotalSerializer(serializers.Serializer[Any]):
    currency = serializers.CharField()
    cost = serializers.DecimalField(**EXACT)


class CostsSerializer(serializers.Serializer[Any]):
    """Costs are exact: series add up to the totals, and those to the charges of that time, to the last digit."""

    start = serializers.DateTimeField(allow_null=True)
    end = serializers.DateTimeField(allow_null=True)
    zone = serializers.CharField(help_text="Whose days and months are meant. Hours are those of UTC.")
    series = CostSeriesSerializer(many=True)
    totals = CostTotalSerializer(many=True)


class CostsViewSet(ShowbackViewSet):
    """Sums over charges in the caller's scope. Whoever may see invoices may see what things cost."""

    permissions = {"list": "invoice.view", **ShowbackViewSet.permissions}

    @extend_schema(parameters=[CostsQuerySerializer], responses=forced_singular_serializer(CostsSerializer))
    def list(self, request: Request) -> Response:
        """Costs by one or two dimensions over time: the greatest of each currency, and the rest together."""
        query = asked(request, CostsQuerySerializer)
        zone = policy().zone
        found = costs.series(
            charges_of(request.user, query), query["by"], Step(query["step"]), Measure(query["measure"]), zone,
            query["top"],
        )  # fmt: skip
        return Response(
            CostsSerializer(
                {
                    "start": query.get("start"),
                    "end": query.get("end"),
                    "zone": zone.key,
                    "series": found,
                    "totals": costs.totals(found),
                }
            ).data
        )
