"""Conversations about who one is: signing in and out, links that work once, tokens, and forged requests."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from portal.actions import sessions
from portal.models import AccessToken, AuditEntry, LoginFailures, OneTimeLogin, User
from portal.permissions import TABLE, Role
from tests import factories
from tests.api.conftest import Client, client_of, client_with
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
SESSION = "/api/v1/session"


@pytest.fixture
def user() -> User:
    return factories.user(Role.TENANT_OWNER, factories.tenant())


def login(user: User, password: str = PASSWORD, client: Client | None = None, **more: Any) -> Any:
    return (client or Client()).post(SESSION, {"username": user.username, "password": password}, **more)


def test_in_with_a_password_and_out_again(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.get(SESSION).status_code == 401
    answer = login(user, client=client)
    said = answer.json()
    assert (answer.status_code, said["username"], said["is_platform"]) == (200, user.username, False)
    assert said["memberships"][0]["role"] == "tenant-owner"
    assert set(said["permissions"]) == {name for name, roles in TABLE.items() if Role.TENANT_OWNER in roles}
    cookie = answer.cookies[settings.SESSION_COOKIE_NAME]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert client.get(SESSION).json()["id"] == str(user.pk)
    stolen = dict(client.cookies.items())
    out = client.delete(SESSION, headers={"X-CSRFToken": said["csrf"]})
    assert out.status_code == 204
    assert client.get(SESSION).status_code == 401
    replayed = Client()
    replayed.cookies.update(stolen)
    assert replayed.get(SESSION).status_code == 401, "a session that has ended is not to be had again"
    assert AuditEntry.objects.filter(what="session.create", actor_id=user.pk).count() == 1


def test_a_wrong_password_and_an_unknown_name_look_alike(user: User) -> None:
    disabled = factories.user(Role.TENANT_OWNER, factories.tenant())
    User.objects.filter(pk=disabled.pk).update(is_active=False)
    unknown = User(username="nobody-at-all")
    answers = [
        login(user, "wrong", REMOTE_ADDR="10.0.0.1"),
        login(unknown, REMOTE_ADDR="10.0.0.2"),
        login(disabled, REMOTE_ADDR="10.0.0.3"),
        login(User(username="n" * 150), "x" * 1000, REMOTE_ADDR="10.0.0.4"),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["code"] == "login-failed"
    assert settings.SESSION_COOKIE_NAME not in answers[0].cookies


def test_ten_failures_shut_the_door_for_a_while(user: User) -> None:
    for attempt in range(10):
        assert login(user, "wrong", REMOTE_ADDR=f"10.0.0.{attempt}").status_code == 401
    shut = login(user, REMOTE_ADDR="10.0.1.1")
    assert (shut.status_code, shut.json()["code"]) == (429, "too-many-attempts")
    assert int(shut.headers["Retry-After"]) > 0
    other = factories.user()
    assert login(other, REMOTE_ADDR="10.0.0.1").status_code == 200, "others come in, from there as well"
    LoginFailures.objects.update(window_ends_at=timezone.now() - timedelta(seconds=1))
    assert login(user).status_code == 200
    assert not LoginFailures.objects.filter(key=f"name:{user.username}").exists()


def test_one_address_that_tries_many_names_is_shut_out(user: User) -> None:
    for number in range(10):
        login(User(username=f"guess-{number}"), REMOTE_ADDR="10.0.0.9")
    assert login(user, REMOTE_ADDR="10.0.0.9").status_code == 429
    assert login(user, REMOTE_ADDR="10.0.0.8").status_code == 200
    assert login(user, REMOTE_ADDR="10.0.0.9").status_code == 429, "the success of one does not clear the address"


def test_what_a_client_says_of_its_address_counts_for_nothing(user: User) -> None:
    for attempt in range(10):
        login(User(username=f"guess-{attempt}"), headers={"X-Forwarded-For": f"1.1.1.{attempt}"})
    assert login(user, headers={"X-Forwarded-For": "2.2.2.2"}).status_code == 429


def test_a_link_works_once(user: User) -> None:
    secret = sessions.make_one_time(user=user)
    assert secret not in str(list(OneTimeLogin.objects.values()))
    client = Client()
    first = client.post(f"{SESSION}/one-time", {"token": secret})
    assert (first.status_code, first.json()["username"]) == (200, user.username)
    assert client.get(SESSION).status_code == 200
    again = Client().post(f"{SESSION}/one-time", {"token": secret})
    unknown = Client().post(f"{SESSION}/one-time", {"token": "once_unknown"})
    assert (again.status_code, again.json()) == (401, unknown.json())
    old = sessions.make_one_time(user=user)
    OneTimeLogin.objects.filter(used_at=None).update(
        created_at=timezone.now() - timedelta(hours=2), expires_at=timezone.now() - timedelta(seconds=1)
    )
    assert Client().post(f"{SESSION}/one-time", {"token": old}).json() == unknown.json()
    shut = sessions.make_one_time(user=user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert Client().post(f"{SESSION}/one-time", {"token": shut}).status_code == 401


def test_a_session_that_was_planted_is_left_behind(user: User) -> None:
    """Session fixation: the id that a visitor brings is not the one that is signed in."""
    attacker = client_of(factories.user())
    planted = attacker.cookies[settings.SESSION_COOKIE_NAME].value
    attacker.session.flush()
    victim = Client()
    victim.cookies[settings.SESSION_COOKIE_NAME] = planted
    answer = login(user, client=victim)
    assert answer.cookies[settings.SESSION_COOKIE_NAME].value != planted
    attacker.cookies[settings.SESSION_COOKIE_NAME] = planted
    assert attacker.get(SESSION).status_code == 401


def test_signing_in_anew_gives_a_new_session(user: User) -> None:
    client = Client()
    first = login(user, client=client).cookies[settings.SESSION_COOKIE_NAME].value
    second = login(user, client=client).cookies[settings.SESSION_COOKIE_NAME].value
    assert first != second
    old = Client()
    old.cookies[settings.SESSION_COOKIE_NAME] = first
    assert old.get(SESSION).status_code == 401


def test_a_change_by_cookie_needs_the_pages_own_token(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    csrf = login(user, client=client).json()["csrf"]
    tenant = str(user.memberships.get().tenant_id)
    body = {"tenant": tenant, "slug": "d", "name": "D"}
    for headers in ({}, {"X-CSRFToken": "x" * 32}, {"X-CSRFToken": csrf[::-1]}):
        answer = client.post("/api/v1/departments", body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf-failed"), headers
    foreign = client.post("/api/v1/departments", body, headers={"X-CSRFToken": csrf, "Origin": "https://evil.example"})
    assert foreign.json()["code"] == "csrf-failed"
    own = client.post("/api/v1/departments", body, headers={"X-CSRFToken": csrf, "Origin": "http://testserver"})
    assert own.status_code == 201
    assert client.delete(SESSION).status_code == 403, "nobody else signs one out"
    assert client.get(SESSION).status_code == 200
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        form = client.generic("POST", "/api/v1/departments", "tenant=x", content_type=kind)
        assert form.status_code in {403, 415}


def test_a_program_needs_no_token_of_a_page(user: User) -> None:
    tenant = str(user.memberships.get().tenant_id)
    signed_in = client_of(user)
    made = signed_in.post("/api/v1/tokens", {"name": "ci", "scopes": ["department.*", "tenant.view"], "days": 30})
    assert made.status_code == 201, made.json()
    client = Client(enforce_csrf_checks=True)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {made.json()['secret']}")
    body = {"tenant": tenant, "slug": "d", "name": "D"}
    assert client.post("/api/v1/departments", body).status_code == 201
    assert client.post("/api/v1/projects", body).status_code == 403, "its scopes end here"
    assert client.get(SESSION).status_code == 403


def test_a_token_from_birth_to_revocation(user: User) -> None:
    client, key = client_of(user), {"Idempotency-Key": "nightly"}
    body = {"name": "nightly", "scopes": ["workload.*", "session.view", "token.*"], "days": 7}
    made = client.post("/api/v1/tokens", body, headers=key)
    secret = made.json()["secret"]
    assert secret.startswith("aq_")
    assert made.json()["prefix"] == secret[:11]
    repeated = client.post("/api/v1/tokens", body, headers=key)
    assert (repeated.json()["id"], repeated.json()["secret"]) == (made.json()["id"], "")
    assert secret not in client.get("/api/v1/tokens").content.decode()
    assert secret not in str([*AccessToken.objects.values(), *AuditEntry.objects.values()])

    program = client_with(secret)
    said = program.get(SESSION).json()
    assert set(said["permissions"]) == {
        name for name, roles in TABLE.items()
        if Role.TENANT_OWNER in roles and (name.startswith(("workload.", "token.")) or name == "session.view")
    }  # fmt: skip
    assert said["csrf"] == ""
    address = f"/api/v1/tokens/{made.json()['id']}"
    assert client.get(address).json()["last_used_at"]
    more = program.post("/api/v1/tokens", body)
    assert (more.status_code, more.json()["detail"]) == (403, "A token cannot make tokens; sign in for that.")
    for wrong, field in (
        ({"scopes": ["everything"]}, "/scopes"),
        ({"days": 366}, "/days"),
        ({"days": 0}, "/days"),
        ({"scopes": []}, "/scopes"),
    ):
        refused = client.post("/api/v1/tokens", {**body, **wrong})
        assert refused.status_code == 422
        assert [e["pointer"] for e in refused.json()["errors"]] == [field]
    revoked = client.post(f"{address}/revoke")
    assert (revoked.status_code, revoked.json()["revoked_at"] is not None) == (202, True)
    assert program.get(SESSION).status_code == 401
    assert client.post(f"{address}/revoke").json()["revoked_at"] == revoked.json()["revoked_at"]


def test_a_token_for_one_tenant_sees_that_one_alone(user: User) -> None:
    mine, other = user.memberships.get().tenant, factories.tenant()
    factories.members.add(by=factories.SYSTEM, user=user, role=Role.TENANT_OWNER, tenant=other)
    body = {"name": "one", "scopes": ["*"], "days": 1}
    whole, narrow = (
        client_with(client_of(user).post("/api/v1/tokens", {**body, **more}).json()["secret"])
        for more in ({}, {"tenant": str(other.pk)})
    )
    seen = [{row["id"] for row in client.get("/api/v1/tenants").json()["results"]} for client in (whole, narrow)]
    assert seen == [{str(mine.pk), str(other.pk)}, {str(other.pk)}]
    department = {"tenant": str(mine.pk), "slug": "d", "name": "D"}
    assert narrow.post("/api/v1/departments", department).status_code == 404
    assert whole.post("/api/v1/departments", department).status_code == 201


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer x y", "Basic dTpw", "Token aq_x", "bearer aq_\xff"])
def test_a_header_that_is_no_token_lets_nobody_in(user: User, header: str) -> None:
    answer = Client().get(SESSION, headers={"Authorization": header})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_the_language_is_remembered(user: User) -> None:
    client = client_of(user)
    assert client.post(f"{SESSION}/language", {"language": "zh-Hans"}).json()["language"] == "zh-Hans"
    assert login(user).json()["language"] == "zh-Hans"
