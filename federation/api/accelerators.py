"""Accelerators: each by itself, added up by model, and the whole estate in one compact answer for the map."""

from collections import Counter
from typing import Any
from uuid import UUID

import django_filters
from django.db.models import Count, Prefetch, Q, Sum
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from federation.actions import partitions
from federation.models import Accelerator, CardLayout, Cluster, LayoutState
from portal.errors import Invalid
from portal.http.filters import FilterSet
from portal.http.viewsets import ReadViewSet
from portal.permissions import Scope, scope_of


class FiguresSerializer(serializers.Serializer[Any]):
    busy_percent = serializers.FloatField(allow_null=True)
    memory_used_mib = serializers.IntegerField(allow_null=True)
    power_watts = serializers.FloatField(allow_null=True)
    temperature_celsius = serializers.FloatField(allow_null=True)
    at = serializers.DateTimeField()


class WantedPartsSerializer(serializers.Serializer[Any]):
    """What somebody wants the card to be cut into, and what became of it."""

    wanted = serializers.DictField(child=serializers.IntegerField())
    state = serializers.ChoiceField(choices=LayoutState.choices)
    reason = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)


class CardPlaceSerializer(serializers.ModelSerializer[Accelerator]):
    """Where a card is."""

    node = serializers.UUIDField(source="node_id")
    node_name = serializers.CharField(source="node.name")
    cluster = serializers.UUIDField(source="node.cluster_id")
    cluster_name = serializers.CharField(source="node.cluster.name")
    site_name = serializers.CharField(source="node.cluster.site.name")

    class Meta:
        model = Accelerator
        fields = ["id", "index", "node", "node_name", "cluster", "cluster_name", "site_name"]


class AcceleratorSerializer(serializers.ModelSerializer[Accelerator]):
    """`held_milli` is what is granted, `figures.busy_percent` what is really used, as of `figures.at`.

    `foreign_milli` is used by work that is not ours. With a `parent` it is a partition of that card; while a card has
    `present_parts`, only those are handed out. `counted_at` names the same physical card as it is seen in another
    place (inside a virtual machine, say), where it counts, and `counted_place` says which if the caller may see it.
    `is_identified` is false where a site only counts its cards. `layout` is there of cards that somebody wants cut into
    parts, see `/accelerators/{id}/partitions`.
    """

    node = serializers.UUIDField(source="node_id")
    node_name = serializers.CharField(source="node.name")
    cluster = serializers.UUIDField(source="node.cluster_id")
    parent: Any = serializers.UUIDField(source="parent_id", allow_null=True)
    counted_at = serializers.UUIDField(source="counted_at_id", allow_null=True)
    counted_place = CardPlaceSerializer(source="counted_at", allow_null=True)
    vendor = serializers.CharField(source="model.vendor")
    model = serializers.CharField(source="model.name")
    figures = FiguresSerializer(allow_null=True, default=None)
    layout = WantedPartsSerializer(allow_null=True, default=None)
    holders = serializers.SerializerMethodField()

    class Meta:
        model = Accelerator
        fields = [
            "id", "node", "node_name", "cluster", "index", "uuid", "vendor", "model", "memory_mib", "health",
            "is_present", "is_identified", "parent", "present_parts", "counted_at", "counted_place", "serial", "pci",
            "mode", "step_milli", "most_shares", "resource",
            "held_milli", "held_memory_mib", "foreign_milli", "foreign_memory_mib", "figures", "layout", "holders",
            "created_at", "version",
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
    physical = django_filters.BooleanFilter(
        method="by_physical", help_text="true: each physical card once; false: partitions, and cards counted elsewhere."
    )

    class Meta:
        model = Accelerator
        fields = ["node", "health", "is_present", "uuid", "mode", "is_identified", "parent", "counted_at"]

    def by_physical(self, rows: Any, name: str, value: bool) -> Any:
        is_card = Q(parent=None, counted_at=None)
        return rows.filter(is_card if value else ~is_card)


class MapSerializer(serializers.Serializer[Any]):
    """`nodes[].d` rows: [id, model number, health (0 ok, 1 unhealthy, 2 unknown), held 1/1000, busy %, memory
    used MiB, memory MiB, foreign 1/1000, role, other]. Roles: 0 a card that is handed out, 1 a card that is handed out
    by its parts, 2 a part, 3 a card that counts in another place. `other` is the id of a part's card, or of the same
    card in the place where it counts, else null. Physical cards are those of roles 0 and 1.
    Rows instead of objects: ten thousand devices fit in a few hundred kilobytes."""

    seq = serializers.IntegerField()
    observed_at = serializers.DateTimeField(allow_null=True)
    models = serializers.ListField(child=serializers.CharField())
    clusters = serializers.ListField(child=serializers.DictField())


class ModelSummarySerializer(serializers.Serializer[Any]):
    """Physical cards, each once, and what can be handed out of them: whole cards, and the parts of those in parts
    (under the name of their own model). Amounts in 1/1000 of one of these. Of `offered`, `shareable` may have several
    holders and `parts` are parts of a card; the rest goes whole. `elsewhere`: cards seen here that count in another
    place."""

    vendor = serializers.CharField()
    model = serializers.CharField()
    physical = serializers.IntegerField()
    unhealthy = serializers.IntegerField(help_text="Of the physical cards; also those whose health is unknown.")
    offered = serializers.IntegerField()
    shareable = serializers.IntegerField()
    parts = serializers.IntegerField()
    held_milli = serializers.IntegerField()
    foreign_milli = serializers.IntegerField()
    elsewhere = serializers.IntegerField()


class CutSerializer(serializers.Serializer[Any]):
    """All parts that the card is to have: `{"1g.10gb": 7}`. None: the whole card."""

    profiles = serializers.DictField(
        child=serializers.IntegerField(min_value=0, max_value=64), help_text="How many of each profile."
    )


class LayoutSerializer(serializers.Serializer[Any]):
    """How a card is cut, and how it is to be. `possible` is empty of a card that cannot be cut.

    `wanted` is null where nobody has asked. What is wanted is `waiting` until no work is on the card and its parts.
    """

    possible = serializers.DictField(child=serializers.IntegerField(), help_text="So many of each profile at most.")
    wanted = serializers.DictField(child=serializers.IntegerField(), allow_null=True)
    generation = serializers.IntegerField()
    state = serializers.ChoiceField(choices=LayoutState.choices, allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)
    parts = serializers.DictField(child=serializers.IntegerField(), help_text="Those that are there now.")


class AcceleratorViewSet(ReadViewSet):
    queryset = Accelerator.objects.select_related("node", "model", "figures", "layout").prefetch_related(
        "shares__allocation__workload", "shares__allocation__tenant"
    )
    serializer_class = AcceleratorSerializer
    filterset_class = AcceleratorFilter
    permissions = dict.fromkeys(["list", "retrieve", "map", "summary", "layout"], "accelerator.view") | {
        "cut": "accelerator.partition"
    }

    @extend_schema(responses=LayoutSerializer)
    @action(detail=True, methods=["get"], url_path="partitions")
    def layout(self, request: Request, pk: str) -> Response:
        """What this card can be cut into, what it is to be cut into, and what became of that."""
        return Response(layout_of(self.get_object()))

    @extend_schema(request=CutSerializer, responses={202: LayoutSerializer})
    @layout.mapping.put
    def cut(self, request: Request, pk: str) -> Response:
        """Cut the card into these parts, or make it whole again. Refused while work is on it; its machine's agent does
        it, where its owner allows that, and says if the card refuses."""
        card = self.get_object()
        self.require()
        partitions.cut(by=self.user, card=card, profiles=self.valid(CutSerializer)["profiles"])
        return Response(layout_of(card), status=202)

    def get_queryset(self) -> Any:
        seen = Accelerator.objects.in_scope(scope_of(self.user, "accelerator.view"))
        place = Prefetch("counted_at", queryset=seen.select_related("node__cluster__site"))
        return super().get_queryset().prefetch_related(place)

    @extend_schema(responses=MapSerializer, filters=False)
    @action(detail=False, methods=["get"], pagination_class=None)
    def map(self, request: Request) -> Response:
        """Every device the caller may see, for the live map."""
        return Response(estate(scope_of(self.user, "accelerator.view")))

    @extend_schema(
        responses=ModelSummarySerializer(many=True), filters=False, parameters=[OpenApiParameter("cluster", UUID)]
    )
    @action(detail=False, methods=["get"], pagination_class=None)
    def summary(self, request: Request) -> Response:
        """How many there are of each model, told apart: physical cards, and what can be handed out."""
        asked = request.query_params.get("cluster")
        try:
            cluster = UUID(asked) if asked else None
        except ValueError:
            raise Invalid.field("cluster", "This is no id of a cluster.", "not-an-id") from None
        return Response(summed(scope_of(self.user, "accelerator.view"), cluster))


def summed(scope: Scope, cluster: UUID | None = None) -> list[dict[str, Any]]:
    """By model, of what is there; amounts are of what counts here."""
    rows = Accelerator.objects.filter(is_present=True).exclude(node__cluster__state="retired")
    if cluster is not None:
        rows = rows.filter(node__cluster_id=cluster)
    if not scope.is_everything:  # a scope looks at shares, of which a device may have several
        rows = rows.filter(pk__in=Accelerator.objects.in_scope(scope).order_by().values("pk"))
    counts = Q(counted_at=None)
    card, offered = counts & Q(parent=None), counts & Q(present_parts=0)
    found = (
        rows.order_by("model__vendor", "model__name")
        .values("model__vendor", "model__name")
        .annotate(
            physical=Count("pk", filter=card),
            unhealthy=Count("pk", filter=card & ~Q(health="healthy")),
            offered=Count("pk", filter=offered),
            shareable=Count("pk", filter=offered & Q(step_milli__lt=1000)),
            pieces=Count("pk", filter=offered & ~Q(parent=None)),
            held=Sum("held_milli", filter=counts, default=0),
            foreign=Sum("foreign_milli", filter=counts, default=0),
            elsewhere=Count("pk", filter=~counts & Q(parent=None)),
        )
    )
    ours = {"model__vendor": "vendor", "model__name": "model", "pieces": "parts"}
    ours |= {"held": "held_milli", "foreign": "foreign_milli"}
    return [{ours.get(name, name): value for name, value in row.items()} for row in found]


def layout_of(card: Accelerator) -> dict[str, Any]:
    layout = CardLayout.objects.filter(pk=card.pk).first()
    parts = Counter(
        name.rpartition("/")[2]
        for name in Accelerator.objects.filter(parent=card, is_present=True).values_list("model__name", flat=True)
    )
    return {
        "possible": partitions.possible(card),
        "wanted": layout and layout.wanted,
        "generation": layout.generation if layout else 0,
        "state": layout and layout.state,
        "reason": layout.reason if layout else "",
        "message": layout.message if layout else "",
        "parts": dict(sorted(parts.items())),
    }


_WHOLE, _IN_PARTS, _PART, _TWIN = range(4)  # roles
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
    rows: Any = (
        Accelerator.objects.in_scope(scope)
        .filter(is_present=True, node__cluster__in=clusters)
        .order_by("node__cluster_id", "node__name", "index")
        .values_list(
            "id", "node_id", "node__name", "node__cluster_id", "model__name", "health", "held_milli",
            "figures__busy_percent", "figures__memory_used_mib", "memory_mib", "foreign_milli", "parent_id",
            "present_parts", "counted_at_id",
        )
    )  # fmt: skip
    for row in rows.iterator(5000):
        pk, node, name, cluster_id, model, health, held, busy, used, memory, foreign, parent, parts, counted_at = row
        entry = clusters[cluster_id]["nodes"].setdefault(node, {"id": str(node), "name": name, "d": []})
        number = models.setdefault(model, len(models))
        busy = None if busy is None else round(busy)
        role = _TWIN if counted_at is not None else _PART if parent is not None else _IN_PARTS if parts else _WHOLE
        other = parent if counted_at is None else counted_at
        entry["d"].append(
            [
                str(pk),
                number,
                _HEALTH[health],
                held,
                busy,
                used,
                memory,
                foreign,
                role,
                None if other is None else str(other),
            ]
        )
    for cluster_entry in clusters.values():
        cluster_entry["nodes"] = list(cluster_entry["nodes"].values())
    return {"seq": seq, "observed_at": latest, "models": list(models), "clusters": list(clusters.values())}
