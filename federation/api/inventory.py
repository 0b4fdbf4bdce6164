"""Nodes, accelerators, their models, pools, and the whole estate in one compact answer for the map."""

from typing import Any
from uuid import UUID

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from federation.actions import nodes, pools
from federation.models import Accelerator, AcceleratorModel, Cluster, Node, Policy, Pool, QueueOrder
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


class NodeSerializer(serializers.ModelSerializer[Node]):
    cluster = serializers.UUIDField(source="cluster_id")
    cluster_name = serializers.CharField(source="cluster.name")
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Node
        fields = [
            "id", "cluster", "cluster_name", "name", "state", "reason", "message", "state_since", "rack", "labels",
            "cpu_milli", "memory_mib", "held_cpu_milli", "held_memory_mib", "created_at", "version", "actions",
        ]  # fmt: skip

    def get_actions(self, node: Node) -> list[str]:
        return allowed_verbs(self.context["request"].user, node, _NODE_VERBS)


class NodeFilter(FilterSet):
    site = django_filters.UUIDFilter(field_name="cluster__site_id")

    class Meta:
        model = Node
        fields = ["cluster", "state", "name", "rack"]


class NodeViewSet(ReadViewSet):
    queryset = Node.objects.select_related("cluster")
    serializer_class = NodeSerializer
    filterset_class = NodeFilter
    permissions = {"list": "node.view", "retrieve": "node.view", "drain": "node.drain", "undrain": "node.drain"}

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


class FiguresSerializer(serializers.Serializer[Any]):
    busy_percent = serializers.FloatField(allow_null=True)
    memory_used_mib = serializers.IntegerField(allow_null=True)
    power_watts = serializers.FloatField(allow_null=True)
    temperature_celsius = serializers.FloatField(allow_null=True)
    at = serializers.DateTimeField()


class AcceleratorSerializer(serializers.ModelSerializer[Accelerator]):
    """`held_milli` is what is granted, `figures.busy_percent` what is really used, as of `figures.at`."""

    node = serializers.UUIDField(source="node_id")
    node_name = serializers.CharField(source="node.name")
    cluster = serializers.UUIDField(source="node.cluster_id")
    vendor = serializers.CharField(source="model.vendor")
    model = serializers.CharField(source="model.name")
    figures = FiguresSerializer(allow_null=True, default=None)
    holders = serializers.SerializerMethodField()

    class Meta:
        model = Accelerator
        fields = [
            "id", "node", "node_name", "cluster", "index", "uuid", "vendor", "model", "memory_mib", "health",
            "is_present", "held_milli", "held_memory_mib", "figures", "holders", "created_at", "version",
        ]  # fmt: skip

    def get_holders(self, accelerator: Accelerator) -> list[dict[str, Any]]:
        """Who holds it, as far as the caller may know."""
        scope = scope_of(self.context["request"].user, "workload.view")
        return [
            {
                "workload": str(share.allocation.workload_id),
                "name": share.allocation.workload.name,
                "tenant_name": share.allocation.tenant.name,
                "milli": share.milli,
            }
            for share in accelerator.shares.all()
            if share.allocation.state != "released"
            and scope.covers(share.allocation.tenant_id, share.allocation.project_id)
        ]


class AcceleratorFilter(FilterSet):
    cluster = django_filters.UUIDFilter(field_name="node__cluster_id")
    vendor = django_filters.CharFilter(field_name="model__vendor")
    model = django_filters.CharFilter(field_name="model__name")

    class Meta:
        model = Accelerator
        fields = ["node", "health", "is_present", "uuid"]


class MapSerializer(serializers.Serializer[Any]):
    """`nodes[].d` rows: [id, model number, health (0 ok, 1 unhealthy, 2 unknown), held 1/1000, busy %, memory
    used MiB, memory MiB]. Rows instead of objects: ten thousand devices fit in a few hundred kilobytes."""

    seq = serializers.IntegerField()
    observed_at = serializers.DateTimeField(allow_null=True)
    models = serializers.ListField(child=serializers.CharField())
    clusters = serializers.ListField(child=serializers.DictField())


class AcceleratorViewSet(ReadViewSet):
    queryset = Accelerator.objects.select_related("node", "model", "figures").prefetch_related(
        "shares__allocation__workload", "shares__allocation__tenant"
    )
    serializer_class = AcceleratorSerializer
    filterset_class = AcceleratorFilter
    permissions = {"list": "accelerator.view", "retrieve": "accelerator.view", "map": "accelerator.view"}

    @extend_schema(responses=MapSerializer, filters=False)
    @action(detail=False, methods=["get"], pagination_class=None)
    def map(self, request: Request) -> Response:
        """Every device the caller may see, for the live map."""
        return Response(estate(scope_of(self.user, "accelerator.view")))


_HEALTH = {"healthy": 0, "unhealthy": 1, "unknown": 2}


def estate(scope: Any) -> dict[str, Any]:
    """Two queries, whatever the size."""
    clusters: dict[UUID, dict[str, Any]] = {}
    latest, seq = None, 0
    for cluster in Cluster.objects.in_scope(scope).exclude(state="retired").select_related("site").order_by("id"):
        clusters[cluster.pk] = {
            "id": str(cluster.pk), "name": cluster.name, "site": cluster.site.name, "kind": cluster.kind,
            "state": cluster.state, "last_seen_at": cluster.last_seen_at, "nodes": {},
        }  # fmt: skip
        if cluster.figures_at and (latest is None or cluster.figures_at > latest):
            latest = cluster.figures_at
            seq = int(latest.timestamp() * 1000)
    models: dict[str, int] = {}
    rows = (
        Accelerator.objects.in_scope(scope)
        .filter(is_present=True, node__cluster__in=clusters)
        .order_by("node__cluster_id", "node__name", "index")
        .values_list(
            "id", "node_id", "node__name", "node__cluster_id", "model__name", "health", "held_milli",
            "figures__busy_percent", "figures__memory_used_mib", "memory_mib",
        )
    )  # fmt: skip
    for pk, node, name, cluster_id, model, health, held, busy, used, memory in rows.iterator(5000):
        entry = clusters[cluster_id]["nodes"].setdefault(node, {"id": str(node), "name": name, "d": []})
        number = models.setdefault(model, len(models))
        busy = None if busy is None else round(busy)
        entry["d"].append([str(pk), number, _HEALTH[health], held, busy, used, memory])
    for cluster_entry in clusters.values():
        cluster_entry["nodes"] = list(cluster_entry["nodes"].values())
    return {"seq": seq, "observed_at": latest, "models": list(models), "clusters": list(clusters.values())}


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
    policy = serializers.ChoiceField(choices=Policy.choices, required=False)
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


def _clusters(ids: list[UUID]) -> list[Cluster]:
    found = list(Cluster.objects.filter(pk__in=ids))
    if len(found) != len(set(ids)):
        raise Invalid.field("clusters", "One of these clusters does not exist.", "unknown-cluster")
    return found
