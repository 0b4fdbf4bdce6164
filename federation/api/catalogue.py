"""The catalogue that tenants start work from: images, and templates of whole requests."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from federation.actions import catalogue
from federation.api.boots import Sha256Field, UrlField
from federation.api.workloads import NewWorkloadSerializer
from federation.models import Image, Template
from portal.http.scope import tenant_here
from portal.http.viewsets import ReadViewSet
from portal.models import Tenant
from portal.models.tenants import slug_rule
from portal.permissions import can

_ENTRY = ["slug", "name", "description", "is_archived"]
_IMAGE = ["form", "reference", "url", "sha256", "format", "size_bytes", "min_disk_mib"]


class EntrySerializer(serializers.ModelSerializer[Any]):
    tenant = serializers.UUIDField(source="tenant_id", allow_null=True)
    tenant_name = serializers.SerializerMethodField()
    can_edit = serializers.SerializerMethodField()

    def get_tenant_name(self, entry: Image | Template) -> str | None:
        return entry.tenant.name if entry.tenant else None

    def get_can_edit(self, entry: Image | Template) -> bool:
        return may_edit(self.context["request"].user, entry.tenant)


class ImageSerializer(EntrySerializer):
    """`tenant` null: for everybody. `form`: what it starts as."""

    class Meta:
        model = Image
        fields = ["id", "tenant", "tenant_name", *_ENTRY, *_IMAGE, "can_edit", "created_at", "version"]


class ImageChangeSerializer(serializers.ModelSerializer[Image]):
    url = UrlField(required=False, help_text="Of a disk: where sites fetch it.")
    sha256 = Sha256Field(required=False, help_text="Of the file, or of a container's manifest.")
    size_bytes = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=1 << 50)
    min_disk_mib = serializers.IntegerField(required=False, min_value=0, max_value=1 << 30)

    class Meta:
        model = Image
        fields = [name for name in (*_ENTRY, *_IMAGE) if name not in ("slug", "form")]
        extra_kwargs = {"name": {"required": False}, "reference": {"required": False}}


class NewImageSerializer(ImageChangeSerializer):
    tenant = serializers.UUIDField(required=False, allow_null=True, help_text="Whose it is; none: for everybody.")
    slug = serializers.CharField(max_length=63, validators=[slug_rule])

    class Meta:
        model = Image
        fields = ["tenant", "slug", "form", *ImageChangeSerializer.Meta.fields]
        validators: ClassVar[list[Any]] = []  # that a name is free is for the database to say, with a word for it


class PlaceSerializer(serializers.Serializer[Any]):
    """How many nodes of a pool run what the image starts, of how many it has."""

    pool = serializers.UUIDField()
    pool_name = serializers.CharField()
    nodes = serializers.IntegerField()
    of_nodes = serializers.IntegerField()


class TemplateSerializer(EntrySerializer):
    """`work`: fields of a new workload, without its project, pool and name."""

    work = serializers.DictField()

    class Meta:
        model = Template
        fields = ["id", "tenant", "tenant_name", *_ENTRY, "work", "can_edit", "created_at", "version"]


class TemplateChangeSerializer(serializers.ModelSerializer[Template]):
    work = serializers.DictField(required=False, help_text="Fields of a new workload, as POST /workloads takes them.")

    class Meta:
        model = Template
        fields = ["name", "description", "is_archived", "work"]
        extra_kwargs = {"name": {"required": False}}

    def validate_work(self, value: dict[str, Any]) -> dict[str, Any]:
        """As it would be read, were the rest beside it; what it says is kept as it was written."""
        for name in ("project", "pool", "name", "template"):
            if name in value:
                raise serializers.ValidationError({name: "This is said with the work itself."}, code="not-taken")
        if unknown := sorted(value.keys() - NewWorkloadSerializer.Meta.fields):
            raise serializers.ValidationError({unknown[0]: "A workload has no such field."}, code="unknown-field")
        NewWorkloadSerializer(data=value, partial=True, context=self.context).is_valid(raise_exception=True)
        return value


class NewTemplateSerializer(TemplateChangeSerializer):
    tenant = serializers.UUIDField(required=False, allow_null=True, help_text="Whose it is; none: for everybody.")
    slug = serializers.CharField(max_length=63, validators=[slug_rule])

    class Meta:
        model = Template
        fields = ["tenant", "slug", *TemplateChangeSerializer.Meta.fields]
        extra_kwargs: ClassVar[dict[str, Any]] = {}
        validators: ClassVar[list[Any]] = []  # as above


class EntryViewSet(ReadViewSet):
    """What images and templates have in common."""

    kind: type[Image] | type[Template]
    new: type[serializers.ModelSerializer[Any]]
    filterset_fields = ["tenant", "slug", "is_archived"]
    permissions = {
        "list": "catalogue.view",
        "retrieve": "catalogue.view",
        "create": "catalogue.edit",
        "partial_update": "catalogue.edit",
    }

    def _add(self) -> Response:
        data = self.valid(self.new)
        named = data.pop("tenant", None)
        tenant = tenant_here(self.user, named) if named else None
        self.require(tenant=tenant.pk if tenant else None)
        return self.created(lambda: catalogue.add(self.kind, by=self.user, tenant=tenant, **data))

    def _change(self, serializer: type[serializers.ModelSerializer[Any]]) -> Response:
        entry = self.get_object()
        self.require(entry)
        self.checked_version(entry)
        return self.answer(catalogue.edit(by=self.user, entry=entry, **self.valid(serializer)))


class ImageViewSet(EntryViewSet):
    queryset = Image.objects.select_related("tenant")
    serializer_class = ImageSerializer
    kind = Image
    new = NewImageSerializer
    filterset_fields = [*EntryViewSet.filterset_fields, "form"]
    permissions = {**EntryViewSet.permissions, "places": "catalogue.view"}

    @extend_schema(request=NewImageSerializer, responses={201: ImageSerializer})
    def create(self, request: Request) -> Response:
        return self._add()

    @extend_schema(request=ImageChangeSerializer, responses=ImageSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        return self._change(ImageChangeSerializer)

    @extend_schema(responses=PlaceSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def places(self, request: Request, pk: str) -> Response:
        """Where it can run: of each pool, how many nodes run what it starts."""
        found = catalogue.places(self.get_object())
        return Response(
            [{"pool": pool.pk, "pool_name": pool.name, "nodes": n, "of_nodes": of} for pool, n, of in found]
        )


class TemplateViewSet(EntryViewSet):
    queryset = Template.objects.select_related("tenant")
    serializer_class = TemplateSerializer
    kind = Template
    new = NewTemplateSerializer

    @extend_schema(request=NewTemplateSerializer, responses={201: TemplateSerializer})
    def create(self, request: Request) -> Response:
        return self._add()

    @extend_schema(request=TemplateChangeSerializer, responses=TemplateSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        return self._change(TemplateChangeSerializer)


def may_edit(user: Any, tenant: Tenant | None) -> bool:
    return can(user, "catalogue.edit", tenant=tenant.pk if tenant else None)
