"""Conversations about tenants, their people and what they may hold: one story per noun."""

from typing import Any

import pytest

from portal.models import AuditEntry, Quota, Tenant
from portal.permissions import Role
from tests import factories
from tests.api.conftest import SignIn, client_of, program_of

pytestmark = pytest.mark.django_db


def version(answer: Any) -> dict[str, str]:
    """The header that says which version one has read."""
    assert answer.headers["ETag"] == f'"{answer.json()["version"]}"'
    return {"If-Match": answer.headers["ETag"]}


def test_a_tenant_from_its_first_day_to_its_suspension_and_back(sign_in: SignIn) -> None:
    admin = sign_in()
    made = admin.post("/api/v1/tenants", {"slug": "acme", "name": "Acme"})
    assert (made.status_code, made.json()["state"], made.json()["actions"]) == (201, "active", ["suspend"])
    address = f"/api/v1/tenants/{made.json()['id']}"

    twice = admin.post("/api/v1/tenants", {"slug": "acme", "name": "Another"})
    assert (twice.status_code, twice.json()["errors"][0]["pointer"]) == (422, "/slug")

    read = admin.get(address)
    assert read.json() == made.json()
    renamed = admin.patch(address, {"name": "Acme & Sons"}, headers=version(read))
    assert (renamed.status_code, renamed.json()["name"], renamed.json()["version"]) == (200, "Acme & Sons", 2)
    assert renamed.headers["ETag"] == '"2"'
    stale = admin.patch(address, {"name": "Late"}, headers=version(read))
    assert (stale.status_code, stale.json()["code"]) == (412, "version-stale")
    blind = admin.patch(address, {"name": "Blind"})
    assert (blind.status_code, blind.json()["code"]) == (428, "version-required")
    assert admin.get(address).json()["name"] == "Acme & Sons"

    owner_user = factories.user(Role.TENANT_OWNER, Tenant.objects.get())
    owner = client_of(owner_user)
    assert owner.get(address).json()["actions"] == [], "it may look at its tenant, and not suspend it"
    assert owner.post(f"{address}/suspend").status_code == 403
    suspended = admin.post(f"{address}/suspend")
    assert (suspended.status_code, suspended.json()["state"], suspended.json()["actions"]) == (
        202,
        "suspended",
        ["reinstate"],
    )
    assert admin.post(f"{address}/suspend").json()["version"] == suspended.json()["version"], "once is enough"
    assert owner.get(address).status_code == 403
    assert admin.get("/api/v1/tenants", {"state": "suspended"}).json()["results"][0]["slug"] == "acme"
    assert admin.get("/api/v1/tenants", {"state": "active"}).json()["results"] == []
    assert admin.post(f"{address}/reinstate").json()["state"] == "active"
    assert owner.get(address).status_code == 200

    said = list(AuditEntry.objects.filter(target_type="tenant").order_by("id").values_list("what", flat=True))
    assert [what for what in said if what != "tenant.suspend"] == ["tenant.create", "tenant.rename", "tenant.reinstate"]


def test_an_owner_orders_the_own_house(sign_in: SignIn) -> None:
    tenant = factories.tenant()
    owner = sign_in(Role.TENANT_OWNER, tenant)
    here = {"tenant": str(tenant.pk)}
    department = owner.post("/api/v1/departments", {**here, "slug": "research", "name": "Research"})
    assert department.status_code == 201, department.json()
    project = owner.post(
        "/api/v1/projects", {**here, "slug": "speech", "name": "Speech", "department": department.json()["id"]}
    )
    assert (project.status_code, project.json()["tenant_name"]) == (201, tenant.name)
    clash = owner.post("/api/v1/projects", {**here, "slug": "speech", "name": "Again"})
    assert (clash.status_code, clash.json()["code"]) == (409, "conflict")
    assert clash.json()["detail"] == "There is one with this name already."
    for made in (department, project):
        noun = "departments" if made is department else "projects"
        address = f"/api/v1/{noun}/{made.json()['id']}"
        renamed = owner.patch(address, {"name": "Voice"}, headers=version(owner.get(address)))
        assert (renamed.status_code, renamed.json()["name"]) == (200, "Voice")
    assert [p["slug"] for p in owner.get("/api/v1/projects", {**here, "slug": "speech"}).json()["results"]] == [
        "speech"
    ]
    assert owner.post("/api/v1/tenants", {"slug": "own", "name": "Own"}).status_code == 403
    what = {entry["what"] for entry in owner.get("/api/v1/audit-entries").json()["results"]}
    assert what >= {"department.create", "department.rename", "project.create", "project.rename"}


def test_people_come_work_and_leave(sign_in: SignIn) -> None:
    tenant = factories.tenant()
    project = factories.project(tenant)
    owner, admin = sign_in(Role.TENANT_OWNER, tenant), sign_in()
    here = {"tenant": str(tenant.pk)}
    made = owner.post("/api/v1/users", {**here, "username": "li.wei", "password": "x" * 14, "role": "tenant-viewer"})
    assert made.status_code == 201, made.json()
    assert "password" not in made.content.decode()
    user = made.json()["id"]
    weak = owner.post("/api/v1/users", {**here, "username": "weak", "password": "password", "role": "tenant-viewer"})
    assert (weak.status_code, weak.json()["errors"][0]["pointer"]) == (422, "/password")
    for taken in ("li.wei", "LI.WEI"):
        assert owner.post("/api/v1/users", {**here, "username": taken, "role": "tenant-viewer"}).status_code == 409

    role = owner.post(
        "/api/v1/memberships", {**here, "user": user, "project": str(project.pk), "role": "project-member"}
    )
    assert (role.status_code, role.json()["username"]) == (201, "li.wei")
    again = owner.post(
        "/api/v1/memberships", {**here, "user": user, "project": str(project.pk), "role": "project-member"}
    )
    assert again.json()["id"] == role.json()["id"], "one has a role once"
    listed = owner.get("/api/v1/memberships", {"user": user}).json()["results"]
    assert {one["role"] for one in listed} == {"tenant-viewer", "project-member"}
    for one in listed:
        assert owner.delete(f"/api/v1/memberships/{one['id']}").status_code == 204
    assert owner.get(f"/api/v1/users/{user}").status_code == 404, "who has no role here is nobody here"

    assert owner.post(f"/api/v1/users/{user}/disable").status_code == 403
    gone = admin.post(f"/api/v1/users/{user}/disable")
    assert (gone.status_code, gone.json()["is_active"]) == (202, False)
    assert [u["id"] for u in admin.get("/api/v1/users", {"is_active": "false"}).json()["results"]] == [user]


def test_a_token_ends_with_the_last_role_it_was_made_for(sign_in: SignIn) -> None:
    tenant, other = factories.tenant(), factories.tenant()
    user = factories.user(Role.TENANT_MEMBER, tenant)
    here, anywhere = program_of(user, tenant=tenant), program_of(user)
    factories.members.add(by=factories.SYSTEM, user=user, role=Role.TENANT_VIEWER, tenant=other)
    owner = sign_in(Role.TENANT_OWNER, tenant)
    membership = owner.get("/api/v1/memberships", {"user": str(user.pk)}).json()["results"][0]
    assert here.get("/api/v1/session").status_code == 200
    assert owner.delete(f"/api/v1/memberships/{membership['id']}").status_code == 204
    assert here.get("/api/v1/session").status_code == 401
    assert [m["tenant_id"] for m in anywhere.get("/api/v1/session").json()["memberships"]] == [str(other.pk)]


def test_a_quota_is_given_changed_and_guarded_by_its_version(sign_in: SignIn) -> None:
    admin, tenant = sign_in(), factories.tenant()
    project = factories.project(tenant)
    factories.cluster()
    body = {"tenant": str(tenant.pk), "project": str(project.pk), "flavor": "nvidia-a100-80g", "nominal_milli": 8000}
    made = admin.post("/api/v1/quotas", {**body, "borrowing_limit_milli": 2000})
    assert made.status_code == 201, made.json()
    said = made.json()
    assert (said["limit_milli"], said["held_milli"], said["weight"], said["unit"]) == (10_000, 0, 1, "device")
    assert admin.post("/api/v1/quotas", body).status_code == 409
    address = f"/api/v1/quotas/{said['id']}"

    first = admin.get(address)
    blind = admin.patch(address, {"nominal_milli": 1})
    assert (blind.status_code, blind.json()["code"]) == (428, "version-required")
    changed = admin.patch(address, {"nominal_milli": 4000}, headers=version(first))
    assert (changed.status_code, changed.json()["limit_milli"]) == (200, 6000)
    for stale in (first.headers["ETag"], f"W/{first.headers['ETag']}", "*", "99", '"x"'):
        late = admin.patch(address, {"nominal_milli": 9000}, headers={"If-Match": stale})
        assert (late.status_code, late.json()["code"]) == (412, "version-stale"), stale
    assert Quota.objects.get(pk=said["id"]).nominal_milli == 4000

    owner = sign_in(Role.TENANT_OWNER, tenant)
    assert [q["id"] for q in owner.get("/api/v1/quotas", {"flavor__name": "nvidia-a100-80g"}).json()["results"]] == [
        said["id"]
    ]
    assert owner.patch(address, {"nominal_milli": 10**9}, headers={"If-Match": "2"}).status_code == 403
    assert owner.post("/api/v1/quotas", body).status_code == 403


def test_pages_hold_still_while_rows_come_and_go(sign_in: SignIn) -> None:
    admin = sign_in()
    made = [str(factories.tenant().pk) for _ in range(7)]
    page = admin.get("/api/v1/tenants", {"limit": "3"}).json()
    seen = [row["id"] for row in page["results"]]
    factories.tenant()
    while page["next"]:
        page = admin.get(page["next"].removeprefix("http://testserver")).json()
        seen += [row["id"] for row in page["results"]]
    assert seen == made[::-1], "newest first, each once, and none of those that came meanwhile"
    assert admin.get("/api/v1/tenants", {"limit": "9999"}).status_code == 200
