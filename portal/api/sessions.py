"""Signing in and out, and who one is."""

from typing import Any

from django.conf import settings
from django.contrib.auth import login as start_session
from django.contrib.auth import logout as end_session
from django.middleware.csrf import get_token
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portal.actions import sessions
from portal.models import User
from portal.permissions import Role, access_of


class MembershipOfMeSerializer(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=[(r.value, r.value) for r in Role])
    tenant_id = serializers.UUIDField(allow_null=True)
    tenant_name = serializers.CharField(allow_null=True)
    project_id = serializers.UUIDField(allow_null=True)


class SessionSerializer(serializers.Serializer[Any]):
    """Who is calling, what they may do somewhere, and the CSRF token for unsafe requests."""

    id = serializers.UUIDField()
    username = serializers.CharField()
    name = serializers.CharField(allow_blank=True)
    language = serializers.CharField()
    is_platform = serializers.BooleanField()
    permissions = serializers.ListField(child=serializers.CharField())
    memberships = MembershipOfMeSerializer(many=True)
    billing_time_zone = serializers.CharField(help_text="Whose months are billed, as Asia/Shanghai.")
    csrf = serializers.CharField(allow_blank=True)


class LoginSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1000, trim_whitespace=False)


class OneTimeSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=200)


class LanguageSerializer(serializers.Serializer[Any]):
    language = serializers.ChoiceField(choices=["en", "zh-Hans"])


def _describe(request: Request, user: User) -> dict[str, Any]:
    access = getattr(user, "access", None) or access_of(user)
    rows = user.memberships.select_related("tenant")
    return {
        "id": str(user.pk),
        "username": user.username,
        "name": user.name,
        "language": user.language,
        "is_platform": any(b.tenant is None for b in access.bindings),
        "permissions": access.names(),
        "memberships": [
            {
                "role": m.role,
                "tenant_id": str(m.tenant_id) if m.tenant_id else None,
                "tenant_name": m.tenant.name if m.tenant else None,
                "project_id": str(m.project_id) if m.project_id else None,
            }
            for m in rows
        ],
        "billing_time_zone": settings.BILLING_TIME_ZONE,
        "csrf": get_token(request._request) if request.auth is None else "",
    }


def _signed_in(request: Request, user: User) -> Response:
    """A new session, also for who has one already: the old id, and who may know it, are shut out."""
    request._request.session.flush()
    start_session(request._request, user, backend="django.contrib.auth.backends.ModelBackend")
    return Response(_describe(request, user))


class SessionView(APIView):
    """The session of the caller."""

    permissions = {"get": "session.view", "post": "anyone", "delete": "session.view"}
    basename = "session"

    @extend_schema(responses=SessionSerializer)
    def get(self, request: Request) -> Response:
        return Response(_describe(request, request.user))  # type: ignore[arg-type]  # permission has seen to it

    @extend_schema(request=LoginSerializer, responses=SessionSerializer)
    def post(self, request: Request) -> Response:
        """Sign in with name and password."""
        sent = LoginSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        address = request.META.get("REMOTE_ADDR", "")
        user = sessions.login(address=address, **sent.validated_data)
        return _signed_in(request, user)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Sign out."""
        end_session(request._request)
        return Response(status=204)


class OneTimeView(APIView):
    permissions = {"post": "anyone"}
    basename = "session_one_time"

    @extend_schema(request=OneTimeSerializer, responses=SessionSerializer)
    def post(self, request: Request) -> Response:
        """Sign in with a link that works once."""
        sent = OneTimeSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        user = sessions.login_once(secret=sent.validated_data["token"])
        return _signed_in(request, user)


class LanguageView(APIView):
    permissions = {"post": "session.view"}
    basename = "session_language"

    @extend_schema(request=LanguageSerializer, responses=SessionSerializer)
    def post(self, request: Request) -> Response:
        """Remember the language of the console."""
        sent = LanguageSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        user: Any = request.user
        User.objects.filter(pk=user.pk).update(language=sent.validated_data["language"])
        user.refresh_from_db(fields=["language"])
        return Response(_describe(request, user))
