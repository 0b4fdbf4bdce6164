"""The table of permissions, read as a table; and that nobody can give what they do not have.

The expectations are written down here a second time, in words of their own, so that a slip in the table shows.
"""

from fnmatch import fnmatchcase
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as some

from portal.actions import members, tokens
from portal.audit import SYSTEM
from portal.errors import DomainError, NotAllowed
from portal.models import Membership, Project, Tenant, User
from portal.permissions import TABLE, Access, Binding, Role, Scope, access_of, can, scope_of
from portal.states import TenantState
from tests import factories
from tests.api.conftest import client_of

pytestmark = pytest.mark.django_db

# One letter per role, in this order:
#   A admin, O operator, V viewer, F finance (platform);  o owner, f finance, m member, v viewer (tenant);
#   p member, w viewer (project)
LETTERS = dict(zip("AOVFofmvpw", Role, strict=True))
ALL = "AOVFofmvpw"
EXPECTED = {
    "session.view": ALL,
    "overview.view": ALL,
    "catalogue.view": ALL,
    "catalogue.edit": "AOom",
    "tenant.view": ALL,
    "tenant.create": "A",
    "tenant.edit": "Ao",
    "tenant.suspend": "A",
    "department.view": "AOVFofmv",
    "department.edit": "Ao",
    "project.view": ALL,
    "project.edit": "Ao",
    "user.view": "AOVFo",
    "user.create": "Ao",
    "user.edit": "A",
    "membership.view": "AOVFo",
    "membership.edit": "Ao",
    "token.view": ALL,
    "token.edit": ALL,
    "quota.view": ALL,
    "quota.edit": "A",
    "flavor.edit": "A",
    "audit.view": "AVo",
    "site.view": ALL,
    "site.edit": "AO",
    "cluster.view": ALL,
    "cluster.edit": "AO",
    "node.view": ALL,
    "node.drain": "AO",
    "node.power": "AO",
    "accelerator.view": ALL,
    "accelerator.partition": "AO",
    "pool.edit": "AO",
    "join-token.view": "AO",
    "join-token.edit": "AO",
    "workload.view": ALL,
    "workload.create": "Aomp",
    "workload.control": "AOomp",
    "workload.shell": "AOomp",
    "allocation.view": ALL,
    "allocation.release": "AOo",
    "price.view": ALL,
    "price.edit": "AF",
    "usage.view": "AVFofmv",
    "invoice.view": "AVFof",
    "export.view": "AFof",
    "export.edit": "AFof",
    "invoice.issue": "AF",
    "month.view": "AVF",
    "month.close": "AF",
    "budget.view": "AVFof",
    "budget.edit": "AFo",
    "wallet.view": "AVFof",
    "wallet.edit": "AF",
}


def test_each_role_holds_what_it_should_and_nothing_else() -> None:
    assert {
        name: "".join(letter for letter, role in LETTERS.items() if role in TABLE[name]) for name in TABLE
    } == EXPECTED


def test_changing_things_is_never_for_viewers() -> None:
    viewers = {Role.PLATFORM_VIEWER, Role.TENANT_VIEWER, Role.PROJECT_VIEWER}
    for name, roles in TABLE.items():
        if not name.endswith(".view") and name != "token.edit":  # one's own tokens
            assert not roles & viewers, name


def test_who_may_change_may_look() -> None:
    for name, roles in TABLE.items():
        noun = name.partition(".")[0]
        look = TABLE.get(f"{noun}.view", TABLE["catalogue.view"])
        assert roles <= look, f"{name}: {roles - look} could not see what they change"


def test_every_role_fits_one_level() -> None:
    assert {role.partition("-")[0] for role in Role} == {"platform", "tenant", "project"}


# -- where a role holds ---------------------------------------------------------------------------------------


class Place:
    def __init__(self) -> None:
        self.tenant, self.other = factories.tenant(), factories.tenant()
        self.project = factories.project(self.tenant)
        self.sibling = factories.project(self.tenant)
        self.foreign = factories.project(self.other)

    def user(self, role: Role) -> User:
        level = role.partition("-")[0]
        tenant = None if level == "platform" else self.tenant
        return factories.user(role, tenant, self.project if level == "project" else None)


@pytest.mark.parametrize("role", Role)
def test_a_role_holds_in_its_place_and_in_no_other(role: Role) -> None:
    place = Place()
    user, level = place.user(role), role.partition("-")[0]
    for name, roles in TABLE.items():
        here = role in roles
        everywhere = here and level == "platform"
        in_tenant = everywhere or (here and level == "tenant")
        assert can(user, name) is everywhere
        assert can(user, name, tenant=place.tenant.pk) is in_tenant
        assert can(user, name, tenant=place.tenant.pk, project=place.sibling.pk) is in_tenant
        assert can(user, name, tenant=place.tenant.pk, project=place.project.pk) is here
        assert can(user, name, tenant=place.other.pk, project=place.foreign.pk) is everywhere


def test_nobody_and_the_disabled_hold_nothing() -> None:
    disabled = factories.user()
    disabled.is_active = False
    for user in (None, AnonymousUser(), disabled, User.objects.create(username="no-role")):
        for name in TABLE:
            assert scope_of(user, name).is_empty, (user, name)


def test_a_suspended_tenants_people_hold_nothing_there_and_all_elsewhere() -> None:
    place = Place()
    user = place.user(Role.TENANT_OWNER)
    members.add(by=SYSTEM, user=user, role=Role.TENANT_VIEWER, tenant=place.other)
    Tenant.objects.filter(pk=place.tenant.pk).update(state=TenantState.SUSPENDED)
    assert not can(user, "workload.view", tenant=place.tenant.pk)
    assert can(user, "workload.view", tenant=place.other.pk)


def test_a_permission_that_is_none_is_a_fault_and_not_a_yes() -> None:
    with pytest.raises(KeyError):
        scope_of(factories.user(), "workload.destroy")


def test_an_empty_scope_covers_nothing_not_even_the_platforms_own() -> None:
    empty = Scope(False, frozenset(), frozenset())
    assert not empty.covers(None)
    assert not empty.covers(None, None)
    assert not Scope(False, frozenset({factories.tenant().pk}), frozenset()).covers(None)


# -- giving roles ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("giver", "given_role"), list(product(Role, Role)))
def test_nobody_gives_a_role_above_or_beyond_the_own(giver: Role, given_role: Role) -> None:
    """Admins give everything; owners what there is in their tenant; everybody else nothing."""
    place = Place()
    by, level = place.user(giver), given_role.partition("-")[0]
    for tenant, project in ((place.tenant, place.project), (place.other, place.foreign), (None, None)):
        fits = {"platform": tenant is None, "tenant": tenant is not None, "project": tenant is not None}[level]
        place_given: dict[str, Any] = {
            "tenant": tenant,
            "project": project if level == "project" else None,
        }
        may = giver == Role.PLATFORM_ADMIN or (giver == Role.TENANT_OWNER and tenant == place.tenant)
        somebody = User.objects.create(username=f"somebody-{User.objects.count()}")
        if may and fits:
            members.add(by=by, user=somebody, role=given_role, **place_given)
            assert somebody.memberships.get().role == given_role
        else:
            with pytest.raises(DomainError) as refusal:
                members.add(by=by, user=somebody, role=given_role, **place_given)
            assert refusal.value.status == (422 if may else 403)
            assert not somebody.memberships.exists()


def test_an_owner_makes_people_only_at_home_and_with_a_role_of_the_tenant() -> None:
    place = Place()
    owner = client_of(place.user(Role.TENANT_OWNER))
    here = {"username": "mallory", "tenant": str(place.tenant.pk)}
    refused = {
        role.value: owner.post("/api/v1/users", {**here, "role": role}).status_code
        for role in Role
        if not role.startswith("tenant-")
    }
    assert set(refused.values()) == {422}
    without = owner.post("/api/v1/users", {"username": "mallory", "role": "platform-admin"})
    elsewhere = owner.post("/api/v1/users", {**here, "tenant": str(place.other.pk), "role": "tenant-viewer"})
    assert (without.status_code, elsewhere.status_code) == (403, 404)
    assert not User.objects.filter(username="mallory").exists(), "a user without a role is not left behind"
    member = client_of(place.user(Role.TENANT_MEMBER))
    assert member.post("/api/v1/users", {**here, "role": "tenant-viewer"}).status_code == 403


def test_a_project_of_another_tenant_is_no_place_for_a_role() -> None:
    place = Place()
    with pytest.raises(DomainError):
        members.add(
            by=SYSTEM, user=place.user(Role.TENANT_VIEWER), role=Role.PROJECT_MEMBER, tenant=place.tenant,
            project=place.foreign,
        )  # fmt: skip


def test_the_database_itself_refuses_a_role_at_the_wrong_level() -> None:
    place, user = Place(), User.objects.create(username="x")
    wrong: list[tuple[str, Tenant | None, Project | None]] = [
        ("platform-admin", place.tenant, None),
        ("tenant-owner", None, None),
        ("tenant-owner", place.tenant, place.project),
        ("project-member", place.tenant, None),
        ("platform-admin", None, place.project),
        ("superuser", None, None),
    ]
    for role, tenant, project in wrong:
        with pytest.raises(IntegrityError), transaction.atomic():
            Membership.objects.create(user=user, role=role, tenant=tenant, project=project)


# -- tokens ----------------------------------------------------------------------------------------------------------

_TENANT, _PROJECT = uuid4(), uuid4()
_PATTERNS = [
    "*",
    "workload.*",
    "*.view",
    "session.view",
    "token.*",
    "no-such.*",
    "WORKLOAD.*",
    "work*",
    "?",
    "[w]*.view",
]


@given(
    roles=some.lists(some.sampled_from(Role), max_size=4),
    scopes=some.lists(some.sampled_from([*_PATTERNS, *TABLE]), max_size=4),
)
def test_scopes_of_a_token_only_narrow(roles: list[Role], scopes: list[str]) -> None:
    bindings = tuple(
        Binding(
            role, None if role.startswith("platform") else _TENANT, _PROJECT if role.startswith("project") else None
        )
        for role in roles
    )
    whole, narrow = Access(bindings), Access(bindings, tuple(scopes))
    for name in TABLE:
        found = narrow.scope(name)
        matched = any(fnmatchcase(name, scope) for scope in scopes)
        assert found == (whole.scope(name) if matched else Scope(False, frozenset(), frozenset()))


def test_a_token_for_one_tenant_holds_there_alone() -> None:
    place = Place()
    user = factories.user(Role.PLATFORM_ADMIN)
    members.add(by=SYSTEM, user=user, role=Role.TENANT_VIEWER, tenant=place.tenant)
    access = access_of(user, tenant=place.tenant.pk)
    assert access.scope("workload.view") == Scope(False, frozenset({place.tenant.pk}), frozenset())
    assert access.scope("tenant.create").is_empty, "the platform's own role stays at home"
    assert access_of(user, tenant=place.other.pk).names() == []


def test_a_token_cannot_be_made_for_what_there_is_not() -> None:
    user = factories.user()
    for scopes in (["workload.fly"], ["*", "nothing.*"], [""]):
        with pytest.raises(DomainError):
            tokens.create(by=user, user=user, name="t", scopes=scopes, days=1)
    for days in (0, -1, 366):
        with pytest.raises(DomainError):
            tokens.create(by=user, user=user, name="t", scopes=["*"], days=days)


def test_a_narrow_token_does_not_give_roles() -> None:
    place = Place()
    owner = place.user(Role.TENANT_OWNER)
    owner.access = access_of(owner, scopes=["user.*", "tenant.view"])  # type: ignore[attr-defined]  # as the API does
    somebody = User.objects.create(username="somebody")
    with pytest.raises(NotAllowed):
        members.add(by=owner, user=somebody, role=Role.TENANT_OWNER, tenant=place.tenant)
