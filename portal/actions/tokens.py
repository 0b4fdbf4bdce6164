"""Access tokens for programs."""

from datetime import timedelta
from fnmatch import fnmatchcase

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from portal import audit
from portal.audit import Actor
from portal.errors import Invalid
from portal.models import AccessToken, Tenant, User
from portal.models.tokens import digest, new_secret
from portal.permissions import TABLE

LONGEST_DAYS = 365


@transaction.atomic
def create(
    *, by: Actor, user: User, name: str, scopes: list[str], days: int, tenant: Tenant | None = None
) -> tuple[AccessToken, str]:
    """A token and its secret, which is shown this once. Scopes are patterns over permission names."""
    if not 1 <= days <= LONGEST_DAYS:
        raise Invalid.field("days", f"A token lives from 1 to {LONGEST_DAYS} days.", "token-lifetime")
    for scope in scopes:
        if not any(fnmatchcase(permission, scope) for permission in TABLE):
            raise Invalid.field("scopes", f"No permission matches {scope}.", "unknown-scope")
    secret = new_secret("aq")
    token = AccessToken.objects.create(
        user=user,
        tenant=tenant,
        name=name,
        prefix=secret[:11],
        digest=digest(secret),
        scopes=scopes,
        expires_at=timezone.now() + timedelta(days=days),
    )
    audit.record(by=by, what="token.create", target=token, detail={"scopes": scopes, "days": days})
    return token, secret


@transaction.atomic
def revoke(*, by: Actor, token: AccessToken) -> AccessToken:
    """End a token now; the row stays as a record."""
    AccessToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=Now())
    token.refresh_from_db()
    audit.record(by=by, what="token.revoke", target=token)
    return token
