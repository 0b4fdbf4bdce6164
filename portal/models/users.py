"""People, and what they are in which tenant or project."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now

from portal.models.base import Row, ScopedQuerySet, uuid7
from portal.models.tenants import Project, Tenant
from portal.permissions import Role


class UserManager(BaseUserManager["User"].from_queryset(ScopedQuerySet)):  # type: ignore[misc]  # made by Django
    """Adds Django's natural-key look-up, which the login needs, to scoped queries."""


class User(AbstractBaseUser):
    """A person or a service account. Has no rights of its own; memberships give them."""

    scope_paths = {"tenant": "memberships__tenant_id", "many": "yes"}

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    username = models.CharField(max_length=150, unique=True)
    name = models.CharField(max_length=200, blank=True, default="")
    email = models.EmailField(blank=True, default="")
    language = models.CharField(max_length=10, default="en", choices=[("en", "English"), ("zh-Hans", "简体中文")])
    is_active = models.BooleanField(default=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "username"

    class Meta:
        constraints = [models.UniqueConstraint(Lower("username"), name="username_ignores_case")]

    def __str__(self) -> str:
        return self.username

    @property
    def actor_name(self) -> str:
        return self.username


class Membership(Row):
    """A role on the whole platform (no tenant), in a tenant, or in one project of it."""

    scope_paths = {"tenant": "tenant_id"}

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, blank=True, related_name="memberships")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, blank=True, related_name="memberships")
    role = models.CharField(max_length=32, choices=[(r.value, r.value) for r in Role])

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "tenant", "project", "role"], name="membership_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                name="membership_role_fits_level",
                condition=Q(tenant__isnull=True, project__isnull=True, role__startswith="platform-")
                | Q(tenant__isnull=False, project__isnull=True, role__startswith="tenant-")
                | Q(tenant__isnull=False, project__isnull=False, role__startswith="project-"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role}"
