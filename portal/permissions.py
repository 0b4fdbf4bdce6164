"""Who may do what: one table, read by the API, the console and the tests.

A permission is `noun.verb`. A role holds it on the whole platform, in a tenant, or in one project.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from portal.models import User


class Role(StrEnum):
    PLATFORM_ADMIN = "platform-admin"  # owns the installation
    PLATFORM_OPERATOR = "platform-operator"  # runs sites and queues; no tenants' people, no money
    PLATFORM_VIEWER = "platform-viewer"
    PLATFORM_FINANCE = "platform-finance"
    TENANT_OWNER = "tenant-owner"
    TENANT_FINANCE = "tenant-finance"
    TENANT_MEMBER = "tenant-member"  # works in every project of the tenant
    TENANT_VIEWER = "tenant-viewer"
    PROJECT_MEMBER = "project-member"
    PROJECT_VIEWER = "project-viewer"


_R = Role
_STAFF = {_R.PLATFORM_ADMIN, _R.PLATFORM_OPERATOR, _R.PLATFORM_VIEWER, _R.PLATFORM_FINANCE}
_OPS = {_R.PLATFORM_ADMIN, _R.PLATFORM_OPERATOR}
_ADMIN = {_R.PLATFORM_ADMIN}
_TENANT = {_R.TENANT_OWNER, _R.TENANT_FINANCE, _R.TENANT_MEMBER, _R.TENANT_VIEWER}
_PROJECT = {_R.PROJECT_MEMBER, _R.PROJECT_VIEWER}
_WORKERS = {_R.TENANT_OWNER, _R.TENANT_MEMBER, _R.PROJECT_MEMBER}
_MONEY = {_R.PLATFORM_ADMIN, _R.PLATFORM_FINANCE, _R.PLATFORM_VIEWER, _R.TENANT_OWNER, _R.TENANT_FINANCE}
_FINANCE = _MONEY - {_R.PLATFORM_VIEWER}

TABLE: dict[str, frozenset[Role]] = {
    name: frozenset(roles)
    for name, roles in {
        # everyone who is signed in
        "session.view": _STAFF | _TENANT | _PROJECT,
        "overview.view": _STAFF | _TENANT | _PROJECT,
        "catalogue.view": _STAFF | _TENANT | _PROJECT,  # flavors, accelerator models, pools
        "catalogue.edit": _OPS | {_R.TENANT_OWNER, _R.TENANT_MEMBER},  # images and templates
        # tenancy
        "tenant.view": _STAFF | _TENANT | _PROJECT,
        "tenant.create": _ADMIN,
        "tenant.edit": _ADMIN | {_R.TENANT_OWNER},
        "tenant.suspend": _ADMIN,
        "department.view": _STAFF | _TENANT,
        "department.edit": _ADMIN | {_R.TENANT_OWNER},
        "project.view": _STAFF | _TENANT | _PROJECT,
        "project.edit": _ADMIN | {_R.TENANT_OWNER},
        "user.view": _STAFF | {_R.TENANT_OWNER},
        "user.create": _ADMIN | {_R.TENANT_OWNER},
        "user.edit": _ADMIN,
        "membership.view": _STAFF | {_R.TENANT_OWNER},
        "membership.edit": _ADMIN | {_R.TENANT_OWNER},
        "token.view": _STAFF | _TENANT | _PROJECT,  # one's own
        "token.edit": _STAFF | _TENANT | _PROJECT,
        "quota.view": _STAFF | _TENANT | _PROJECT,
        "quota.edit": _ADMIN,
        "flavor.edit": _ADMIN,
        "audit.view": {_R.PLATFORM_ADMIN, _R.PLATFORM_VIEWER, _R.TENANT_OWNER},
        # federation: the estate belongs to the platform; tenants see what they hold
        "site.view": _STAFF | _TENANT | _PROJECT,
        "site.edit": _OPS,
        "cluster.view": _STAFF | _TENANT | _PROJECT,
        "cluster.edit": _OPS,
        "node.view": _STAFF | _TENANT | _PROJECT,
        "node.drain": _OPS,
        "node.power": _OPS,
        "accelerator.view": _STAFF | _TENANT | _PROJECT,
        "accelerator.partition": _OPS,
        "pool.edit": _OPS,
        "join-token.view": _OPS,
        "join-token.edit": _OPS,
        "workload.view": _STAFF | _TENANT | _PROJECT,
        "workload.create": _ADMIN | _WORKERS,
        "workload.control": _OPS | _WORKERS,
        "workload.shell": _OPS | _WORKERS,  # into running work; a name of its own, so that tokens can go without it
        "allocation.view": _STAFF | _TENANT | _PROJECT,
        "allocation.release": _OPS | {_R.TENANT_OWNER},
        # money
        "price.view": _MONEY | _TENANT | _PROJECT | {_R.PLATFORM_OPERATOR},
        "price.edit": {_R.PLATFORM_ADMIN, _R.PLATFORM_FINANCE},
        "usage.view": _MONEY | {_R.TENANT_MEMBER, _R.TENANT_VIEWER},
        "invoice.view": _MONEY,
        "export.view": _FINANCE,  # what leaves is for those who answer for it
        "export.edit": _FINANCE,
        "invoice.issue": {_R.PLATFORM_ADMIN, _R.PLATFORM_FINANCE},
        "month.view": {_R.PLATFORM_ADMIN, _R.PLATFORM_FINANCE, _R.PLATFORM_VIEWER},
        "month.close": {_R.PLATFORM_ADMIN, _R.PLATFORM_FINANCE},
        "budget.view": _MONEY,
        "budget.edit": {_R.PLATFORM_ADMIN, _R.PLATFORM_FINANCE, _R.TENANT_OWNER},  # owners: those of projects
        "wallet.view": _MONEY,
        "wallet.edit": {_R.PLATFORM_ADMIN, _R.PLATFORM_FINANCE},
    }.items()
}


@dataclass(frozen=True, slots=True)
class Binding:
    """One role of one user, where it holds. No tenant: on the whole platform."""

    role: Role
    tenant: UUID | None
    project: UUID | None


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a permission holds for a caller."""

    is_everything: bool
    tenants: frozenset[UUID]
    projects: frozenset[UUID]

    @property
    def is_empty(self) -> bool:
        return not (self.is_everything or self.tenants or self.projects)

    def covers(self, tenant: UUID | None, project: UUID | None = None) -> bool:
        return self.is_everything or tenant in self.tenants or (project is not None and project in self.projects)


@dataclass(frozen=True, slots=True)
class Access:
    """All that a caller may do: the user's roles, narrowed by the scopes of the token they came with."""

    bindings: tuple[Binding, ...]
    scopes: tuple[str, ...] = ("*",)  # patterns over permission names, as `workload.*`

    def scope(self, permission: str) -> Scope:
        roles = TABLE[permission]
        if not any(fnmatchcase(permission, pattern) for pattern in self.scopes):
            return Scope(False, frozenset(), frozenset())
        held = [b for b in self.bindings if b.role in roles]
        return Scope(
            is_everything=any(b.tenant is None for b in held),
            tenants=frozenset(b.tenant for b in held if b.tenant is not None and b.project is None),
            projects=frozenset(b.project for b in held if b.project is not None),
        )

    def names(self) -> list[str]:
        """Permissions held somewhere, for the console."""
        return [name for name in TABLE if not self.scope(name).is_empty]


def access_of(user: "User", *, scopes: Iterable[str] = ("*",), tenant: UUID | None = None) -> Access:
    """Read a user's roles once per request. People of a suspended tenant hold none there.

    `tenant` narrows to one tenant, as a token made for it does.
    """
    rows = user.memberships.exclude(tenant__state="suspended").values_list("role", "tenant_id", "project_id")
    bindings = (Binding(Role(role), t, p) for role, t, p in rows)
    return Access(tuple(b for b in bindings if tenant is None or b.tenant == tenant), tuple(scopes))


def scope_of(user: Any, permission: str) -> Scope:
    """Where `user` holds `permission`. Nobody signed in holds anything."""
    access = getattr(user, "access", None)
    if access is None:
        if not getattr(user, "is_authenticated", False) or not user.is_active:
            return Scope(False, frozenset(), frozenset())
        access = user.access = access_of(user)
    return access.scope(permission)


def can(user: Any, permission: str, *, tenant: UUID | None = None, project: UUID | None = None) -> bool:
    """May `user` do this here? Without a tenant: on the whole platform."""
    return scope_of(user, permission).covers(tenant, project)
