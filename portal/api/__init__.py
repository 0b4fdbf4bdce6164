"""Routes of the portal."""

from typing import Any

from django.urls import path

from portal.api.audit import AuditEntryViewSet
from portal.api.people import MembershipViewSet, TokenViewSet, UserViewSet
from portal.api.quotas import FlavorViewSet, QuotaViewSet
from portal.api.sessions import LanguageView, OneTimeView, SessionView
from portal.api.tenants import DepartmentViewSet, ProjectViewSet, TenantViewSet

paths = [
    path("session", SessionView.as_view()),
    path("session/one-time", OneTimeView.as_view()),
    path("session/language", LanguageView.as_view()),
]


def routes(router: Any) -> None:
    router.register("tenants", TenantViewSet, "tenants")
    router.register("departments", DepartmentViewSet, "departments")
    router.register("projects", ProjectViewSet, "projects")
    router.register("users", UserViewSet, "users")
    router.register("memberships", MembershipViewSet, "memberships")
    router.register("tokens", TokenViewSet, "tokens")
    router.register("flavors", FlavorViewSet, "flavors")
    router.register("quotas", QuotaViewSet, "quotas")
    router.register("audit-entries", AuditEntryViewSet, "audit_entries")
