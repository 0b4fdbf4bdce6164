"""Nothing of one tenant ever reaches another: by no list, filter, export, map, overview or live event.

Every text of tenant A carries a canary. Everything that can be read is read as people of tenant B.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models, transaction

from federation.models import Accelerator, Allocation
from portal import streams, tasks
from portal.models import Quota
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client, client_of, program_of
from tests.api.operations import AGENTS, CATALOGUE, OPERATIONS, Operation, document
from tests.api.world import World
from tests.billing.rows import at
from tests.paper import text_of

pytestmark = pytest.mark.django_db
CANARY = "canary"
NOBODYS = "01920000-0000-7000-8000-000000000000"
READS = [operation for operation in OPERATIONS if operation.method == "GET" and operation.id not in AGENTS]
LISTS = [operation for operation in READS if "{id}" not in operation.path]
DETAILS = [operation for operation in READS if "{id}" in operation.path]

# Names that everybody may know: what can be asked for.
_COMMON = {"ResourceFlavor", "AcceleratorModel", "Pool", "PriceBook"}
# Texts that the product itself reads: words of its own, secrets, rules of the database.
_WORDS = {
    "digest",
    "password",
    "currency",
    "unit",
    "driver",
    "prefix",
    "scopes",
    "from_state",
    "to_state",
    "topic",
    "label",
    "period",
}


def mark_every_text() -> int:
    """Write the canary into every free text of every row there is. How many columns that were."""
    written = 0
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # past the triggers: history is fixed
        for model in apps.get_models():
            if model._meta.app_label not in {"portal", "federation", "billing"} or model.__name__ in _COMMON:
                continue
            for field in model._meta.concrete_fields:
                value = _canary_for(field)
                if value:
                    table, column = model._meta.db_table, field.column
                    cursor.execute(f'UPDATE {table} SET "{column}" = {value} WHERE "{column}" IS NOT NULL')  # noqa: S608
                    written += 1
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    return written


def _canary_for(field: Any) -> str:
    """SQL for a text with the canary that is unlike any other; '' for what is no free text."""
    if field.name in _WORDS or field.choices or field.primary_key:
        return ""
    text = f"'{CANARY}-' || substr(md5(random()::text), 1, 8)"
    if isinstance(field, ArrayField) and isinstance(field.base_field, models.CharField):
        return f"ARRAY[{text}]"
    if field.name == "volumes":  # read by its shape
        shape = '"kind": "claim", "size_mib": 0, "is_read_only": false'
        return f"""'[{{"path": "/{CANARY}", "source": "{CANARY}", {shape}}}]'::jsonb"""
    if field.name == "machines":  # likewise
        shape = f'"name": "{CANARY}", "server": "{CANARY}", "system": "{CANARY}", "fingerprint": "{CANARY}"'
        return f"""'[{{{shape}}}]'::jsonb"""
    if field.name == "files":  # likewise
        return f"""'[{{"name": "{CANARY}", "rows": 1, "bytes": 1, "sha256": "{CANARY}"}}]'::jsonb"""
    if field.name == "decision":  # likewise
        return f"""'{{"outcome": "refused", "message": "{CANARY}"}}'::jsonb"""
    if isinstance(field, models.JSONField):
        return f"""'{{"k": "{CANARY}", "{CANARY}": []}}'::jsonb"""
    return text if isinstance(field, models.CharField | models.TextField) else ""


class Two:
    """Tenant A, marked, and tenant B, with the same things in plain names."""

    def __init__(self) -> None:
        self.a = World()
        self.columns = mark_every_text()
        self.b = World()
        b = self.b
        people = {
            "owner": b.owner,
            "finance": factories.user(Role.TENANT_FINANCE, b.tenant),
            "member": factories.user(Role.TENANT_MEMBER, b.tenant),
            "viewer": factories.user(Role.TENANT_VIEWER, b.tenant),
            "project member": b.member,
            "project viewer": factories.user(Role.PROJECT_VIEWER, b.tenant, b.estate.project),
        }
        self.people: dict[str, Client] = {who: client_of(user) for who, user in people.items()}
        self.people["program"] = program_of(b.owner, tenant=b.tenant)
        self.admin = client_of(factories.user())


@pytest.fixture(scope="module")
def two(django_db_setup: None, django_db_blocker: Any) -> Iterator[Two]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield Two()
        transaction.set_rollback(True)


def named(operations: list[Operation]) -> Any:
    return pytest.mark.parametrize("operation", operations, ids=[operation.id for operation in operations])


def read(client: Client, address: str, **query: Any) -> str:
    answer = client.get(address, query)
    assert answer.status_code in {200, 403, 404, 422}, f"{address} {query}: {answer.status_code} {answer.getvalue()!r}"
    return f"{answer.status_code} {text_of(answer)}"


# -- the canary sings where it should -------------------------------------------------------------------


def test_the_platforms_people_see_the_marks_nearly_everywhere(two: Two) -> None:
    """Otherwise the rest of this file would prove nothing."""
    assert two.columns > 60
    seen = {o.id for o in READS if CANARY in read(two.admin, o.address(two.a), limit="200")}
    catalogue = {o.id for o in READS if o.noun in CATALOGUE}
    without_text = {
        "accelerators_summary", "join_tokens_list", "join_tokens_retrieve", "workloads_counts", "workloads_logs",
        "workloads_events", "agent_manifest_get", "accelerators_layout", "images_places", "price_books_list",
        "price_books_retrieve", "billing_terms_list", "billing_terms_retrieve", "exports_file", "commitments_hours",
        "costs_loans",
        "months_retrieve",  # closing the other world's month took its words
    }  # fmt: skip
    own = {"session_get", "tokens_list", "tokens_retrieve"}
    of_this_month = {"costs_forecast"}  # which may be another than that of the world
    assert {o.id for o in READS} - seen - of_this_month == catalogue | without_text | own


# -- lists ------------------------------------------------------------------------------------------------


@named(LISTS)
def test_no_list_shows_another_tenants_things(operation: Operation, two: Two) -> None:
    for who, client in two.people.items():
        text = read(client, operation.path, limit="200")
        assert CANARY not in text, who
        assert [pk for pk in two.a.ids if pk in text] == [], who


@named(DETAILS)
def test_what_hangs_on_an_own_thing_shows_nothing_of_others(operation: Operation, two: Two) -> None:
    for who, client in two.people.items():
        mine = read(client, operation.address(two.b))
        assert CANARY not in mine, who
        theirs = read(client, operation.address(two.a))
        assert operation.noun in CATALOGUE or theirs[:3] in {"403", "404"}, who
        assert CANARY not in theirs, who


def _filters() -> list[tuple[str, str, str]]:
    """(operation, parameter, a value of tenant A or of no meaning) for every query parameter there is."""
    found = []
    for path, methods in document()["paths"].items():
        for parameter in methods.get("get", {}).get("parameters", []):
            if parameter["in"] != "query" or parameter["name"] in {"cursor", "limit"}:
                continue
            schema = parameter["schema"]
            if schema.get("format") == "uuid":
                found.append((path, parameter["name"], "uuid"))
            elif schema["type"] == "string" and "enum" not in schema:
                found.append((path, parameter["name"], "text"))
    return found


def _value(two: Two, path: str, name: str) -> str:
    """An id of tenant A's that this parameter is about."""
    nouns = {f"{noun.rstrip('s')}_id": noun for noun in two.a.things} | {n.rstrip("s"): n for n in two.a.things}
    thing = two.a.things.get(nouns.get(name, ""), two.a.owner)
    return str(thing.pk)


@pytest.mark.parametrize(("path", "name", "kind"), _filters(), ids=lambda value: str(value).removeprefix("/api/v1/"))
def test_no_filter_reaches_another_tenant(path: str, name: str, kind: str, two: Two) -> None:
    """A foreign id in a filter says as little as one that nobody has, and a foreign name as little as nonsense."""
    client = two.people["owner"]
    address = path.replace("{id}", str(two.b.things["workloads"].pk))
    theirs, nothing = (_value(two, path, name), NOBODYS) if kind == "uuid" else (CANARY, "no such name")
    found = read(client, address, **{name: theirs})
    assert found.replace(theirs, nothing) == read(client, address, **{name: nothing})
    assert CANARY not in found.replace(theirs, "")


@named([operation for operation in LISTS if operation.noun not in {"session", "overview"}])
def test_queries_that_nobody_offers_change_nothing(operation: Operation, two: Two) -> None:
    client = two.people["owner"]
    plain = read(client, operation.path)
    for query in (
        {"ordering": "user__password"},
        {"ordering": "-tenant__name"},
        {"search": CANARY},
        {"tenant__name__icontains": CANARY},
        {"tenant_id__in": str(two.a.tenant.pk)},
        {"user__password__startswith": "md5"},
        {"fields": "*"},
        {"format": "api"},
        {"user": str(two.a.owner.pk)} if operation.id == "tokens_list" else {"expand": "tenant"},
    ):
        assert read(client, operation.path, **query) == plain, query


# -- on the same hardware ---------------------------------------------------------------------------------


def test_two_on_one_device_do_not_see_each_other(two: Two) -> None:
    """B holds what is left of a device of which A holds a part: B sees the device, and not who else is there."""
    mine = two.b.estate
    mine.cluster, mine.node, mine.flavor = two.a.estate.cluster, two.a.estate.node, two.a.estate.flavor
    mine.devices = two.a.estate.devices
    Quota.objects.create(tenant=two.b.tenant, flavor=mine.flavor, nominal_milli=10_000)
    theirs = two.a.estate.running(at(0), at(30), milli=300, device=2)
    held = mine.running(at(0), at(30), milli=500, device=2)
    device = str(Accelerator.objects.get(pk=mine.devices[2].pk).pk)
    for who, client in two.people.items():
        shown = client.get(f"/api/v1/accelerators/{device}")
        if who.startswith("project"):
            assert shown.status_code == 404, "people of one project see what their project holds, not devices"
            continue
        assert [(holder["workload"], holder["milli"]) for holder in shown.json()["holders"]] == [
            (str(held.workload_id), 500)
        ]
        for operation in LISTS:
            text = read(client, operation.path, limit="200")
            assert str(theirs.pk) not in text, operation.id
            assert str(theirs.workload_id) not in text, operation.id
            assert str(two.a.tenant.pk) not in text, operation.id
    assert Allocation.objects.filter(node=mine.node).count() > 1


# -- live events --------------------------------------------------------------------------------------------


def test_live_events_of_a_tenant_go_to_it_and_to_the_platform(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    frames: list[tuple[str, str]] = []
    monkeypatch.setattr(streams, "send", lambda stream, message: frames.append((stream, str(message))))
    while tasks.deliver_batch():
        pass
    by_stream: dict[str, str] = {}
    for stream, message in frames:
        by_stream[stream] = by_stream.get(stream, "") + message
    a, b = str(two.a.tenant.pk), str(two.b.tenant.pk)
    assert str(two.a.things["allocations"].pk) in by_stream[a]
    assert str(two.a.things["allocations"].pk) in by_stream[streams.PLATFORM]
    assert [pk for pk in two.a.ids if pk in by_stream[b]] == []
    assert [pk for pk in two.b.ids if pk in by_stream[a]] == []
    assert CANARY not in "".join(by_stream.values())


# -- ids in bodies --------------------------------------------------------------------------------------------


def _bodies(w: World) -> dict[str, tuple[str, dict[str, Any]]]:
    tenant = {"tenant": str(w.tenant.pk)}
    return {
        "workloads": ("project", {"project": str(w.estate.project.pk), "pool": str(w.estate.pool.pk), "name": "n"}),
        "departments": ("tenant", {**tenant, "slug": "d", "name": "D"}),
        "projects": ("tenant", {**tenant, "slug": "p", "name": "P"}),
        "projects of a department": (
            "department",
            {**tenant, "slug": "q", "name": "P", "department": str(w.things["departments"].pk)},
        ),
        "users": ("tenant", {**tenant, "username": "newcomer", "role": "tenant-member"}),
        "memberships": ("tenant", {**tenant, "user": str(w.member.pk), "role": "tenant-viewer"}),
        "memberships of a user": ("user", {**tenant, "user": str(w.member.pk), "role": "tenant-finance"}),
        "memberships in a project": (
            "project",
            {**tenant, "user": str(w.member.pk), "project": str(w.things["projects"].pk), "role": "project-viewer"},
        ),
        "tokens": ("tenant", {**tenant, "name": "n", "scopes": ["*"], "days": 1}),
    }


_CASES = [
    "workloads",
    "departments",
    "projects",
    "projects of a department",
    "users",
    "memberships",
    "memberships of a user",
    "memberships in a project",
    "tokens",
]


@pytest.mark.parametrize("case", _CASES)
def test_an_id_of_another_tenant_in_a_body_is_one_that_does_not_exist(case: str, two: Two) -> None:
    assert _bodies(two.b).keys() == set(_CASES)
    client, address = two.people["owner"], f"/api/v1/{case.split(' ')[0]}"
    name, mine = _bodies(two.b)[case]
    theirs = client.post(address, {**mine, name: _bodies(two.a)[case][1][name]})
    nobodys = client.post(address, {**mine, name: NOBODYS})
    assert (theirs.status_code, nobodys.status_code) == (404, 404), theirs.json()
    assert theirs.json() == nobodys.json()
    assert client.post(address, mine).status_code == 201, "the same with an own id"


@pytest.mark.parametrize("name", ["tenant", "project", "flavor"])
def test_the_platforms_bodies_do_not_mix_tenants(name: str, two: Two) -> None:
    """Even who may see both cannot give one tenant's project a quota of the other's."""
    body = {"tenant": str(two.b.tenant.pk), "project": str(two.b.estate.project.pk), "nominal_milli": 1,
            "flavor": two.b.estate.flavor.name}  # fmt: skip
    assert two.admin.post("/api/v1/quotas", body).status_code == 201
    wrong = {"tenant": two.a.tenant.pk, "project": two.a.estate.project.pk, "flavor": "no-such-flavor"}[name]
    answer = two.admin.post("/api/v1/quotas", {**body, name: str(wrong)})
    assert answer.status_code == 422, answer.json()


# -- what a change may touch ------------------------------------------------------------------------------------


@named([operation for operation in OPERATIONS if operation.method == "PATCH"])
def test_a_change_touches_only_what_it_is_for(operation: Operation, two: Two) -> None:
    """Every column of the row is sent; only those that the document names may differ afterwards."""
    row = operation.thing(two.b)
    said = document()
    body = said["paths"][operation.path]["patch"]["requestBody"]["content"]["application/json"]["schema"]
    named_fields = set(said["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]]["properties"])
    before = type(row).objects.filter(pk=row.pk).values().get()
    odd = {column: _odd(value) for column, value in before.items() if column not in named_fields}
    valid = operation.body(two.b) or {}
    answer = two.admin.patch(operation.address(two.b), {**odd, **valid}, headers={"If-Match": f'"{before["version"]}"'})
    assert answer.status_code == 200, answer.json()
    after = type(row).objects.filter(pk=row.pk).values().get()
    changed = {column for column in before if before[column] != after[column]}
    assert changed - {"next_check_at"} == {*valid, "version"}, "a changed pool looks at its queue again"
    assert after["version"] == before["version"] + 1


def _odd(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 7 if isinstance(value, int) else str(NOBODYS)
