"""Nodes, the models of accelerators, and pools."""

from typing import Any
from uuid import UUID

import django_filters
from django.db.models import Prefetch
from drf_spectacular.utils import extend_schema, extend_schema_field
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
from federation.models import AcceleratorModel, Cluster, ClusterKind, Node, Pool, QueueOrder
from federation.models.inventory import policy_rule
from federation.states import NodeState as N
from portal.errors import Invalid
from portal.http.filters import FilterSet
from portal.http.viewsets import CatalogueViewSet, ReadViewSet, allowed_verbs
from portal.models.tenants import slug_rule
from portal.permissions import scope_of

_NODE_VERBS = {
    "drain": ("node.drain", frozenset({N.READY, N.NOT_READY, N.DRAINED})),
    "undrain": ("node.drain", frozenset({N.DRAINING, N.DRAINED})),
}


class HostSerializer(serializers.ModelSerializer[Node]):
    """A node whose virtual machine another node is."""

    cluster = serializers.UUIDField(source="cluster_id")
    cluster_name = serializers.CharField(source="cluster.name")
    kind = serializers.ChoiceField(source="cluster.kind", choices=ClusterKind.choices)
    site = serializers.UUIDField(source="cluster.site_id")
    site_name = serializers.CharField(source="cluster.site.name")

    class Meta:
        model = Node
        fields = ["id", "name", "cluster", "cluster_name", "kind", "site", "site_name"]


class NodeSerializer(serializers.ModelSerializer[Node]):
    """Of what the node has, `held_*` is granted here, and `foreign_*` is used by work that is not ours.

    A node that is a virtual machine on another of ours has a `host`; `outer_hosts` are what that is itself inside of,
    from inside out. `guests` nodes are inside of this one, and `nested_*` is what they have: it is held or foreign here
    already, and counts there. `host_problem` says why it is linked to no host, or that its cards are not. Of hosts and
    guests only those are named and counted that the caller may see.
    """

    cluster = serializers.UUIDField(source="cluster_id")
    cluster_name = serializers.CharField(source="cluster.name")
    host = HostSerializer(allow_null=True)
    outer_hosts = serializers.SerializerMethodField()
    host_problem = serializers.CharField(source="problem_with_host")
    guests = serializers.SerializerMethodField()
    nested_cpu_milli = serializers.SerializerMethodField()
    nested_memory_mib = serializers.SerializerMethodField()
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Node
        fields = [
            "id", "cluster", "cluster_name", "name", "state", "reason", "message", "state_since", "rack", "labels",
            "cpu_milli", "memory_mib", "held_cpu_milli", "held_memory_mib", "foreign_cpu_milli", "foreign_memory_mib",
            "host", "outer_hosts", "host_problem", "guests", "nested_cpu_milli", "nested_memory_mib", "created_at",
            "version", "actions",
        ]  # fmt: skip

    @extend_schema_field(HostSerializer(many=True))
    def get_outer_hosts(self, node: Node) -> Any:
        return HostSerializer(outer_hosts(node), many=True).data

    def get_guests(self, node: Node) -> int:
        return len(_inside(node))

    def get_nested_cpu_milli(self, node: Node) -> int:
        return sum(guest.cpu_milli for guest in _inside(node))

    def get_nested_memory_mib(self, node: Node) -> int:
        return sum(guest.memory_mib for guest in _inside(node))

    def get_actions(self, node: Node) -> list[str]:
        return allowed_verbs(self.context["request"].user, node, _NODE_VERBS)


_MOST_HOSTS = 4  # that are named, one around the other


def outer_hosts(node: Node) -> list[Node]:
    """As far as they were read with it."""
    found: list[Node] = []
    at = node.host
    while at is not None and len(found) < _MOST_HOSTS - 1 and (at := at.host) is not None:
        found.append(at)
    return found


def _inside(node: Node) -> list[Node]:
    found: list[Node] = node.nested  # type: ignore[attr-defined]  # read with it, see NodeViewSet
    return found


class NodeFilter(FilterSet):
    site = django_filters.UUIDFilter(field_name="cluster__site_id")
    host = django_filters.UUIDFilter(method="by_host", help_text="Whose virtual machines they are.")

    def by_host(self, rows: Any, name: str, value: UUID) -> Any:
        """A host that the caller may not see has no guests."""
        seen = Node.objects.in_scope(scope_of(self.request.user, "node.view"))
        return rows.filter(host__in=seen.filter(pk=value).order_by().values("pk"))

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

    def get_queryset(self) -> Any:
        """With its hosts, one query for each level that there is, and its guests: of those in the caller's scope."""
        scope = scope_of(self.user, "node.view")
        hosts = Node.objects.in_scope(scope).select_related("cluster__site")
        levels = [Prefetch("__".join(["host"] * level), queryset=hosts) for level in range(1, _MOST_HOSTS + 1)]
        inside = Node.objects.in_scope(scope).only("host_id", "cpu_milli", "memory_mib")
        return super().get_queryset().prefetch_related(*levels, Prefetch("inside", queryset=inside, to_attr="nested"))

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
