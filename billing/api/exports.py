"""Exports for finance: asked for, followed, fetched; where they go by themselves, and how often."""

from pathlib import Path
from typing import Any

import django_filters
from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from billing.actions import exports
from billing.actions.exporting import WHOLE
from billing.api.csv import FileOut
from billing.models import Every, Export, ExportKind, ExportSchedule, ExportTarget
from billing.models.exports import FORMATS
from billing.periods import Period, month, month_of
from billing.policy import policy
from billing.states import ExportState
from portal.errors import Conflict, Invalid, NotFound
from portal.http.filters import FilterSet
from portal.http.scope import tenant_here
from portal.http.viewsets import ReadViewSet, allowed_verbs
from portal.models import Tenant
from portal.models.tenants import slug_rule
from portal.permissions import scope_of

_VERBS: dict[str, tuple[str, frozenset[str]]] = {
    "cancel": ("export.edit", frozenset({ExportState.QUEUED, ExportState.RUNNING}))
}
_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class FileSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    rows = serializers.IntegerField()
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField()


class ExportSerializer(serializers.ModelSerializer[Export]):
    """`rows` of about `expected_rows` are written. When it is `done`, `files` are all of it; `export.json` comes last.

    `seq` is the last transaction of the ledger that is in it: the same `seq` makes the same bytes.
    """

    tenant = serializers.UUIDField(source="tenant_id", allow_null=True)
    tenant_name = serializers.CharField(source="tenant")
    target = serializers.UUIDField(source="target_id", allow_null=True)
    schedule = serializers.UUIDField(source="schedule_id", allow_null=True)
    period = serializers.SerializerMethodField()
    files = serializers.SerializerMethodField()
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Export
        fields = [
            "id", "kind", "format", "tenant", "tenant_name", "period", "period_start", "period_end", "seq", "target",
            "schedule", "state", "state_since", "reason", "message", "rows", "expected_rows", "bytes", "files",
            "requested_by", "finished_at", "expires_at", "created_at", "version", "actions",
        ]  # fmt: skip

    def get_period(self, export: Export) -> str:
        return month_of(export.period_start, policy().zone).label

    @extend_schema_field(FileSerializer(many=True))
    def get_files(self, export: Export) -> Any:
        return export.files

    def get_actions(self, export: Export) -> list[str]:
        return allowed_verbs(self.context["request"].user, export, _VERBS)


class NewExportSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(ExportKind.choices)
    format = serializers.ChoiceField(FORMATS)
    period = serializers.CharField(max_length=7, help_text="A month, as 2026-11.")
    tenant = serializers.UUIDField(required=False, allow_null=True, help_text="Empty: all tenants.")
    target = serializers.UUIDField(required=False, allow_null=True, help_text="Empty: to be downloaded here.")


class ExportFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")

    class Meta:
        model = Export
        fields = ["state", "kind"]


class AnyRenderer(BaseRenderer):
    """Lets clients ask for whatever a file is; only refusals are rendered, as JSON."""

    media_type, format = "*/*", "any"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> Any:
        return JSONRenderer().render(data, accepted_media_type, renderer_context)


class OwnedViewSet(ReadViewSet):
    """What belongs to a tenant, or to the platform when it names none."""

    def whose(self, tenant_id: Any) -> Tenant | None:
        """The tenant that a body names; None for all of them, if the caller may have all."""
        if tenant_id is not None:
            tenant = tenant_here(self.user, tenant_id)
            self.require(tenant=tenant.pk)
            return tenant
        self.require()
        return None

    def target(self, pk: Any) -> ExportTarget | None:
        if pk is None:
            return None
        here = ExportTarget.objects.in_scope(scope_of(self.user, "export.view"))
        found: ExportTarget | None = here.filter(pk=pk).first()
        if found is None:
            raise NotFound("There is no such target.")
        return found


class ExportViewSet(OwnedViewSet):
    queryset = Export.objects.all()
    serializer_class = ExportSerializer
    filterset_class = ExportFilter
    permissions = {
        "list": "export.view", "retrieve": "export.view", "create": "export.edit", "cancel": "export.edit",
        "file": "export.view",
    }  # fmt: skip

    @extend_schema(request=NewExportSerializer, responses={201: ExportSerializer})
    def create(self, request: Request) -> Response:
        """The ledger's charges of a month as it stands now, in a file or many. A worker makes it."""
        data = self.valid(NewExportSerializer)
        tenant, target = self.whose(data.get("tenant")), self.target(data.get("target"))
        return self.created(
            lambda: exports.request(
                by=self.user, kind=data["kind"], format=data["format"], period=period_of(data["period"]),
                tenant=tenant, target=target,
            )
        )  # fmt: skip

    @extend_schema(request=None, responses={202: ExportSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop making it."""
        return self.verb(lambda export: exports.cancel(by=self.user, export=export))

    @extend_schema(
        parameters=[OpenApiParameter("name", str, description="As `files` names it. Empty: the list of all.")],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    @action(detail=True, methods=["get"], url_path="file", renderer_classes=[JSONRenderer, AnyRenderer])
    def file(self, request: Request, pk: str) -> Any:
        """One file of an export that is done and was not sent elsewhere, as it was written."""
        export: Export = self.get_object()
        name = request.query_params.get("name") or WHOLE
        if export.state != ExportState.DONE:
            raise Conflict(f"This export is {export.state}: there is nothing to fetch.")
        if export.target_id is not None:
            raise Conflict("The files of this export are at its target.")
        # Only what was written down: the name is never a path of the caller's making.
        if name not in {file["name"] for file in export.files}:
            raise Invalid.field("name", "This export has no such file.", "no-such-file")
        path: Path = settings.EXPORTS_DIR / str(export.pk) / name
        if not path.is_file():
            raise NotFound("The file is not on this machine any more.")
        label = f"{month_of(export.period_start, policy().zone).label}-{name.replace('/', '-')}"
        return FileOut(path, label, _TYPES.get(name.rpartition(".")[2], "application/octet-stream"))


def period_of(label: str) -> Period:
    try:
        return month(label, policy().zone)
    except ValueError:
        raise Invalid.field("period", "Write a month as 2026-11.", "bad-period") from None


class ExportTargetSerializer(serializers.ModelSerializer[ExportTarget]):
    """Its keys are never shown."""

    tenant = serializers.UUIDField(source="tenant_id", allow_null=True)

    class Meta:
        model = ExportTarget
        fields = [
            "id", "tenant", "slug", "endpoint", "bucket", "prefix", "region", "path_style", "created_at", "version",
        ]  # fmt: skip


class NewExportTargetSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField(required=False, allow_null=True, help_text="Empty: the platform's own.")
    slug = serializers.CharField(max_length=63, validators=[slug_rule])
    endpoint = serializers.CharField(max_length=2000, help_text="https://host, of S3 or of what speaks it.")
    bucket = serializers.RegexField(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix = serializers.RegexField(r"^[A-Za-z0-9][A-Za-z0-9/_.=-]*$", max_length=199, required=False)
    region = serializers.RegexField(r"^[a-z0-9][a-z0-9-]*$", max_length=63, required=False, default="us-east-1")
    path_style = serializers.BooleanField(required=False, default=True)
    access_key = serializers.CharField(max_length=200, write_only=True)
    secret_key = serializers.CharField(max_length=200, write_only=True)


class ExportTargetFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")

    class Meta:
        model = ExportTarget
        fields = ["slug"]


class ExportTargetViewSet(OwnedViewSet):
    queryset = ExportTarget.objects.all()
    serializer_class = ExportTargetSerializer
    filterset_class = ExportTargetFilter
    permissions = {
        "list": "export.view", "retrieve": "export.view", "create": "export.edit", "destroy": "export.edit",
    }  # fmt: skip

    @extend_schema(request=NewExportTargetSerializer, responses={201: ExportTargetSerializer})
    def create(self, request: Request) -> Response:
        """A bucket that exports can go to."""
        data = self.valid(NewExportTargetSerializer)
        tenant = self.whose(data.pop("tenant", None))
        keys = {name: data.pop(name) for name in ("access_key", "secret_key")}
        return self.created(lambda: exports.add_target(by=self.user, tenant=tenant, keys=keys, **data))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Forget it and its keys. Refused while schedules or exports use it."""
        target = self.get_object()
        self.require(target)
        exports.remove_target(by=self.user, target=target)
        return Response(status=204)


class ExportScheduleSerializer(serializers.ModelSerializer[ExportSchedule]):
    tenant = serializers.UUIDField(source="tenant_id", allow_null=True)
    target = serializers.UUIDField(source="target_id", allow_null=True)

    class Meta:
        model = ExportSchedule
        fields = [
            "id", "tenant", "kind", "format", "target", "every", "hour", "is_paused", "next_at", "made_by",
            "created_at", "version",
        ]  # fmt: skip


class NewExportScheduleSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField(required=False, allow_null=True, help_text="Empty: all tenants.")
    kind = serializers.ChoiceField(ExportKind.choices)
    format = serializers.ChoiceField(FORMATS)
    target = serializers.UUIDField(required=False, allow_null=True, help_text="Empty: to be downloaded here.")
    every = serializers.ChoiceField(Every.choices, help_text="A month: on its first day, of the month before.")
    hour = serializers.IntegerField(min_value=0, max_value=23, default=3, help_text="Of the billing time zone.")


class ExportScheduleChangeSerializer(serializers.Serializer[Any]):
    is_paused = serializers.BooleanField()


class ExportScheduleFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")

    class Meta:
        model = ExportSchedule
        fields = ["kind", "is_paused"]


class ExportScheduleViewSet(OwnedViewSet):
    queryset = ExportSchedule.objects.all()
    serializer_class = ExportScheduleSerializer
    filterset_class = ExportScheduleFilter
    permissions = {
        "list": "export.view", "retrieve": "export.view", "create": "export.edit", "partial_update": "export.edit",
        "destroy": "export.edit",
    }  # fmt: skip

    @extend_schema(request=NewExportScheduleSerializer, responses={201: ExportScheduleSerializer})
    def create(self, request: Request) -> Response:
        """Export by itself each day or week the month that runs, or each month the one before."""
        data = self.valid(NewExportScheduleSerializer)
        tenant, target = self.whose(data.pop("tenant", None)), self.target(data.pop("target", None))
        return self.created(
            lambda: exports.add_schedule(by=self.user, tenant=tenant, target=target, policy=policy(), **data)
        )

    @extend_schema(request=ExportScheduleChangeSerializer, responses={200: ExportScheduleSerializer})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Pause it, or let it go on."""
        schedule = self.get_object()
        self.require(schedule)
        self.checked_version(schedule)
        data = self.valid(ExportScheduleChangeSerializer)
        return self.answer(exports.change_schedule(by=self.user, schedule=schedule, policy=policy(), **data))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        schedule = self.get_object()
        self.require(schedule)
        exports.remove_schedule(by=self.user, schedule=schedule)
        return Response(status=204)
