"""Who is calling, and may they?"""

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from rest_framework import authentication, exceptions, permissions
from rest_framework.request import Request

from portal.models import AccessToken
from portal.models.tokens import digest
from portal.permissions import access_of, scope_of


def valid_token(digested: str) -> AccessToken | None:
    found: AccessToken | None = (
        AccessToken.objects.select_related("user")
        .filter(digest=digested, revoked_at=None, expires_at__gt=Now(), user__is_active=True)
        .first()
    )
    return found


def user_of(token: AccessToken) -> Any:
    """Its user, who may do here what the token allows and no more."""
    user: Any = token.user
    user.access = access_of(user, scopes=token.scopes, tenant=token.tenant_id)
    return user


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer aq_…`: hashed, scoped, expiring. A bad one is 401, never anonymous."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        token = valid_token(digest(secret.strip()))
        if token is None:
            raise exceptions.AuthenticationFailed("This token is not valid, has expired or was revoked.")
        # A minute's precision is enough to see what is in use, and saves a write per request.
        AccessToken.objects.filter(
            Q(pk=token.pk) & (Q(last_used_at=None) | Q(last_used_at__lt=timezone.now() - timedelta(minutes=1)))
        ).update(last_used_at=Now())
        return user_of(token), token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class SessionAuthentication(authentication.SessionAuthentication):
    """The console's cookie; unsafe methods need the CSRF token."""


class NamedPermission(permissions.BasePermission):
    """Each view names the permission of each of its actions; what names none is refused."""

    def has_permission(self, request: Request, view: Any) -> bool:
        method = str(request.method).lower()
        action = getattr(view, "action", None) or ("get" if method == "head" else method)
        name = getattr(view, "permissions", {}).get(action)
        if name == "anyone":
            return True
        if not request.user.is_authenticated:
            return False
        if action == "options" or not hasattr(view, method):  # the latter is a 405 next
            return True
        return name is not None and not scope_of(request.user, name).is_empty
