"""Secrets that let somebody in. Only their SHA-256 is stored; the secret is shown once."""

import hashlib
import secrets

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from portal.models.base import Row
from portal.models.tenants import Tenant
from portal.models.users import User


def digest(secret: str) -> str:
    """What is stored of a secret of at least 128 random bits (so a plain hash is enough)."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret(kind: str) -> str:
    """A fresh secret of 256 bits, with a prefix that says what it is (and that secret scanners can find)."""
    return f"{kind}_{secrets.token_urlsafe(32)}"


class AccessToken(Row):
    """A user's key for programs: scoped, expiring, revocable."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, blank=True)
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16)
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=64), default=list)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.prefix}… of {self.user_id}"


class OneTimeLogin(Row):
    """A login link that works once, printed by the start command."""

    user = models.ForeignKey(User, on_delete=models.CASCADE)
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="one_time_login_expires_later", condition=models.Q(expires_at__gt=models.F("created_at"))
            )
        ]

    def __str__(self) -> str:
        return f"one-time login of {self.user_id}"


class LoginFailures(models.Model):
    """Failed logins per name and window, counted atomically in the database."""

    key = models.CharField(max_length=80, primary_key=True)
    window_ends_at = models.DateTimeField()
    failures = models.PositiveIntegerField(default=0)
    changed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.key
