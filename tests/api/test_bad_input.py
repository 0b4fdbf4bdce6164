"""Whatever is sent, the answer is a refusal in plain words: a problem that names the field, and never a 5xx.

The bad values are made from the OpenAPI document, field by field, so a new field is tried as well.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg_pool import PoolTimeout

from portal import permissions
from tests import factories
from tests.api.conftest import Client, client_of, client_with
from tests.api.operations import AGENTS, OPEN, OPERATIONS, Operation, document
from tests.api.world import World, digest_of_database

pytestmark = pytest.mark.django_db
TAKES = [operation for operation in OPERATIONS if operation.takes_body]
LISTS = [operation for operation in OPERATIONS if operation.method == "GET" and "{id}" not in operation.path]
SAID = document()
NUL, HALF = "a\x00b", "a\ud800b"  # half a surrogate pair is no character


class Stage:
    def __init__(self) -> None:
        self.world = World()
        self.admin = client_of(factories.user())
        self.owner = client_of(self.world.owner)

    def client(self, operation: Operation) -> Client:
        """Somebody who may."""
        if operation.id in OPEN:
            return Client()
        if operation.id in AGENTS:
            return client_with(self.world.agent_secret)
        return self.owner if operation.noun == "tokens" else self.admin


@pytest.fixture(scope="module")
def stage(django_db_setup: None, django_db_blocker: Any) -> Iterator[Stage]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield Stage()
        transaction.set_rollback(True)


def named(operations: list[Operation]) -> Any:
    return pytest.mark.parametrize("operation", operations, ids=[operation.id for operation in operations])


def is_refusal(answer: Any, case: str) -> dict[str, Any]:
    assert 400 <= answer.status_code < 500, f"{case}: {answer.status_code} {answer.getvalue()[:300]!r}"
    assert answer.headers["Content-Type"] == "application/problem+json", case
    problem: dict[str, Any] = answer.json()
    assert problem["title"], case
    assert "Traceback" not in str(problem), case
    return problem


# -- fields -------------------------------------------------------------------------------------------------


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = SAID["paths"][operation.path][operation.method.lower()].get("parameters", [])
    return found


def schema_of(operation: Operation) -> dict[str, Any]:
    said = SAID["paths"][operation.path][operation.method.lower()]["requestBody"]
    return resolved(said["content"]["application/json"]["schema"])


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without references and without the wrappers of the generator."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return {**resolved(SAID["components"]["schemas"][name]), "nullable": schema.get("nullable", False)}
    for wrapper in ("allOf", "oneOf"):
        if wrapper in schema:
            found, *others = map(resolved, schema[wrapper])
            if "enum" in found:
                found = {**found, "enum": [value for one in (found, *others) for value in one["enum"]]}
            return {**found, "nullable": schema.get("nullable", False)}
    return schema


def bad_values(schema: dict[str, Any]) -> list[Any]:
    """What this field must refuse."""
    schema = resolved(schema)
    found: list[Any] = [] if schema.get("nullable") else [None]
    match schema.get("type"):
        case "string":
            found += [True] if schema.get("format") != "uuid" else []
            found += [[], {}, ["a"], {"a": 1}, NUL, HALF, "x" * 400_000]
            if "enum" in schema:
                found += [value for value in ("no-such", "", 7) if value not in schema["enum"]]
            elif schema.get("format") == "uuid":
                found += ["xyz", "", 1.5, "1" * 33]
            elif schema.get("format") == "decimal":
                found += ["NaN", "Infinity", "abc", "1e30", "9" * 60]
            elif schema.get("format") == "date-time":
                found += ["yesterday", "2026-13-01T00:00:00Z", "", "99999-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"]
            elif "pattern" in schema:
                found += ["", " ", "-", "a b", "-ab", "../x", "字", "<b>", "a\nb", "a" * 200]
            elif schema.get("minLength"):
                found += [""]
        case "integer":
            found += ["abc", 1.5, True, [], {}, "NaN", "Infinity", "", 10**30, -(10**30), "1" * 2000]
            found += [schema["minimum"] - 1] if "minimum" in schema else []
            found += [schema["maximum"] + 1] if "maximum" in schema else []
        case "number":
            found += ["abc", [], {}, "NaN", "nan", "Infinity", "-inf", "", "1" * 2000]
        case "boolean":
            found += ["maybe", [], {}, 7, ""]
        case "array":
            inner = bad_values(schema["items"])
            found += ["text", {}, 7, True, *([value] for value in inner), ["x"] * 100_000]
        case "object" if "properties" in schema:
            found += ["text", [], 7, *([{}] if schema.get("required") else [])]
        case "object":
            found += ["text", [], 7, {NUL: "x"}, {"k": NUL}, {HALF: "x"}, {"k": HALF}]
    return found


def bad_bodies(schema: dict[str, Any], good: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(pointer, bad value, body with it) for every field, and for those of objects and lists inside."""
    for name, field in resolved(schema)["properties"].items():
        for value in bad_values(field):
            yield f"/{name}", value, {**good, name: value}
        inner = resolved(field)
        if inner.get("type") == "array" and "properties" in resolved(inner["items"]) and good.get(name):
            for pointer, value, body in bad_bodies(inner["items"], good[name][0]):
                yield f"/{name}/0{pointer}", value, {**good, name: [body]}
        elif "properties" in inner and good.get(name):
            for pointer, value, body in bad_bodies(inner, good[name]):
                yield f"/{name}{pointer}", value, {**good, name: body}


def short(value: Any) -> str:
    return f"{value!r:.60}"


@named(TAKES)
def test_every_bad_value_of_every_field_is_refused_and_named(operation: Operation, stage: Stage) -> None:
    client, good = stage.client(operation), operation.body(stage.world) or {}
    before, wrong = digest_of_database(), []
    for pointer, value, body in bad_bodies(schema_of(operation), good):
        answer = operation.send(client, stage.world, body)
        case = f"{operation.id} {pointer}={value!r:.60}"
        if not 400 <= answer.status_code < 500:
            wrong.append(f"{case}: {answer.status_code} {answer.getvalue()[:200]!r}")
            continue
        problem = is_refusal(answer, case)
        pointers = [error["pointer"] for error in problem["errors"]]
        if answer.status_code == 400:
            wrong.append(f"{case}: a 400, which is for what is no JSON: {problem['detail'][:100]}")
        if answer.status_code == 422 and not (pointers and all(said.startswith(pointer) for said in pointers)):
            wrong.append(f"{case}: points at {pointers}: {problem['detail'][:100]}")
    assert not wrong, "\n".join(wrong)
    changed = {table for table, sum_ in digest_of_database().items() if before[table] != sum_}
    assert changed <= ({"portal_loginfailures"} if operation.id == "session_post" else set())


@named(TAKES)
def test_what_has_to_be_said_is_missed(operation: Operation, stage: Stage) -> None:
    client, good = stage.client(operation), operation.body(stage.world) or {}
    before = digest_of_database()
    for name in schema_of(operation).get("required", []):
        answer = operation.send(client, stage.world, {key: good[key] for key in good if key != name})
        problem = is_refusal(answer, name)
        assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(f"/{name}", "required")]
    assert digest_of_database() == before


# -- bodies that are none -----------------------------------------------------------------------------------

RAW = {
    "no JSON": b"{",
    "two values": b"{}{}",
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "another charset's mark": b"\xff\xfe{\x00}\x00",
    "not a number": b'{"name": NaN, "nominal_milli": NaN}',
    "infinity": b'{"name": Infinity}',
    "a control character": b'{"name": "a\x01b"}',
    "single quotes": b"{'name': 'x'}",
    "a list": b"[]",
    "a list of bodies": b'[{"name": "a"}]',
    "a text": b'"text"',
    "a number": b"7",
    "nothing": b"null",
    "true": b"true",
    "100,000 items": b"[" + b"1," * 100_000 + b"1]",
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep settings": b'{"settings":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    "an empty text": b"",
    "a huge number": b'{"seq": ' + b"9" * 5000 + b"}",
}


@named([operation for operation in TAKES if operation.method == "POST"])
def test_a_body_that_is_none_is_refused(operation: Operation, stage: Stage) -> None:
    client, address, before = stage.client(operation), operation.address(stage.world), digest_of_database()
    needed = schema_of(operation).get("required")
    for case, raw in RAW.items():
        if needed or case not in {"deep settings", "an empty text"}:
            is_refusal(client.post(address, raw, content_type="application/json"), f"{operation.id} {case}")
    assert digest_of_database() == before


@named([operation for operation in OPERATIONS if operation.method != "GET" and operation.takes_body])
def test_only_json_is_taken(operation: Operation, stage: Stage) -> None:
    """What a form on another site could send is not read at all."""
    client, text = stage.client(operation), json.dumps(operation.body(stage.world))
    headers = {"If-Match": f'"{operation.thing(stage.world).version}"'} if operation.method == "PATCH" else {}
    before = digest_of_database()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/xml", ""):
        answer = client.generic(
            operation.method, operation.address(stage.world), text, content_type=kind, headers=headers
        )
        assert (answer.status_code, is_refusal(answer, kind)["code"]) == (415, "unsupported-media-type"), kind
    assert digest_of_database() == before


# -- size and form of requests ------------------------------------------------------------------------------


def test_a_large_body_is_refused_before_it_is_read(stage: Stage) -> None:
    """1 MB for people, 5 MB for agents; and nothing packed."""
    for client, address, limit in (
        (stage.admin, "/api/v1/tenants", 1_000_000),
        (Client(), "/api/v1/session", 1_000_000),
        (client_with(stage.world.agent_secret), "/api/v1/agent/sync", 5_000_000),
    ):
        fits = client.post(address, b" " * limit, content_type="application/json")
        assert is_refusal(fits, address)["code"] == "malformed"
        answer = client.post(address, b" " * (limit + 1), content_type="application/json")
        assert (answer.status_code, is_refusal(answer, address)["code"]) == (413, "too-large")
    chunked = stage.admin.post("/api/v1/tenants", {}, HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH="")
    assert (chunked.status_code, is_refusal(chunked, "chunked")["code"]) == (411, "length-required")
    for packing in ("gzip", "br", "deflate", "identity, gzip"):
        answer = stage.admin.post("/api/v1/tenants", {}, headers={"Content-Encoding": packing})
        assert (answer.status_code, is_refusal(answer, packing)["code"]) == (415, "unsupported-media-type")


def test_a_length_that_is_no_number_is_refused(stage: Stage) -> None:
    for length in ("abc", "1e3", "0x10", "-5"):
        answer = stage.admin.generic("POST", "/api/v1/tenants", "{}", CONTENT_LENGTH=length)
        is_refusal(answer, length)


def test_a_wish_for_another_form_is_answered_in_json(stage: Stage) -> None:
    answer = stage.admin.get("/api/v1/tenants", headers={"Accept": "application/xml"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not-acceptable")
    method = stage.admin.generic("PUT", "/api/v1/tenants")
    assert (method.status_code, is_refusal(method, "PUT")["code"]) == (405, "method-not-allowed")
    assert stage.admin.generic("TRACE", "/api/v1/tenants").status_code == 405


# -- addresses and queries ------------------------------------------------------------------------------------

IDS = ["xyz", "0", "-1", "9" * 40, "%00", "%F0%9F%92%A9", "a" * 5000, "1e9", "..%2f..", "01920000-0000-7000-8000", "''",
       "{id}", "null", "01920000-0000-7000-8000-000000000000"]  # fmt: skip


@named([operation for operation in OPERATIONS if "{id}" in operation.path])
def test_an_id_that_is_none_is_not_found(operation: Operation, stage: Stage) -> None:
    client, before = stage.client(operation), digest_of_database()
    for wrong in IDS:
        answer = client.generic_json(
            operation.method,
            operation.path.replace("{id}", wrong),
            operation.body(stage.world),
            headers={"If-Match": '"1"'},
        )
        assert answer.status_code == 404, f"{wrong}: {answer.status_code} {answer.getvalue()[:300]!r}"
        assert answer.headers["Content-Type"] == "application/problem+json", wrong
    assert digest_of_database() == before


def _cursors() -> list[str]:
    positions = [
        "p=xyz",
        "p=",
        "p=" + "9" * 40,
        "p=%00",
        "o=99999999",
        "o=-1",
        "o=x",
        "r=1",
        "r=1&p=x",
        "p=\u0661",
        "x",
    ]
    packed = [base64.b64encode(position.encode()).decode() for position in positions]
    return [*packed, "abc", "====", "%00", "\x00", "🙂", "a" * 5000, base64.b64encode(b"p=\xff\xfe").decode()]


PAGED = [o for o in OPERATIONS if any(p["name"] == "cursor" for p in _parameters(o))]


@named(PAGED)
def test_a_cursor_that_is_none_is_no_fault_of_ours(operation: Operation, stage: Stage) -> None:
    client = stage.client(operation)
    for cursor in _cursors():
        answer = client.get(operation.address(stage.world), {"cursor": cursor})
        assert answer.status_code in {200, 404}, f"{cursor}: {answer.status_code} {answer.getvalue()[:300]!r}"
    for limit in ("0", "-1", "abc", "9" * 30, "201", "1.5", ""):
        answer = client.get(operation.address(stage.world), {"limit": limit})
        assert answer.status_code == 200, limit
        assert len(answer.json()["results"]) <= 200


@named([operation for operation in OPERATIONS if operation.method == "GET"])
def test_a_value_that_a_filter_cannot_have_is_refused(operation: Operation, stage: Stage) -> None:
    client, address = stage.client(operation), operation.address(stage.world)
    for parameter in _parameters(operation):
        name, schema = parameter["name"], resolved(parameter["schema"])
        if parameter["in"] != "query" or name in {"cursor", "limit"}:
            continue
        for value in _bad_queries(resolved(schema.get("items", schema)), parameter):
            answer = client.get(address, {name: value})
            problem = is_refusal(answer, f"{name}={value!r:.50}")
            assert answer.status_code == 422
            assert {error["pointer"] for error in problem["errors"]} == {f"/{name}"}
        answer = client.get(address, {name: "x" * 5000})
        assert answer.status_code in {200, 422}
    assert client.get(address, {"no_such_filter": "\x00"}).status_code == 200


def _bad_queries(schema: dict[str, Any], parameter: dict[str, Any]) -> list[str]:
    if "enum" in schema:
        return ["no-such", "\x00"]
    if schema.get("format") in {"uuid", "date-time"} or schema["type"] == "integer":
        return ["xyz", "\x00", "-1"]
    if schema["type"] == "boolean":
        return []  # what is neither yes nor no asks for neither
    return ["\x00"]


# -- the database is gone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, PoolTimeout])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/v1/workloads"), ("POST", "/api/v1/session"), ("POST", "/api/v1/agent/sync"), ("GET", "/readyz"),
     ("GET", "/api/v1/docs"), ("GET", "/api/v1/overview"), ("POST", "/api/v1/tenants")],
)  # fmt: skip
def test_without_a_database_it_says_so_and_when_to_come_back(
    error: type[Exception], method: str, path: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise error("connection to server at 10.1.2.3 failed: password of aquifer")

    client = client_with(stage.world.agent_secret if "agent" in path else stage.world.token_secret)
    monkeypatch.setattr(connection, "cursor", lost)
    answer = client.generic_json(method, path, {} if "session" not in path else {"username": "a", "password": "b"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "database-unavailable"
    for secret in ("10.1.2.3", "password", "Traceback", "OperationalError"):
        assert secret not in answer.content.decode()


def test_a_fault_of_ours_tells_nothing_of_the_inside(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("SELECT secret FROM portal_accesstoken at /srv/aquifer/portal")

    monkeypatch.setattr(permissions.Access, "scope", broken)
    for path in ("/api/v1/workloads", "/api/v1/docs", "/api/v1/overview"):
        answer = stage.admin.get(path)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "secret" not in answer.content.decode()
        assert "/srv" not in answer.content.decode()


# -- queries --------------------------------------------------------------------------------------------------------


@named(LISTS)
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(operation: Operation, stage: Stage) -> None:
    client = stage.client(operation)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(operation.path, {"limit": "200"}).status_code == 200
        return len(queries)

    count()  # what is read once per process
    few = count()
    World()
    World()
    assert count() == few
    assert few <= 25
