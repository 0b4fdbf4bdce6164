"""The one answer behind the Overview page: a few grouped queries over all apps, nothing stored."""

from datetime import timedelta
from typing import Any

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Greatest
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.models import UsageRecord
from federation.models import Accelerator, Allocation, Cluster, ClusterCredential, Node, Workload
from federation.states import ClusterState, NodeState, WorkloadState
from portal.permissions import Scope, scope_of

BUSY_PERCENT = 5.0  # above this a device counts as working
CREDENTIAL_NOTICE = timedelta(days=14)  # before the credential of a cluster ends
_FRESH = timedelta(minutes=5)


class CountSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    count = serializers.IntegerField()


class EstateSerializer(serializers.Serializer[Any]):
    """`total` are physical cards, each once; `offered` is what can be handed out: whole cards, and parts of those that
    are cut. Amounts are in 1/1000 of what is offered. `placeable_milli` is free on what is open and healthy,
    `foreign_milli` used by work that is not ours."""

    total = serializers.IntegerField()
    offered = serializers.IntegerField()
    unhealthy = serializers.IntegerField()
    capacity_milli = serializers.IntegerField()
    held_milli = serializers.IntegerField()
    foreign_milli = serializers.IntegerField()
    placeable_milli = serializers.IntegerField()
    busy = serializers.IntegerField()
    idle_held = serializers.IntegerField()
    largest_free_block = serializers.IntegerField()
    observed_at = serializers.DateTimeField(allow_null=True)


class MachinesSerializer(serializers.Serializer[Any]):
    """Cores and memory of all nodes, each once: what a virtual machine has that is a node of ours is its host's, so
    totals are of nodes without a host, and what is free of all nodes. `nested` nodes are inside of others."""

    cpu_milli = serializers.IntegerField()
    memory_mib = serializers.IntegerField()
    free_cpu_milli = serializers.IntegerField()
    free_memory_mib = serializers.IntegerField()
    nested = serializers.IntegerField()


class MoneySerializer(serializers.Serializer[Any]):
    amount = serializers.DecimalField(max_digits=38, decimal_places=2)
    currency = serializers.CharField()


class NeedSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    severity = serializers.ChoiceField(choices=["error", "warning", "info"])
    title_code = serializers.CharField()
    params = serializers.DictField()
    target_type = serializers.CharField()
    target_id = serializers.UUIDField()


class OverviewSerializer(serializers.Serializer[Any]):
    clusters = CountSerializer(many=True)
    nodes = CountSerializer(many=True)
    machines = MachinesSerializer()
    accelerators = EstateSerializer()
    workloads = CountSerializer(many=True)
    waiting = CountSerializer(many=True)
    spend_today = MoneySerializer(many=True)
    needs_you = NeedSerializer(many=True)


class OverviewView(APIView):
    permissions = {"get": "overview.view"}
    basename = "overview"

    @extend_schema(responses=OverviewSerializer)
    def get(self, request: Request) -> Response:
        """What is owned, held, busy, idle and free, who waits and why, today's spend, and what needs somebody."""
        user = request.user
        return Response(
            {
                "clusters": _by(Cluster.objects.in_scope(scope_of(user, "cluster.view")), "state"),
                "nodes": _by(Node.objects.in_scope(scope_of(user, "node.view")), "state"),
                "machines": _machines(scope_of(user, "node.view")),
                "accelerators": _estate(scope_of(user, "accelerator.view")),
                "workloads": _by(Workload.objects.in_scope(scope_of(user, "workload.view")), "state"),
                "waiting": _by(Workload.objects.in_scope(scope_of(user, "workload.view")).waiting(), "reason"),
                "spend_today": [
                    {"currency": currency, "amount": str(round(amount, 2))}
                    for currency, amount in UsageRecord.objects.spend_today(scope_of(user, "usage.view")).items()
                ],
                "needs_you": _needs(user),
            }
        )


def _by(rows: Any, field: str) -> list[dict[str, Any]]:
    counted = rows.order_by().values_list(field).annotate(n=Count("pk", distinct=True)).order_by("-n")
    return [{"name": name, "count": n} for name, n in counted]


def _machines(scope: Scope) -> dict[str, Any]:
    """A guest whose host the caller may not see is the outermost that they see."""
    seen = Node.objects.standing()
    if not scope.is_everything:  # a scope looks at allocations, of which a node may have several
        seen = seen.filter(pk__in=Node.objects.in_scope(scope).order_by().values("pk"))
    is_inside = Q(host__in=seen.order_by().values("pk"))
    free = {
        name: Sum(Greatest(F(name) - F(f"held_{name}") - F(f"foreign_{name}"), 0), default=0)
        for name in ("cpu_milli", "memory_mib")
    }
    found = seen.order_by().aggregate(
        cpu=Sum("cpu_milli", filter=~is_inside, default=0),
        memory=Sum("memory_mib", filter=~is_inside, default=0),
        free_cpu=free["cpu_milli"],
        free_memory=free["memory_mib"],
        nested=Count("pk", filter=is_inside),
    )
    return {
        "cpu_milli": int(found["cpu"]),
        "memory_mib": int(found["memory"]),
        # Hosts may promise their guests more than there is.
        "free_cpu_milli": min(int(found["free_cpu"]), int(found["cpu"])),
        "free_memory_mib": min(int(found["free_memory"]), int(found["memory"])),
        "nested": found["nested"],
    }


def _estate(scope: Scope) -> dict[str, Any]:
    rows = Accelerator.objects.in_scope(scope).filter(is_present=True, counted_at=None)
    rows = rows.exclude(node__cluster__state="retired")
    is_card, is_offered = Q(parent=None), Q(present_parts=0)
    is_open = Q(health="healthy", node__state=NodeState.READY) & Q(
        node__cluster__state__in=(ClusterState.CONNECTED, ClusterState.DEGRADED)
    )
    is_fresh = Q(figures__at__gte=timezone.now() - _FRESH)
    is_busy = is_fresh & Q(figures__busy_percent__gte=BUSY_PERCENT)
    found = rows.order_by().aggregate(
        total=Count("pk", filter=is_card),
        offered=Count("pk", filter=is_offered),
        unhealthy=Count("pk", filter=is_card & ~Q(health="healthy")),
        held=Sum("held_milli", default=0),
        foreign=Sum("foreign_milli", default=0),
        placeable=Sum(Greatest(1000 - F("held_milli") - F("foreign_milli"), 0), filter=is_open & is_offered, default=0),
        busy=Count("pk", filter=is_card & is_busy),
        idle_held=Count("pk", filter=is_fresh & Q(held_milli__gt=0, figures__busy_percent__lt=BUSY_PERCENT)),
    )
    block = (
        rows.filter(is_open & is_offered, held_milli=0, foreign_milli=0)
        .order_by()
        .values("node_id")
        .annotate(n=Count("pk"))
        .order_by("-n")
        .first()
    )
    clusters = Cluster.objects.in_scope(scope).order_by("-figures_at").exclude(figures_at=None)
    latest = clusters.values_list("figures_at", flat=True).first()
    return {
        "total": found["total"],
        "unhealthy": found["unhealthy"],
        "busy": found["busy"],
        "idle_held": found["idle_held"],
        "held_milli": found["held"],
        "placeable_milli": found["placeable"],
        "offered": found["offered"],
        "foreign_milli": found["foreign"],
        "capacity_milli": found["offered"] * 1000,
        "largest_free_block": block["n"] if block else 0,
        "observed_at": latest,
    }


def _needs(user: Any) -> list[dict[str, Any]]:
    """Silent and degraded sites, sick devices, stuck grants, and work that failed lately: the worst first."""
    found: list[dict[str, Any]] = []

    def add(severity: str, code: str, kind: str, pk: Any, **params: Any) -> None:
        found.append(
            {"kind": code, "severity": severity, "title_code": code, "params": params, "target_type": kind,
             "target_id": str(pk)}
        )  # fmt: skip

    if scope_of(user, "cluster.edit").is_everything:
        troubled = Cluster.objects.filter(
            state__in=(ClusterState.STALE, ClusterState.DISCONNECTED, ClusterState.DEGRADED, ClusterState.PENDING)
        )
        for cluster in troubled.order_by("state_since")[:10]:
            is_gone = cluster.state == ClusterState.DISCONNECTED
            add("error" if is_gone else "warning", f"cluster-{cluster.state}", "cluster", cluster.pk,
                name=cluster.name, since=cluster.state_since.isoformat())  # fmt: skip
        soon = timezone.now() + CREDENTIAL_NOTICE
        ending = ClusterCredential.objects.filter(expires_at__lt=soon).exclude(cluster__state=ClusterState.RETIRED)
        rows: Any = ending.order_by("expires_at").values_list("cluster_id", "cluster__name", "expires_at")
        for pk, name, at in rows[:10]:
            is_over = at <= timezone.now()
            add("error" if is_over else "warning", "credential-expired" if is_over else "credential-expires",
                "cluster", pk, name=name, at=at.isoformat())  # fmt: skip
        sick = Node.objects.filter(
            accelerators__health="unhealthy", accelerators__is_present=True, accelerators__parent=None,
            accelerators__counted_at=None,
        )  # fmt: skip
        counted = sick.exclude(state=NodeState.GONE).annotate(n=Count("accelerators")).order_by("-n")
        for pk, name, count in counted.values_list("pk", "name", "n")[:10]:
            add("warning", "node-unhealthy-accelerators", "node", pk, name=name, count=count)
        for allocation in Allocation.objects.holding().filter(attempts__gt=10).select_related("workload")[:10]:
            add("error", "allocation-stuck", "allocation", allocation.pk, name=allocation.workload.name)
    recent = timezone.now() - timedelta(hours=24)
    failed = Workload.objects.in_scope(scope_of(user, "workload.control")).filter(
        state=WorkloadState.FAILED, state_since__gte=recent
    )
    for workload in failed.order_by("-state_since")[:5]:
        add("info", "workload-failed", "workload", workload.pk, name=workload.name, reason=workload.reason)
    return found
