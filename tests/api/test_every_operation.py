"""Every operation of the OpenAPI document is tried by everybody who must not succeed.

The operations come from the document itself, so that none can be forgotten: one that the table in
`operations.py` cannot carry out is a failure. What is refused is a problem, and changes nothing at all.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.test import override_settings
from django.urls import get_resolver
from django.utils import timezone

from portal.actions import members, tenants, tokens
from portal.audit import SYSTEM
from portal.models import AccessToken, Tenant, User
from portal.permissions import TABLE, Role
from tests import factories
from tests.api.conftest import Client, client_of, client_with
from tests.api.operations import AGENTS, CATALOGUE, OPEN, OPERATIONS, OWN, PREFIX, UNSEEN, Operation
from tests.api.world import World, digest_of_database
from tests.factories import PASSWORD
from tests.paper import text_of
from tests.stub_driver import MACHINE_PATH

pytestmark = pytest.mark.django_db
GUARDED = [operation for operation in OPERATIONS if operation.id not in OPEN]
PEOPLES = [operation for operation in GUARDED if operation.id not in AGENTS]


def named(operations: list[Operation]) -> Any:
    return pytest.mark.parametrize("operation", operations, ids=[operation.id for operation in operations])


class Cast:
    """The world, and everybody who calls. Made once: no test leaves a trace in it."""

    def __init__(self) -> None:
        self.world = World()
        self.admin = factories.user()
        self.stranger = factories.user(Role.TENANT_OWNER, factories.tenant())
        self.both = factories.user(Role.TENANT_OWNER, factories.tenant())
        members.add(by=SYSTEM, user=self.both, role=Role.TENANT_VIEWER, tenant=self.world.tenant)
        self.watcher = factories.user(Role.TENANT_OWNER, factories.tenant())
        members.add(by=SYSTEM, user=self.watcher, role=Role.PLATFORM_VIEWER)
        self.narrow, secret = self._token()
        self.narrow_client = client_with(secret)
        expired, expired_secret = self._token()
        revoked, revoked_secret = self._token()
        AccessToken.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
        tokens.revoke(by=SYSTEM, token=revoked)
        former = factories.user(Role.TENANT_OWNER, self.world.tenant)
        members.remove(by=SYSTEM, membership=former.memberships.get())
        disabled = factories.user()
        disabled_client = client_of(disabled)
        disabled_token = client_with(self._token(disabled)[1])
        members.disable(by=SYSTEM, user=disabled)
        AccessToken.objects.update(last_used_at=timezone.now() + timedelta(days=1))  # reading leaves no trace
        self.admin_client = client_of(self.admin)
        self.owner_client = client_of(self.world.owner)
        self.stranger_client = client_of(self.stranger)
        self.agent = client_with(self.world.agent_secret)
        self.strangers: dict[str, tuple[Client, set[int]]] = {
            "nobody": (Client(), {401}),
            "a made-up token": (client_with("aq_" + "x" * 43), {401}),
            "an expired token": (client_with(expired_secret), {401}),
            "a revoked token": (client_with(revoked_secret), {401}),
            "a disabled user's session": (disabled_client, {401}),
            "a disabled user's token": (disabled_token, {401}),
            "an agent": (self.agent, {401}),
            "a removed member": (client_of(former), {403}),
        }

    def _token(self, user: User | None = None) -> tuple[AccessToken, str]:
        owner = user or self.admin
        return tokens.create(by=owner, user=owner, name="t", scopes=["*"], days=30)


@pytest.fixture(scope="module")
def cast(django_db_setup: None, django_db_blocker: Any) -> Iterator[Cast]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield Cast()
        transaction.set_rollback(True)


def refused(operation: Operation, world: World, callers: dict[str, tuple[Client, set[int]]]) -> None:
    """All of them are refused in the one form, and nothing changes."""
    operation.body(world)  # some bodies need a row, which is there from now on
    before = digest_of_database()
    for who, (client, allowed) in callers.items():
        answer = operation.send(client, world)
        case = f"{operation.id} by {who}: {answer.status_code} {answer.getvalue()[:300]!r}"
        assert answer.status_code in allowed, case
        assert answer.headers["Content-Type"] == "application/problem+json", case
        problem = answer.json()
        assert problem["status"] == answer.status_code, case
        assert set(problem) == {"type", "title", "status", "detail", "instance", "code", "errors"}, case
        assert (answer.status_code == 401) == ("WWW-Authenticate" in answer.headers), case
    changed = {table for table, sum_ in digest_of_database().items() if before[table] != sum_}
    assert not changed, f"{operation.id} was refused to {', '.join(callers)}, and changed {changed}"


# -- it can be carried out at all: what follows is refused for who asks, not for what is asked ---------


@named(OPERATIONS)
def test_whoever_may_succeeds(operation: Operation, cast: Cast) -> None:
    client = cast.admin_client
    if operation.id in AGENTS:
        client = cast.agent
    elif operation.id in OPEN:
        client = Client()
    elif operation.noun == "tokens":
        client = cast.owner_client
    if operation.id == "tenants_reinstate":
        tenants.suspend(by=SYSTEM, tenant=Tenant.objects.get(pk=cast.world.tenant.pk))
    elif operation.id in {"nodes_undrain", "clusters_resume"}:
        verb = {"nodes_undrain": "drain", "clusters_resume": "pause"}[operation.id]
        assert client.post(operation.address(cast.world).rsplit("/", 1)[0] + f"/{verb}").status_code == 202
    before = digest_of_database()
    # What is done in place is done at the site, where the world's work is not.
    site = {"fake": MACHINE_PATH} if operation.noun == "allocations" else {}
    with override_settings(FEDERATION_DRIVERS={**settings.FEDERATION_DRIVERS, **site}):
        answer = operation.send(client, cast.world)
    assert 200 <= answer.status_code < 300, f"{answer.status_code} {answer.getvalue()[:500]!r}"
    # The draft is there, a try or a what-if keeps nothing, and none of the work allows to be moved.
    leaves_no_trace = {
        "session_delete", "invoices_draft", "clusters_check_connection", "pools_simulate",
        "pools_defragmentation", "pools_apply_defragmentation", "workloads_preview", "estimates_create",
    }  # fmt: skip
    if operation.method != "GET" and operation.id not in leaves_no_trace:
        assert digest_of_database() != before, "it says it did, and did nothing"


def test_every_address_is_in_the_document() -> None:
    """So that the document is the whole list. `schema` and `docs` are the document itself."""

    def under(patterns: Any, prefix: str = "") -> Iterator[str]:
        for pattern in patterns:
            here = prefix + str(pattern.pattern)
            yield from under(pattern.url_patterns, here) if hasattr(pattern, "url_patterns") else [here]

    found = {
        address.replace("^", "")
        .replace("$", "")
        .replace(r"\Z", "")
        .replace(r"(?P<pk>[/.]+)", "{id}")
        .replace("\\", "")
        .replace("<str:id>", "{id}")
        for address in under(get_resolver().url_patterns)
        if address.startswith("api/v1/")
    }
    known = {operation.path.removeprefix("/") for operation in OPERATIONS}
    assert found - known == {"api/v1/schema", "api/v1/docs"}
    assert known - found == set()


def test_the_open_operations_are_these_three() -> None:
    assert {"session_post", "session_one_time_post", "agent_enrol_post", "agent_manifest_get"} == OPEN
    assert {operation.id for operation in OPERATIONS} >= OPEN | AGENTS | OWN


@pytest.mark.parametrize("address", ["", "nothing", "workloads/", "tenants/1/2/3"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_address_that_is_none_is_a_problem(address: str, method: str) -> None:
    answer = Client(enforce_csrf_checks=True).generic(method, PREFIX + address)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


# -- refused -------------------------------------------------------------------------------------------


@named(PEOPLES)
def test_who_is_nobody_here_is_refused(operation: Operation, cast: Cast) -> None:
    refused(operation, cast.world, cast.strangers)


@named(PEOPLES)
def test_a_token_without_the_scope_is_refused(operation: Operation, cast: Cast) -> None:
    """A platform admin's token that has every permission but the operation's own."""
    name = permission_of(operation)
    AccessToken.objects.filter(pk=cast.narrow.pk).update(scopes=[other for other in TABLE if other != name])
    refused(operation, cast.world, {f"a token without {name}": (cast.narrow_client, {403})})


def permission_of(operation: Operation) -> str:
    """The permission that the operation's view declares."""
    found = get_resolver().resolve(operation.path.replace("{id}", "0"))
    func: Any = found.func
    actions = getattr(func, "actions", None)
    view = getattr(func, "cls", None) or func.view_class
    action = actions[operation.method.lower()] if actions else operation.method.lower()
    name: str = view.permissions[action]
    assert name in TABLE, f"{operation.id} needs {name}, which no role has"
    return name


@named([operation for operation in PEOPLES if operation.id not in OWN])
def test_another_tenants_owner_is_refused_or_sees_nothing(operation: Operation, cast: Cast) -> None:
    if operation.noun in CATALOGUE and operation.method == "GET":
        assert operation.send(cast.stranger_client, cast.world).status_code == 200
        return
    if not operation.is_list:
        refused(operation, cast.world, {"another tenant's owner": (cast.stranger_client, {403, 404})})
        return
    answer = operation.send(cast.stranger_client, cast.world)
    text = text_of(answer)
    assert answer.status_code in {200, 403}, text
    assert [pk for pk in cast.world.ids if pk in text] == []


@named([operation for operation in PEOPLES if operation.id not in OWN and "{id}" in operation.path])
def test_what_another_tenant_has_looks_like_what_does_not_exist(operation: Operation, cast: Cast) -> None:
    """The same answer, to the letter, for a foreign id and for one that nobody has."""
    if operation.noun in CATALOGUE:
        pytest.skip("Everybody may see these.")
    theirs = str(operation.thing(cast.world).pk)
    nobodys = "99999999" if theirs.isdigit() else "01920000-0000-7000-8000-000000000000"
    one = operation.send(cast.stranger_client, cast.world)
    other = cast.stranger_client.generic_json(
        operation.method, operation.path.replace("{id}", nobodys), operation.body(cast.world), headers={"If-Match": "1"}
    )
    assert one.status_code == other.status_code
    assert one.content.decode().replace(theirs, nobodys) == other.content.decode()


@named(PEOPLES)
def test_the_owner_of_a_suspended_tenant_is_refused(operation: Operation, cast: Cast) -> None:
    tenants.suspend(by=SYSTEM, tenant=Tenant.objects.get(pk=cast.world.tenant.pk))
    token = client_with(cast.world.token_secret)
    refused(operation, cast.world, {"the owner": (cast.owner_client, {403}), "the owner's token": (token, {403})})


@named([o for o in PEOPLES if o.method != "GET" and o.id not in OWN and o.noun != "tokens"])
def test_who_is_an_owner_elsewhere_and_a_viewer_here_changes_nothing_here(operation: Operation, cast: Cast) -> None:
    """The permission is held, and the thing can be seen; but not the one where the other is."""
    viewers = {
        "a tenant's viewer": (client_of(cast.both), {403, 404}),
        "a viewer of everything": (client_of(cast.watcher), {403, 404} if operation.noun in UNSEEN else {403}),
    }
    refused(operation, cast.world, viewers)


@named([operation for operation in PEOPLES if operation.method != "GET"])
def test_a_change_by_cookie_alone_is_refused(operation: Operation, cast: Cast) -> None:
    """Another site can make a browser send its cookie, and not the token that our own page knows."""
    client = Client(enforce_csrf_checks=True)
    client.cookies = cast.owner_client.cookies if operation.noun == "tokens" else cast.admin_client.cookies
    refused(operation, cast.world, {"another site's page": (client, {403})})
    assert operation.send(client, cast.world).json()["code"] == "csrf-failed"


@named([operation for operation in OPERATIONS if operation.id in AGENTS])
def test_the_agents_operations_refuse_everybody_else(operation: Operation, cast: Cast) -> None:
    people = {who: client for who, (client, _) in cast.strangers.items() if who != "an agent"}
    people |= {
        "an admin's session": cast.admin_client,
        "an owner's token": client_with(cast.world.token_secret),
        "an admin's token": cast.narrow_client,
        "a join token": client_with(cast.world.join_secret),
    }
    refused(operation, cast.world, {who: (client, {401}) for who, client in people.items()})


@named([operation for operation in OPERATIONS if operation.id in OPEN and operation.takes_body])
def test_the_open_operations_refuse_a_wrong_secret(operation: Operation, cast: Cast) -> None:
    body: dict[str, Any] = operation.body(cast.world) or {}
    secret = next(name for name in ("password", "token", "join_token") if name in body)
    answer = Client().generic_json("POST", operation.path, {**body, secret: body[secret] + "x"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")
    assert PASSWORD not in answer.content.decode()
    garbage = client_with("aq_nonsense").generic_json("POST", operation.path, body)
    assert garbage.status_code == (201 if operation.id == "agent_enrol_post" else 401)


@pytest.mark.parametrize("address", ["schema", "docs"])
def test_the_document_is_for_who_is_signed_in(cast: Cast, address: str) -> None:
    for who, (client, allowed) in cast.strangers.items():
        answer = client.get(PREFIX + address)
        assert answer.status_code in allowed | {401}, who
        assert answer.headers["Content-Type"] == "application/problem+json", who
        assert answer.json()["status"] == answer.status_code, who
    for method in ("POST", "DELETE"):
        assert Client(enforce_csrf_checks=True).generic(method, PREFIX + address).json()["status"] in {401, 403}
    assert cast.stranger_client.get(PREFIX + address).status_code == 200
    assert client_with(cast.world.token_secret).get(PREFIX + address).status_code == 200
