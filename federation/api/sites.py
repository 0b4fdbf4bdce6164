"""Sites, clusters, join tokens."""

from datetime import datetime
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from federation.actions import connections, sites
from federation.addresses import BadAddress
from federation.api.connections import (
    CheckSerializer,
    ConnectionSerializer,
    NewConnectionSerializer,
    ShownConnectionSerializer,
    TriedConnectionSerializer,
    tried,
)
from federation.drivers.base import Rejected, Unavailable
from federation.models import Cluster, ClusterKind, JoinToken, Site
from federation.registry import CONNECTED
from federation.states import ClusterState as C
from portal.errors import NotFound
from portal.http.idempotency import once
from portal.http.viewsets import ReadViewSet, allowed_verbs
from portal.models.tenants import slug_rule
from portal.permissions import can

_OPEN = frozenset({C.PENDING, C.CONNECTED, C.DEGRADED, C.STALE, C.DISCONNECTED})
_CLUSTER_VERBS = {
    "pause": ("cluster.edit", frozenset({*_OPEN, C.DRAINING})),
    "drain": ("cluster.edit", frozenset({*_OPEN, C.MAINTENANCE})),
    "resume": ("cluster.edit", frozenset({C.DRAINING, C.MAINTENANCE})),
    "connect": ("cluster.edit", frozenset({*_OPEN, C.DRAINING, C.MAINTENANCE})),
    "retire": ("cluster.edit", frozenset({*_OPEN, C.DRAINING, C.MAINTENANCE})),
}


class SiteSerializer(serializers.ModelSerializer[Site]):
    class Meta:
        model = Site
        fields = [
            "id", "slug", "name", "region", "power_price_per_kwh", "carbon_grams_per_kwh", "weight", "is_demo",
            "created_at", "version",
        ]  # fmt: skip


class NewSiteSerializer(serializers.ModelSerializer[Site]):
    class Meta:
        model = Site
        fields = ["slug", "name", "region", "power_price_per_kwh", "carbon_grams_per_kwh", "weight"]


class SiteChangeSerializer(serializers.ModelSerializer[Site]):
    class Meta:
        model = Site
        fields = ["name", "region", "power_price_per_kwh", "carbon_grams_per_kwh", "weight"]
        extra_kwargs = {"name": {"required": False}}


class SiteViewSet(ReadViewSet):
    queryset = Site.objects.all()
    serializer_class = SiteSerializer
    filterset_fields = ["slug", "region", "is_demo"]
    permissions = {
        "list": "site.view",
        "retrieve": "site.view",
        "create": "site.edit",
        "partial_update": "site.edit",
    }

    @extend_schema(request=NewSiteSerializer, responses={201: SiteSerializer})
    def create(self, request: Request) -> Response:
        self.require()
        data = self.valid(NewSiteSerializer)
        return self.created(lambda: sites.add(by=self.user, **data))

    @extend_schema(request=SiteChangeSerializer, responses=SiteSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        site = self.get_object()
        self.require()
        self.checked_version(site)
        return self.answer(sites.edit(by=self.user, site=site, **self.valid(SiteChangeSerializer)))


class ClusterSerializer(serializers.ModelSerializer[Cluster]):
    site = serializers.UUIDField(source="site_id")
    site_name = serializers.CharField(source="site.name")
    is_demo = serializers.BooleanField(source="site.is_demo")
    connection = serializers.SerializerMethodField()
    followed_at = serializers.SerializerMethodField()
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Cluster
        fields = [
            "id", "site", "site_name", "slug", "name", "kind", "driver", "state", "reason", "message", "state_since",
            "epoch", "site_version", "last_seen_at", "inventory_at", "followed_at", "figures_at", "is_stuck", "is_demo",
            "connection", "created_at", "version", "actions",
        ]  # fmt: skip

    @extend_schema_field(ShownConnectionSerializer(allow_null=True))
    def get_connection(self, cluster: Cluster) -> Any:
        """For those who may change it: it tells addresses of the estate."""
        credential = getattr(cluster, "credential", None)
        if credential is None or not can(self.context["request"].user, "cluster.edit"):
            return None
        return ShownConnectionSerializer(credential).data

    def get_followed_at(self, cluster: Cluster) -> datetime | None:
        """When its changes were last followed live with nothing missed; null: nobody does, its inventory is read."""
        watch = getattr(cluster, "watch", None)
        return None if watch is None else watch.whole_at

    def get_actions(self, cluster: Cluster) -> list[str]:
        verbs = allowed_verbs(self.context["request"].user, cluster, _CLUSTER_VERBS)
        return [verb for verb in verbs if verb != "connect" or cluster.driver in CONNECTED]


class NewClusterSerializer(serializers.Serializer[Any]):
    site = serializers.UUIDField()
    slug = serializers.CharField(max_length=63, validators=[slug_rule])
    name = serializers.CharField(max_length=200)
    kind = serializers.ChoiceField(choices=ClusterKind.choices)
    driver = serializers.CharField(max_length=16)
    settings = serializers.DictField(required=False)
    connection = ConnectionSerializer(required=False)

    def validate_driver(self, value: str) -> str:
        if value not in settings.FEDERATION_DRIVERS:
            raise serializers.ValidationError(f"There is no driver {value}.", code="unknown-driver")
        return value


class ClusterViewSet(ReadViewSet):
    queryset = Cluster.objects.select_related("site", "credential", "watch")
    serializer_class = ClusterSerializer
    filterset_fields = ["site", "kind", "driver", "state", "slug"]
    permissions = {
        "list": "cluster.view",
        "retrieve": "cluster.view",
        "create": "cluster.edit",
        "check_connection": "cluster.edit",
        **dict.fromkeys(_CLUSTER_VERBS, "cluster.edit"),
    }

    @extend_schema(request=NewClusterSerializer, responses={201: ClusterSerializer})
    def create(self, request: Request) -> Response:
        self.require()
        data = self.valid(NewClusterSerializer)
        site = Site.objects.filter(pk=data.pop("site")).first()
        if site is None:
            raise NotFound("There is no such site.")
        more = {"settings_": data.pop("settings", {}), "connection": data.pop("connection", {}).get("connection")}
        return self.created(lambda: sites.add_cluster(by=self.user, site=site, **data, **more))

    @extend_schema(request=TriedConnectionSerializer, responses=CheckSerializer)
    @action(detail=False, methods=["post"], url_path="check-connection")
    def check_connection(self, request: Request) -> Response:
        """Try a connection to a cluster, with what is sent now and nothing else; nothing is kept."""
        self.require()
        data = self.valid(TriedConnectionSerializer)
        connection, given = data["connection"], data.get("settings", {})
        try:
            info = connections.try_out(driver=data["driver"], connection=connection, settings_=given)
        except (Unavailable, Rejected, BadAddress) as error:
            return Response(tried(connection, message=str(error) or "The site did not answer."))
        facts = {"is_degraded": info.is_degraded, "site_version": info.version, "message": info.message}
        return Response(tried(connection, is_reachable=True, **facts))

    @extend_schema(request=NewConnectionSerializer, responses={202: ClusterSerializer})
    @action(detail=True, methods=["post"])
    def connect(self, request: Request, pk: str) -> Response:
        """Where it is and how to be let in, replaced as a whole. What is sent is never shown again."""
        cluster = self.get_object()
        self.require()
        data = self.valid(NewConnectionSerializer, about={"driver": cluster.driver})
        return self.answer(connections.connect(by=self.user, cluster=cluster, **data), 202)

    def _do(self, act: Any) -> Response:
        cluster = self.get_object()
        self.require()
        return self.answer(act(by=self.user, cluster=cluster), 202)

    @extend_schema(request=None, responses={202: ClusterSerializer})
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """No new work; what runs goes on."""
        return self._do(sites.pause)

    @extend_schema(request=None, responses={202: ClusterSerializer})
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, pk: str) -> Response:
        """No new work; what runs goes back to the queue."""
        return self._do(sites.drain)

    @extend_schema(request=None, responses={202: ClusterSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Open for work again."""
        return self._do(sites.resume)

    @extend_schema(request=None, responses={202: ClusterSerializer})
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str) -> Response:
        """The end, once nothing is held there."""
        return self._do(sites.retire)


class JoinTokenSerializer(serializers.ModelSerializer[JoinToken]):
    cluster = serializers.UUIDField(source="cluster_id")
    state = serializers.SerializerMethodField()

    class Meta:
        model = JoinToken
        fields = ["id", "cluster", "prefix", "state", "expires_at", "used_at", "created_at", "version"]

    @extend_schema_field(serializers.ChoiceField(choices=["open", "used"]))
    def get_state(self, token: JoinToken) -> str:
        return "used" if token.used_at else "open"


class NewJoinTokenSerializer(serializers.Serializer[Any]):
    cluster = serializers.UUIDField()


class JoinTokenWithSecretSerializer(JoinTokenSerializer):
    secret = serializers.CharField()
    command = serializers.CharField(help_text="What to type on the machine that joins, or with kubectl for a cluster.")

    class Meta(JoinTokenSerializer.Meta):
        fields = [*JoinTokenSerializer.Meta.fields, "secret", "command"]


def _join_command(cluster: Cluster, secret: str) -> str:
    if cluster.kind == ClusterKind.KUBERNETES:
        return (
            f"kubectl apply -f {settings.PUBLIC_URL}/api/v1/agent/manifest && kubectl -n aquifer-system "
            f"create secret generic aquifer-agent-join --from-literal=token={secret}"
        )
    return (
        f"AQUIFER_JOIN_TOKEN={secret} aquifer-agent enrol --hub {settings.PUBLIC_URL} "
        "--join-token-env AQUIFER_JOIN_TOKEN --state-dir /var/lib/aquifer-agent "
        "&& aquifer-agent run --state-dir /var/lib/aquifer-agent"
    )


class JoinTokenViewSet(ReadViewSet):
    queryset = JoinToken.objects.all()
    serializer_class = JoinTokenSerializer
    filterset_fields = ["cluster"]
    permissions = {
        "list": "join-token.view",
        "retrieve": "join-token.view",
        "create": "join-token.edit",
        "destroy": "join-token.edit",
    }

    @extend_schema(request=NewJoinTokenSerializer, responses={201: JoinTokenWithSecretSerializer})
    def create(self, request: Request) -> Response:
        """A one-time token with which an agent enrols; the secret is in this answer and nowhere else."""
        self.require()
        cluster = Cluster.objects.filter(pk=self.valid(NewJoinTokenSerializer)["cluster"]).first()
        if cluster is None:
            raise NotFound("There is no such cluster.")
        secrets: list[str] = []

        def make() -> Response:
            token, secret = sites.invite_agent(by=self.user, cluster=cluster)
            secrets.append(secret)
            return Response({**JoinTokenSerializer(token).data, "secret": "", "command": ""}, status=201)

        answer = once(request, make)
        if secrets and isinstance(answer.data, dict):  # after the answer was stored: the secret itself never is
            answer.data["secret"] = secrets[0]
            answer.data["command"] = _join_command(cluster, secrets[0])
        return answer

    def destroy(self, request: Request, pk: str) -> Response:
        token = self.get_object()
        self.require()
        token.delete()
        return Response(status=204)
