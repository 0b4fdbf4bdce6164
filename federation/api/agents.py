"""What agents call. They dial in, prove who they are, report, and are told; nothing else is open to them."""

import re
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from federation.actions import agents, sites
from federation.models import Agent, AgentRelease, LayoutState
from portal.errors import AgentIdentityInUse, BadCredential, Invalid, NotFound

_BIG = 2**53
_RANGE = re.compile(r"bytes=(\d{1,12})-(\d{0,12})", re.ASCII)


class AgentAuthentication(BaseAuthentication):
    """`Authorization: Bearer agent_…`, good for the agent's own calls and for nothing else."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        try:
            agent = agents.authenticate(secret.strip())
        except BadCredential as error:
            raise exceptions.AuthenticationFailed(error.detail) from error
        return None, agent

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class IsAgent(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.auth, Agent)


class EnrolSerializer(serializers.Serializer[Any]):
    join_token = serializers.CharField(max_length=200)
    machine_id = serializers.CharField(max_length=100)
    hostname = serializers.CharField(max_length=253)
    agent_version = serializers.CharField(max_length=32)


class EnrolledSerializer(serializers.Serializer[Any]):
    agent_token = serializers.CharField()
    cluster_id = serializers.UUIDField()
    cluster = serializers.CharField()
    epoch = serializers.IntegerField()
    poll_seconds = serializers.FloatField()


class AgentDeviceSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(min_value=0, max_value=1024)
    uuid = serializers.CharField(max_length=300)
    vendor = serializers.CharField(max_length=32)
    model = serializers.CharField(max_length=64)
    memory_mib = serializers.IntegerField(min_value=0, max_value=1 << 31, help_text="0: its tool does not say.")
    health = serializers.CharField(max_length=16, required=False)
    numa = serializers.IntegerField(required=False, allow_null=True, min_value=-1, max_value=1 << 31)
    parent_uuid = serializers.CharField(required=False, allow_blank=True, max_length=300)
    mode = serializers.CharField(required=False, max_length=16, help_text="One of the catalogue's slicing modes.")
    step_milli = serializers.IntegerField(required=False, min_value=0, max_value=1000)
    most_shares = serializers.IntegerField(required=False, min_value=0, max_value=10_000)
    resource = serializers.CharField(required=False, allow_blank=True, max_length=253)
    is_identified = serializers.BooleanField(required=False)
    foreign_milli = serializers.IntegerField(required=False, min_value=0, max_value=1000)
    foreign_memory_mib = serializers.IntegerField(required=False, min_value=0, max_value=1 << 31)
    profiles = serializers.DictField(
        required=False, child=serializers.IntegerField(min_value=1, max_value=1024),
        help_text="What the card can be cut into: so many of each at most.",
    )  # fmt: skip
    serial = serializers.CharField(max_length=64, required=False, allow_blank=True)
    pci = serializers.CharField(max_length=32, required=False, allow_blank=True)


class AgentInventorySerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=253)
    cpu_milli = serializers.IntegerField(min_value=1, max_value=10_000_000)
    memory_mib = serializers.IntegerField(min_value=1, max_value=1 << 34)
    rack = serializers.CharField(max_length=63, required=False, allow_blank=True)
    labels = serializers.DictField(child=serializers.CharField(max_length=256, allow_blank=True), required=False)
    is_ready = serializers.BooleanField(required=False)
    message = serializers.CharField(max_length=1000, required=False, allow_blank=True)
    system_uuid = serializers.CharField(max_length=64, required=False, allow_blank=True)
    devices = AgentDeviceSerializer(many=True, required=False)


class AgentWorkSerializer(serializers.Serializer[Any]):
    ref = serializers.UUIDField()
    generation = serializers.IntegerField(min_value=0, max_value=_BIG)
    epoch = serializers.IntegerField(min_value=0, max_value=_BIG)
    state = serializers.ChoiceField(
        choices=["pending", "starting", "running", "succeeded", "failed", "stopping", "broken", "rejected"]
    )
    ran_seconds = serializers.FloatField(required=False, allow_null=True, min_value=0, max_value=10**10)
    exit_code = serializers.IntegerField(required=False, allow_null=True, min_value=-(2**31), max_value=2**31 - 1)
    reason = serializers.CharField(max_length=64, required=False, allow_blank=True)
    message = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    cpu_milli = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=2**31 - 1)
    memory_mib = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=2**31 - 1)
    disk_read_kibps = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=2**31 - 1)
    disk_write_kibps = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=2**31 - 1)
    net_in_kibps = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=2**31 - 1)
    net_out_kibps = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=2**31 - 1)
    log_bytes = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=_BIG)


class AgentLogSerializer(serializers.Serializer[Any]):
    ref = serializers.UUIDField()
    offset = serializers.IntegerField(min_value=0, max_value=_BIG)
    text = serializers.CharField(max_length=300_000, trim_whitespace=False, allow_blank=True)
    size = serializers.IntegerField(required=False, min_value=0, max_value=1_200_000)


class AgentFigureSerializer(serializers.Serializer[Any]):
    uuid = serializers.CharField(max_length=300)
    busy_percent = serializers.FloatField(required=False, allow_null=True, min_value=0, max_value=100)
    memory_used_mib = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=2**31 - 1)
    power_watts = serializers.FloatField(required=False, allow_null=True, min_value=0, max_value=100_000)
    temperature_celsius = serializers.FloatField(required=False, allow_null=True, min_value=-273, max_value=1000)


class AgentPartitionsSerializer(serializers.Serializer[Any]):
    """What became of the wish for the parts of one card."""

    uuid = serializers.CharField(max_length=300)
    generation = serializers.IntegerField(min_value=0, max_value=2**31 - 1)
    state = serializers.ChoiceField(choices=LayoutState.choices)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=64)
    message = serializers.CharField(required=False, allow_blank=True, max_length=1000)


class AgentHostSerializer(serializers.Serializer[Any]):
    cpu_milli = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=_BIG)
    memory_mib = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=_BIG)


class AgentSiteSerializer(serializers.Serializer[Any]):
    """How the cluster does that an agent speaks for."""

    version = serializers.CharField(max_length=100, allow_blank=True)
    message = serializers.CharField(max_length=1000, allow_blank=True)
    is_degraded = serializers.BooleanField()
    silent_seconds = serializers.FloatField(allow_null=True, min_value=0, max_value=10**10)
    abilities = serializers.ListField(child=serializers.CharField(max_length=32), max_length=32, required=False)


class AgentNodeSerializer(serializers.Serializer[Any]):
    digest = serializers.CharField(max_length=64)
    node = serializers.JSONField()


class AgentNodesSerializer(serializers.Serializer[Any]):
    """What differs of a cluster's nodes; `stamp` is of all of them."""

    stamp = serializers.CharField(max_length=64)
    count = serializers.IntegerField(min_value=0, max_value=_BIG)
    changed = AgentNodeSerializer(many=True, required=False)
    gone = serializers.ListField(child=serializers.CharField(max_length=253), required=False, max_length=10_000)
    want_digests = serializers.BooleanField(required=False)


class AgentUpdateSerializer(serializers.Serializer[Any]):
    """How it goes with another release of the agent."""

    version = serializers.CharField(max_length=32, allow_blank=True)
    serial = serializers.IntegerField(min_value=0, max_value=_BIG)
    state = serializers.ChoiceField(choices=["downloading", "refused", "failed", "done"])
    reason = serializers.CharField(max_length=64, allow_blank=True)
    message = serializers.CharField(max_length=1000, allow_blank=True)


class AgentSelfSerializer(serializers.Serializer[Any]):
    """What the agent of a machine says of itself: which release it is."""

    version = serializers.CharField(max_length=32)
    release = AgentUpdateSerializer(required=False, allow_null=True)


def _without_holes(items: list[Any] | None) -> list[Any] | None:
    """A list that may be null as a whole: to REST framework each of its items then may be, too."""
    if items is not None and None in items:
        raise serializers.ValidationError("Null is no item of this list.", code="null")
    return items


class ReportSerializer(serializers.Serializer[Any]):
    """Complete each time: work that is not mentioned is not there."""

    boot_id = serializers.UUIDField()
    seq = serializers.IntegerField(min_value=0, max_value=_BIG)
    epoch = serializers.IntegerField(min_value=0, max_value=_BIG)
    sent_at = serializers.DateTimeField(required=False)
    uptime_seconds = serializers.FloatField(required=False, min_value=0)
    inventory = AgentInventorySerializer(required=False, allow_null=True)
    site = AgentSiteSerializer(required=False, allow_null=True)
    work = AgentWorkSerializer(many=True, allow_null=True)
    nodes = AgentNodesSerializer(required=False, allow_null=True)
    figures = AgentFigureSerializer(many=True, required=False, allow_null=True)
    host = AgentHostSerializer(required=False)
    logs = AgentLogSerializer(many=True, required=False)
    partitions = AgentPartitionsSerializer(many=True, required=False)
    agent = AgentSelfSerializer(required=False, allow_null=True)

    def validate_work(self, items: list[Any] | None) -> list[Any] | None:
        return _without_holes(items)

    def validate_figures(self, items: list[Any] | None) -> list[Any] | None:
        return _without_holes(items)

    def validate(self, report: dict[str, Any]) -> dict[str, Any]:
        if report["work"] is None and report.get("site") is None:
            raise serializers.ValidationError({"work": "Only the agent of a whole cluster may not know its work."})
        return report


class OrderSerializer(serializers.Serializer[Any]):
    ref = serializers.UUIDField()
    generation = serializers.IntegerField()
    epoch = serializers.IntegerField()
    desired = serializers.ChoiceField(choices=["run", "absent"])
    spec = serializers.DictField(allow_null=True)


class CallSerializer(serializers.Serializer[Any]):
    """Somebody waits for what only the agent can reach: it opens a websocket to `/ws/agent/calls/{id}`."""

    id = serializers.UUIDField()
    ref = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=["shell", "port", "events"])
    command = serializers.ListField(child=serializers.CharField(), required=False)
    is_tty = serializers.BooleanField(required=False)
    port = serializers.IntegerField(required=False)


class NodesHeldSerializer(serializers.Serializer[Any]):
    stamp = serializers.CharField()
    digests = serializers.DictField(child=serializers.CharField(), allow_null=True)


class PartitionsWantedSerializer(serializers.Serializer[Any]):
    profiles = serializers.DictField(child=serializers.IntegerField())
    generation = serializers.IntegerField()


class ReleaseOfferSerializer(serializers.Serializer[Any]):
    """A release of the agent that it is to take now, if the operator's key has signed it."""

    serial = serializers.IntegerField()
    version = serializers.CharField()
    path = serializers.CharField(help_text="Where its file is, at this hub.")
    manifest = serializers.CharField()
    signature = serializers.CharField()


class OrdersSerializer(serializers.Serializer[Any]):
    epoch = serializers.IntegerField()
    orders = OrderSerializer(many=True)
    log_offsets = serializers.DictField(child=serializers.IntegerField())
    calls = CallSerializer(many=True)
    nodes = NodesHeldSerializer(allow_null=True)
    partitions = serializers.DictField(child=PartitionsWantedSerializer(), help_text="By the card's uuid.")
    release = ReleaseOfferSerializer(allow_null=True)
    want_inventory = serializers.BooleanField()
    poll_seconds = serializers.FloatField()


class AgentEnrolView(APIView):
    """Open to whoever has a join token."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    basename = "agent_enrol"

    @extend_schema(request=EnrolSerializer, responses={201: EnrolledSerializer})
    def post(self, request: Request) -> Response:
        sent = EnrolSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        data = dict(sent.validated_data)
        agent, own = agents.enrol(secret=data.pop("join_token"), **data)
        return Response(
            {
                "agent_token": own,
                "cluster_id": str(agent.cluster_id),
                "cluster": agent.cluster.name,
                "epoch": agent.cluster.epoch,
                "poll_seconds": agents.POLL_SECONDS,
            },
            status=201,
        )


class YamlRenderer(JSONRenderer):
    """Lets clients ask for YAML. Only refusals are rendered by it, and those are JSON."""

    media_type = "application/yaml"
    format = "yaml"


class AgentManifestView(APIView):
    """What `kubectl apply -f` of this address makes of a cluster's agent. It holds no secret, and asks for none."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    renderer_classes = [YamlRenderer, JSONRenderer]
    basename = "agent_manifest"

    @extend_schema(responses={(200, "application/yaml"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(sites.agent_manifest(), content_type="application/yaml; charset=utf-8")


class AgentSyncView(APIView):
    """Report and be told."""

    authentication_classes = [AgentAuthentication]
    permission_classes = [IsAgent]
    basename = "agent_sync"

    @extend_schema(request=ReportSerializer, responses=OrdersSerializer)
    def post(self, request: Request) -> Response:
        sent = ReportSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        # `work` and `inventory` are kept as JSON, so ids go back to text.
        report = dict(sent.validated_data)
        if report["work"] is not None:
            report["work"] = [{**item, "ref": str(item["ref"])} for item in report["work"]]
        assert isinstance(request.auth, Agent)
        try:
            return Response(agents.sync(agent=request.auth, report=report))
        except AgentIdentityInUse:
            agents.note_clash(request.auth)
            raise


class AgentReleaseView(APIView):
    """The file of a release, or a part of it. What it is worth the agent finds out by the operator's signature."""

    authentication_classes = [AgentAuthentication]
    permission_classes = [IsAgent]
    basename = "agent_releases"

    @extend_schema(
        parameters=[
            OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH),
            OpenApiParameter("Range", OpenApiTypes.STR, OpenApiParameter.HEADER, description="bytes=0-262143"),
        ],
        responses={(code, "application/octet-stream"): OpenApiTypes.BINARY for code in (200, 206)},
    )
    def get(self, request: Request, id: str) -> HttpResponse:
        try:
            release = AgentRelease.objects.filter(pk=UUID(id), withdrawn_at=None).first()
        except ValueError:
            release = None
        if release is None:
            raise NotFound("There is no such release.")
        asked = _RANGE.fullmatch(request.headers.get("Range", ""))
        if asked is None:
            return HttpResponse(bytes(release.body), "application/octet-stream")
        begin, end = int(asked[1]), min(int(asked[2] or release.size), release.size - 1)
        if begin > end:
            raise Invalid.field("Range", f"The file has {release.size} bytes.")
        answer = HttpResponse(bytes(release.body)[begin : end + 1], "application/octet-stream", status=206)
        answer["Content-Range"] = f"bytes {begin}-{end}/{release.size}"
        return answer
