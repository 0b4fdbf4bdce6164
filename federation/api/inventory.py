"""Nodes, the models of accelerators, and pools."""

from typing import Any
from uuid import UUID

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from federation.actions import nodes, pools
from federation.api.defrag import (
    CarriedOutSerializer,
    CarryOutSerializer,
    DefragmentationQuestionSerializer,
    DefragmentationSerializer,
    carry_out,
    defragmentation,
)
from federation.api.sensors import PowerMixin
from federation.api.whatif import ChangeSerializer, ResultSerializer, simulate
from federation.models import AcceleratorModel, Cluster, Node, Pool, QueueOrder
from federation.models.inventory import policy_rule
from federation.states import NodeState as N
from portal.errors import Invalid
from portal.http.filters import FilterSet
from portal.http.viewsets import CatalogueViewSet, ReadViewSet, allowed_verbs
from portal.models.tenants import slug_rule

_NODE_VERBS = {
    "drain": ("node.drain", frozenset({N.READY, N.NOT_READY, N.DRAINED})),
    "undrain": ("node.drain", frozenset({N.DRAINING, N.DRAINED})),
}


class NodeSerializer(serializers.ModelSerializer[Node]):
    """Of what the node has, `held_*` is granted here, and `foreign_*` is used by work that is not ours."""

    cluster = serializers.UUIDField(source="cluster_id")
    cluster_name = serializers.CharField(source="cluster.name")
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Node
        fields = [
            "id", "cluster", "cluster_name", "name", "state", "reason", "message", "state_since", "rack", "labels",
            "cpu_milli", "memory_mib", "held_cpu_milli", "held_memory_mib", "foreign_cpu_milli", "foreign_memory_mib",
            "created_at", "version", "actions",
        ]  # fmt: skip

    def get_actions(self, node: Node) -> list[str]:
        return allowed_verbs(self.context["request"].user, node, _NODE_VERBS)


class NodeFilter(FilterSet):
    site = django_filters.UUIDFilter(field_name="cluster__site_id")

    class Meta:
        model = Node
        fields = ["cluster", "state", "name", "rack"]


class NodeViewSet(PowerMixin, ReadViewSet):
    queryset = Node.objects.select_related("cluster")
    serializer_class = NodeSerializer
    filterset_class = NodeFilter
    permissions = {
        "list": "node.view",
        "retrieve": "node.view",
        "sensors": "node.view",
        "drain": "node.drain",
        "undrain": "node.drain",
        "power": "node.power",
    }

    @extend_schema(request=None, responses={202: NodeSerializer})
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, pk: str) -> Response:
        """No new work here; what runs goes back to the queue."""
        node = self.get_object()
        self.require()
        return self.answer(nodes.drain(by=self.user, node=node), 202)

    @extend_schema(request=None, responses={202: NodeSerializer})
    @action(detail=True, methods=["post"])
    def undrain(self, request: Request, pk: str) -> Response:
        """Open for work again."""
        node = self.get_object()
        self.require()
        return self.answer(nodes.undrain(by=self.user, node=node), 202)


class AcceleratorModelSerializer(serializers.ModelSerializer[AcceleratorModel]):
    flavor = serializers.CharField(source="flavor.name")

    class Meta:
        model = AcceleratorModel
        fields = [
            "id", "vendor", "name", "flavor", "memory_mib", "peak_tflops", "power_watts", "slicing_modes",
            "smallest_share_milli", "created_at", "version",
        ]  # fmt: skip


class AcceleratorModelViewSet(CatalogueViewSet):
    queryset = AcceleratorModel.objects.select_related("flavor")
    serializer_class = AcceleratorModelSerializer
    filterset_fields = ["vendor", "name"]
    permissions = {"list": "catalogue.view", "retrieve": "catalogue.view"}


class PoolSerializer(serializers.ModelSerializer[Pool]):
    clusters: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)

    class Meta:
        model = Pool
        fields = [
            "id",
            "slug",
            "name",
            "clusters",
            "model_names",
            "policy",
            "queue_order",
            "created_at",
            "version",
        ]


class NewPoolSerializer(serializers.Serializer[Any]):
    slug = serializers.CharField(max_length=63, validators=[slug_rule])
    name = serializers.CharField(max_length=200)
    clusters = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=1000)
    model_names = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=200)
    policy = serializers.CharField(
        max_length=200, validators=[policy_rule], required=False, help_text="See /placement-policies."
    )
    queue_order = serializers.ChoiceField(choices=QueueOrder.choices, required=False)


class PoolChangeSerializer(NewPoolSerializer):
    slug = None  # type: ignore[assignment]  # a slug does not change
    name = serializers.CharField(max_length=200, required=False)


class PoolViewSet(CatalogueViewSet):
    queryset = Pool.objects.prefetch_related("clusters")
    serializer_class = PoolSerializer
    filterset_fields = ["slug", "policy"]
    permissions = {
        "list": "catalogue.view",
        "retrieve": "catalogue.view",
        "create": "pool.edit",
        "partial_update": "pool.edit",
        "simulate": "pool.edit",
        "defragmentation": "pool.edit",
        "apply_defragmentation": "pool.edit",
    }

    @extend_schema(request=NewPoolSerializer, responses={201: PoolSerializer})
    def create(self, request: Request) -> Response:
        self.require()
        data = self.valid(NewPoolSerializer)
        clusters = _clusters(data.pop("clusters", []))
        return self.created(lambda: pools.create(by=self.user, clusters=clusters, **data))

    @extend_schema(request=PoolChangeSerializer, responses=PoolSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        pool = self.get_object()
        self.require()
        self.checked_version(pool)
        data = self.valid(PoolChangeSerializer)
        clusters = _clusters(data.pop("clusters")) if "clusters" in data else None
        return self.answer(pools.edit(by=self.user, pool=pool, clusters=clusters, **data))

    @extend_schema(request=ChangeSerializer, responses=ResultSerializer)
    @action(detail=True, methods=["post"])
    def simulate(self, request: Request, pk: str) -> Response:
        """What would happen if: work sent, quota changed, sites closed, nodes added. The queue is planned as it is
        and as it might be; nothing is written."""
        pool = self.get_object()
        self.require()
        return Response(simulate(self.user, pool, self.valid(ChangeSerializer)))

    @extend_schema(request=DefragmentationQuestionSerializer, responses=DefragmentationSerializer)
    @action(detail=True, methods=["post"])
    def defragmentation(self, request: Request, pk: str) -> Response:
        """Which running work could move elsewhere, and what that would free. A plan to look at: nothing is moved or
        written. Work moves only if it says `is_movable`; members of gangs do not move."""
        pool = self.get_object()
        self.require()
        return Response(defragmentation(pool, self.valid(DefragmentationQuestionSerializer)))

    @extend_schema(request=CarryOutSerializer, responses={202: CarriedOutSerializer})
    @action(detail=True, methods=["post"], url_path="defragmentation/apply")
    def apply_defragmentation(self, request: Request, pk: str) -> Response:
        """Carry moves out: each workload is stopped, keeps its place in the queue, and starts on its new node if that
        still has room, else where it fits. What cannot be moved any more is skipped, and the answer says why."""
        pool = self.get_object()
        self.require()
        return Response(carry_out(self.user, pool, self.valid(CarryOutSerializer)), status=202)


def _clusters(ids: list[UUID]) -> list[Cluster]:
    found = list(Cluster.objects.filter(pk__in=ids))
    if len(found) != len(set(ids)):
        raise Invalid.field("clusters", "One of these clusters does not exist.", "unknown-cluster")
    return found
