"""A create with a key: the thing, its answer and the key's row are there together or not at all."""

from typing import Any

import pytest
from django.db import IntegrityError
from django.test import RequestFactory
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from portal.errors import Conflict, IdempotencyKeyReused, Invalid
from portal.http.idempotency import once
from portal.models import Department, IdempotencyRecord, Tenant, User
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return factories.user()


@pytest.fixture
def tenant() -> Tenant:
    return factories.tenant()


def ask(user: User, key: str = "k", body: str = "{}", path: str = "/x") -> Request:
    headers = {"Idempotency-Key": key} if key else {}
    request = Request(
        RequestFactory().post(path, body, content_type="application/json", headers=headers), parsers=[JSONParser()]
    )
    request.user = user
    return request


class Create:
    """Makes a department, and counts how often it is asked to."""

    def __init__(self, tenant: Tenant, error: Exception | None = None) -> None:
        self.tenant, self.error, self.calls = tenant, error, 0

    def __call__(self) -> Response:
        self.calls += 1
        Department.objects.create(tenant=self.tenant, slug=f"d{self.calls}", name="D")
        if self.error:
            raise self.error
        return Response({"call": self.calls, "at": self.tenant.created_at}, status=201)


def test_the_second_answer_is_the_first(user: User, tenant: Tenant) -> None:
    create = Create(tenant)
    first, second = once(ask(user), create), once(ask(user), create)
    assert (create.calls, Department.objects.count(), IdempotencyRecord.objects.count()) == (1, 1, 1)
    assert (second.status_code, second.data["call"], second.headers["Idempotency-Replayed"]) == (201, 1, "true")
    assert first.data["call"] == 1


@pytest.mark.parametrize("error", [Conflict(), RuntimeError("bug"), MemoryError()])
def test_what_failed_leaves_neither_thing_nor_key(user: User, tenant: Tenant, error: Exception) -> None:
    create = Create(tenant, error)
    with pytest.raises(type(error)):
        once(ask(user), create)
    assert (Department.objects.count(), IdempotencyRecord.objects.count()) == (0, 0)
    create.error = None
    assert once(ask(user), create).data["call"] == 2


def test_without_a_key_a_failure_is_undone_as_well(user: User, tenant: Tenant) -> None:
    with pytest.raises(Conflict):
        once(ask(user, key=""), Create(tenant, Conflict()))
    assert not Department.objects.exists()
    create = Create(tenant)
    once(ask(user, key=""), create)
    once(ask(user, key=""), create)
    assert (create.calls, IdempotencyRecord.objects.count()) == (2, 0)


def test_a_clash_inside_is_a_clash_and_no_repeat(user: User, tenant: Tenant) -> None:
    def clash() -> Response:
        for _ in range(2):
            Department.objects.create(tenant=tenant, slug="same", name="D")
        return Response({})

    with pytest.raises(IntegrityError, match="department_slug_in_tenant"):
        once(ask(user), clash)
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.parametrize("other", [{"body": '{"a": 1}'}, {"path": "/y"}])
def test_a_key_is_of_one_request(user: User, tenant: Tenant, other: dict[str, Any]) -> None:
    create = Create(tenant)
    once(ask(user), create)
    with pytest.raises(IdempotencyKeyReused):
        once(ask(user, **other), create)
    assert create.calls == 1


def test_the_order_of_a_bodys_fields_is_no_difference(user: User, tenant: Tenant) -> None:
    create = Create(tenant)
    once(ask(user, body='{"a": 1, "b": [1, 2]}'), create)
    once(ask(user, body='{"b": [1, 2],   "a": 1}'), create)
    assert create.calls == 1
    with pytest.raises(IdempotencyKeyReused):
        once(ask(user, body='{"b": [2, 1], "a": 1}'), create)


def test_a_key_is_of_one_caller(user: User, tenant: Tenant) -> None:
    create = Create(tenant)
    once(ask(user), create)
    once(ask(factories.user()), create)
    assert create.calls == 2


@pytest.mark.parametrize("key", ["x" * 201, "a\x00b", "a\u2028b"])
def test_a_key_is_short_and_printable(user: User, tenant: Tenant, key: str) -> None:
    request = ask(user, key="")
    request.META["HTTP_IDEMPOTENCY_KEY"] = key
    with pytest.raises(Invalid):
        once(request, Create(tenant))
