"""What a pool can place by, and in which orders it can look at its queue."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from federation.placement import orders, policies


class NamedSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="What a pool is told.")
    title = serializers.CharField()
    description = serializers.CharField()


class ObjectiveSerializer(NamedSerializer):
    pass


class PlacementPolicySerializer(NamedSerializer):
    objectives = serializers.ListField(child=serializers.CharField(), help_text="Names of what it weighs.")


class PlacementPoliciesSerializer(serializers.Serializer[Any]):
    """A pool takes one of `policies` by name, or `objectives` with their weights as in `example`."""

    default = serializers.CharField()
    example = serializers.CharField()
    most_weight = serializers.FloatField(help_text="Weights are from 0 to this.")
    policies = PlacementPolicySerializer(many=True)
    objectives = ObjectiveSerializer(many=True)


class QueueOrderSerializer(NamedSerializer):
    starves = serializers.CharField(allow_blank=True, help_text="What may wait for ever by this order; empty: nothing.")


class QueueOrdersSerializer(serializers.Serializer[Any]):
    default = serializers.CharField()
    orders = QueueOrderSerializer(many=True)


class PlacementPoliciesView(APIView):
    permissions = {"get": "catalogue.view"}

    @extend_schema(responses=PlacementPoliciesSerializer)
    def get(self, request: Request) -> Response:
        """What a pool can place by: policies by name, and objectives to combine."""
        return Response(
            PlacementPoliciesSerializer(
                {
                    "default": policies.DEFAULT,
                    "example": policies.EXAMPLE,
                    "most_weight": policies.MOST_WEIGHT,
                    "policies": policies.POLICIES.values(),
                    "objectives": policies.OBJECTIVES.values(),
                }
            ).data
        )


class QueueOrdersView(APIView):
    permissions = {"get": "catalogue.view"}

    @extend_schema(responses=QueueOrdersSerializer)
    def get(self, request: Request) -> Response:
        """In which orders a pool can look at its queue."""
        found = [asdict(order) for order in orders.ORDERS.values()]
        return Response(QueueOrdersSerializer({"default": orders.DEFAULT, "orders": found}).data)
