"""Workloads and allocations."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import django_filters
from django.db.models import Count
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from federation.actions import arrays, catalogue, workloads
from federation.api.boots import BootSerializer
from federation.api.explanations import ExplanationSerializer, explained
from federation.api.outputs import OutputMixin
from federation.api.terms import TERMS, TermsSerializer
from federation.api.volumes import SecretNamesField, VolumeSerializer, checked_volumes
from federation.api.whatif import PreviewSerializer, preview
from federation.models import Pool, Template, Workload, WorkloadKind
from federation.states import WorkloadState as W
from portal.errors import NotFound
from portal.http.filters import FilterSet
from portal.http.history import StateChangeSerializer
from portal.http.idempotency import once
from portal.http.scope import project_here
from portal.http.viewsets import ReadViewSet, allowed_verbs, must_be
from portal.models import Project, StateChange
from portal.permissions import scope_of

_VERBS = {
    "cancel": ("workload.control", frozenset({W.QUEUED, W.ADMITTED, W.RUNNING, W.SUSPENDED})),
    "suspend": ("workload.control", frozenset({W.QUEUED, W.ADMITTED, W.RUNNING})),
    "resume": ("workload.control", frozenset({W.SUSPENDED})),
    "retry": ("workload.control", frozenset({W.SUCCEEDED, W.FAILED, W.CANCELLED})),
}
# Verbs that are carried out over a socket (federation/consumers).
_ACCESS = {"shell": ("workload.shell", frozenset({W.RUNNING}))}
_SPEC = [
    "name", "kind", "priority", "replicas", "accelerators", "accelerator_milli", "accelerator_memory_mib",
    "model_names", "site_slugs", *TERMS, "cpu_milli", "memory_mib", "image", "command", "env", "run_seconds",
    "max_seconds", "max_retries", "grace_seconds", "ports", "volumes", "secret_env", "pull_secrets",
    "boot", "is_movable",
]  # fmt: skip


class WorkloadSerializer(serializers.ModelSerializer[Workload]):
    boot = serializers.SerializerMethodField()
    volumes = VolumeSerializer(many=True)
    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(source="tenant.name")
    project = serializers.UUIDField(source="project_id")
    project_name = serializers.CharField(source="project.name")
    pool = serializers.UUIDField(source="pool_id")
    pool_name = serializers.CharField(source="pool.name")
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Workload
        fields = [
            "id", "tenant", "tenant_name", "project", "project_name", "pool", "pool_name", *_SPEC, "state", "reason",
            "message", "state_since", "attempt", "retries", "submitted_by", "queued_at", "started_at", "finished_at",
            "exit_code", "predicted_seconds", "created_at", "version", "actions",
        ]  # fmt: skip

    def get_actions(self, workload: Workload) -> list[str]:
        return allowed_verbs(self.context["request"].user, workload, _VERBS | _ACCESS)

    @extend_schema_field(BootSerializer(allow_null=True))
    def get_boot(self, workload: Workload) -> Any:
        """Null: it is no machine, or nothing was said."""
        return workload.boot or None


def template_here(user: Any, named: Any) -> Template:
    """The template, if the caller may see it. Whose work it is for is looked at later: a template holds no secrets."""
    try:
        pk = UUID(str(named))
    except ValueError:
        raise serializers.ValidationError({"template": "This is no id of a template."}, code="invalid") from None
    rows = Template.objects.in_scope(scope_of(user, "catalogue.view")).filter(pk=pk, is_archived=False)
    found: Template | None = rows.first()
    if found is None:
        raise serializers.ValidationError(
            {"template": "There is no such template in the catalogue."}, code="no-template"
        )
    return found


class NewWorkloadSerializer(TermsSerializer, serializers.ModelSerializer[Workload]):
    project = serializers.UUIDField()
    pool = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=WorkloadKind.choices, required=False)
    replicas = serializers.IntegerField(required=False, min_value=1, max_value=10_000)
    accelerators = serializers.IntegerField(required=False, min_value=0, max_value=1024)
    accelerator_milli = serializers.IntegerField(required=False, min_value=1, max_value=1000)
    cpu_milli = serializers.IntegerField(required=False, min_value=1, max_value=10_000_000)
    memory_mib = serializers.IntegerField(required=False, min_value=1, max_value=1 << 30)
    model_names = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=200)
    site_slugs = serializers.ListField(child=serializers.CharField(max_length=63), required=False, max_length=200)
    command = serializers.ListField(
        child=serializers.CharField(max_length=4000, allow_blank=True, trim_whitespace=False),
        required=False,
        max_length=1000,
    )
    env = serializers.DictField(
        child=serializers.CharField(max_length=32_000, allow_blank=True, trim_whitespace=False), required=False
    )
    run_seconds = serializers.FloatField(required=False, allow_null=True, min_value=0, max_value=10**9)
    grace_seconds = serializers.IntegerField(required=False, min_value=0, max_value=3600)
    ports = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=65535), required=False, max_length=20
    )
    volumes = VolumeSerializer(many=True, required=False)
    secret_env = SecretNamesField(required=False)
    pull_secrets = SecretNamesField(required=False)
    boot = BootSerializer(required=False)
    catalogue_image = serializers.UUIDField(
        required=False, help_text="An image of the catalogue, instead of `image`; a machine's disk comes with it."
    )
    template = serializers.UUIDField(
        required=False, help_text="A template of the catalogue: its fields hold where nothing else is said here."
    )

    class Meta:
        model = Workload
        fields = ["project", "pool", "catalogue_image", "template", *_SPEC]

    def to_internal_value(self, data: Any) -> Any:
        """A template's fields lie under what was sent."""
        if isinstance(data, Mapping) and data.get("template"):
            data = {**template_here(self.context["request"].user, data["template"]).work, **data}
        found: dict[str, Any] = super().to_internal_value(data)
        found.pop("template", None)
        return found

    def validate_env(self, value: dict[str, str]) -> dict[str, str]:
        if len(value) > 500:
            raise serializers.ValidationError("At most 500 variables.", code="too-many")
        for name in value:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,199}", name):
                raise serializers.ValidationError(f"{name[:50]!r} is no name of a variable.", code="bad-name")
        return value

    def validate_ports(self, value: list[int]) -> list[int]:
        if len(set(value)) < len(value):
            raise serializers.ValidationError("Each port once.", code="twice")
        return value

    def validate_volumes(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return checked_volumes(value)


class NewWorkloadsSerializer(NewWorkloadSerializer):
    count = serializers.IntegerField(min_value=1, max_value=10_000)
    name = serializers.CharField(max_length=190)

    class Meta(NewWorkloadSerializer.Meta):
        fields = [*NewWorkloadSerializer.Meta.fields, "count"]


class MadeSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    ids = serializers.ListField(child=serializers.UUIDField())


class WorkloadFilter(FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=[(s.value, s.value) for s in W])
    name = django_filters.CharFilter(lookup_expr="icontains")

    class Meta:
        model = Workload
        fields = ["state", "kind", "reason", "tenant", "project", "pool", "name"]


class CountsSerializer(serializers.Serializer[Any]):
    state = serializers.CharField()
    count = serializers.IntegerField()


class AskingMixin:
    """What sends work, or asks about work before it is sent: the body is the same."""

    def asked(
        self: Any, serializer: type[NewWorkloadSerializer] = NewWorkloadSerializer
    ) -> tuple[Project, Pool, dict[str, Any]]:
        """Whose it is, where it may run, and what is wanted."""
        data = self.valid(serializer)
        project = project_here(self.user, data.pop("project"))
        self.require(project)
        pool = Pool.objects.filter(pk=data.pop("pool")).first()
        if pool is None:
            raise NotFound("There is no such pool.")
        if image := data.pop("catalogue_image", None):
            data = catalogue.chosen(catalogue.for_project(project, image), data)
        return project, pool, data


class WorkloadViewSet(AskingMixin, OutputMixin, ReadViewSet):
    queryset = Workload.objects.select_related("tenant", "project", "pool")
    serializer_class = WorkloadSerializer
    filterset_class = WorkloadFilter
    permissions = {
        **dict.fromkeys(["list", "retrieve", "history", "logs", "events", "explanation", "counts"], "workload.view"),
        "create": "workload.create",
        "batch": "workload.create",
        "preview": "workload.create",
        **dict.fromkeys(_VERBS, "workload.control"),
    }

    @extend_schema(request=NewWorkloadSerializer, responses={201: WorkloadSerializer})
    def create(self, request: Request) -> Response:
        project, pool, data = self.asked()
        return self.created(lambda: workloads.submit(by=self.user, project=project, pool=pool, **data))

    @extend_schema(request=NewWorkloadSerializer, responses=PreviewSerializer)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """What would become of this work if it were sent now, behind all that waits. Nothing is made."""
        project, pool, data = self.asked()
        return Response(preview(pool, workloads.draft(by=self.user, project=project, pool=pool, **data)))

    @extend_schema(request=NewWorkloadsSerializer, responses={201: MadeSerializer})
    @action(detail=False, methods=["post"])
    def batch(self, request: Request) -> Response:
        """Queue many that differ by a number alone: in their name, and in the variable AQUIFER_ARRAY_INDEX."""
        project, pool, data = self.asked(NewWorkloadsSerializer)

        def make() -> Response:
            ids = arrays.submit_many(by=self.user, project=project, pool=pool, **data)
            return Response({"count": len(ids), "ids": ids}, 201)

        return once(request, make)

    def _do(self, verb: str, act: Any) -> Response:
        workload = self.get_object()
        self.require(workload)
        must_be(workload, _VERBS[verb][1], verb)
        return self.answer(act(by=self.user, workload=workload), 202)

    @extend_schema(request=None, responses={202: WorkloadSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """End it. Its hardware is free once its site has let go."""
        return self._do("cancel", workloads.cancel)

    @extend_schema(request=None, responses={202: WorkloadSerializer})
    @action(detail=True, methods=["post"])
    def suspend(self, request: Request, pk: str) -> Response:
        """Stop it for now and give its hardware back."""
        return self._do("suspend", workloads.suspend)

    @extend_schema(request=None, responses={202: WorkloadSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Queue a suspended workload again."""
        return self._do("resume", workloads.resume)

    @extend_schema(request=None, responses={202: WorkloadSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Run what has ended once more."""
        return self._do("retry", workloads.retry)

    @extend_schema(responses=StateChangeSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def history(self, request: Request, pk: str) -> Response:
        """Every change of state of the workload and of its allocations, oldest first (the last 500)."""
        workload = self.get_object()
        ids = [workload.pk, *workload.allocations.order_by("-id").values_list("pk", flat=True)[:200]]
        rows = StateChange.objects.filter(object_id__in=ids).order_by("-id")[:500]
        return Response(StateChangeSerializer(list(reversed(rows)), many=True).data)

    @extend_schema(responses=ExplanationSerializer, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def explanation(self, request: Request, pk: str) -> Response:
        """The last decision of placement: the best nodes and what their scores are made of, or what each filter
        removed."""
        return Response(ExplanationSerializer(explained(self.get_object().decision)).data)

    @extend_schema(responses=CountsSerializer(many=True))
    @action(detail=False, methods=["get"], pagination_class=None)
    def counts(self, request: Request) -> Response:
        """How many workloads are in each state, under the same filters as the list."""
        rows = self.filter_queryset(self.get_queryset()).order_by().values_list("state")
        found = dict(rows.annotate(count=Count("pk")))
        return Response([{"state": state.value, "count": found.get(state.value, 0)} for state in W])
