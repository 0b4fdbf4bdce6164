"""What every resource of the API shares.

A viewset is a queryset, serializers, a filter set, names of permissions, and calls to actions.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar
from uuid import UUID

from django.db import transaction
from django.http import Http404
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from portal.errors import IllegalTransition, NotAllowed, VersionRequired, VersionStale
from portal.http.idempotency import once
from portal.permissions import can, scope_of


class ResourceViewSet(viewsets.GenericViewSet[Any]):
    """Rows in the caller's scope: what is outside of it does not exist (404).

    `permissions` maps each action to a permission name. Lists and objects are narrowed to where the caller
    holds the view permission; verbs and changes then ask `require` for theirs, at the object's own place.
    """

    permissions: ClassVar[dict[str, str]]
    input_class: ClassVar[type[serializers.BaseSerializer[Any]] | None] = None

    @property
    def user(self) -> Any:
        return self.request.user

    def get_queryset(self) -> Any:
        rows: Any = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows.none()
        return rows.in_scope(scope_of(self.user, self.permissions["list"]))

    def get_object(self) -> Any:
        try:
            return super().get_object()
        except (ValueError, TypeError) as error:  # an id that is no id
            raise Http404 from error

    def require(self, obj: Any = None, *, tenant: UUID | None = None, project: UUID | None = None) -> None:
        """The caller holds this action's permission where the object is; 403 otherwise."""
        if obj is not None:
            tenant, project = place_of(obj)
        if not can(self.user, self.permissions[self.action], tenant=tenant, project=project):
            raise NotAllowed()

    def valid(
        self,
        serializer: type[serializers.BaseSerializer[Any]],
        *,
        about: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The request's body, checked for shape. `about`: more that the serializer is to know, in its context."""
        context = {**self.get_serializer_context(), **(about or {})}
        checked = serializer(data=self.request.data, context=context, **kwargs)
        checked.is_valid(raise_exception=True)
        data: dict[str, Any] = checked.validated_data
        return data

    def answer(self, obj: Any, status: int = 200) -> Response:
        """The resource as it is now, with its version as ETag."""
        shown = self.get_queryset().filter(pk=obj.pk).first() or obj
        data = self.get_serializer(shown).data
        return Response(data, status=status, headers={"ETag": f'"{shown.version}"'})

    def created(self, make: Callable[[], Any]) -> Response:
        """Carry out a create once per Idempotency-Key, in one transaction; 201."""
        return once(self.request, lambda: self.answer(make(), 201))

    def verb(self, act: Callable[[Any], Any]) -> Response:
        """Carry out a verb on one resource: 202 with the resource as it is then."""
        obj = self.get_object()
        self.require(obj)
        with transaction.atomic():
            act(obj)
        return self.answer(obj, 202)

    def checked_version(self, obj: Any) -> None:
        """If-Match is there and names the version the caller has read."""
        sent = self.request.headers.get("If-Match", "").strip()
        if not sent:
            raise VersionRequired()
        if sent.removeprefix("W/").strip('"') != str(obj.version):
            raise VersionStale()


class ReadMixin(mixins.ListModelMixin):
    """List, and retrieve with an ETag."""

    def retrieve(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        obj = self.get_object()
        return Response(self.get_serializer(obj).data, headers={"ETag": f'"{getattr(obj, "version", 1)}"'})


class ReadViewSet(ReadMixin, ResourceViewSet):
    """A noun that can be listed and looked at."""


class CatalogueViewSet(ReadMixin, ResourceViewSet):
    """What everybody who is signed in may read: it names no tenant."""

    def get_queryset(self) -> Any:
        return super(ResourceViewSet, self).get_queryset()


def place_of(obj: Any) -> tuple[UUID | None, UUID | None]:
    """The tenant and the project a row belongs to; the platform's own rows, which others may only see, to none."""
    paths = type(obj).scope_paths
    own = [paths.get(level, "") for level in ("tenant", "project")]
    tenant, project = (getattr(obj, path) if path and "__" not in path else None for path in own)
    return tenant, project


def allowed_verbs(user: Any, obj: Any, verbs: Mapping[str, tuple[str, AbstractSet[str]]]) -> list[str]:
    """Of {verb: (permission, states it works from)}, what `user` may do with `obj` now."""
    tenant, project = place_of(obj)
    return [
        verb
        for verb, (permission, states) in verbs.items()
        if obj.state in states and can(user, permission, tenant=tenant, project=project)
    ]


def must_be(obj: Any, states: AbstractSet[str], verb: str) -> None:
    """Refuse a verb that the state does not allow, in plain words."""
    if obj.state not in states:
        raise IllegalTransition(f"Cannot {verb} this {obj.topic}: it is {obj.state}.")
