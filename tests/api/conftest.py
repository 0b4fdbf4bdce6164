"""The client of these tests: JSON in and out."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from rest_framework.test import APIClient

from federation.drivers.base import SiteInfo
from portal.actions import tokens
from portal.models import User
from portal.permissions import Role
from tests import factories, stub_driver


class Client(APIClient):
    default_format = "json"

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"raise_request_exception": False, **options})  # a 500 for browsers is one here

    def generic_json(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        data = "" if body is None else json.dumps(body)
        return self.generic(method, path, data, content_type="application/json", **more)


SignIn = Callable[..., Client]


@pytest.fixture(scope="module", autouse=True)
def no_real_kubernetes() -> Iterator[None]:
    """Clusters that are asked directly are asked by a stub."""
    with override_settings(FEDERATION_DRIVERS={**settings.FEDERATION_DRIVERS, "kubernetes": stub_driver.PATH}):
        yield


def client_of(user: User) -> Client:
    """A browser with this user's session."""
    client = Client()
    client.force_login(user)
    return client


def client_with(secret: str) -> Client:
    """A program with a token."""
    client = Client()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def program_of(user: User, *, scopes: tuple[str, ...] = ("*",), **facts: Any) -> Client:
    _, secret = tokens.create(by=user, user=user, name="test", scopes=list(scopes), days=1, **facts)
    return client_with(secret)


@pytest.fixture
def sign_in() -> SignIn:
    """A browser in which a new user of this role is signed in."""

    def sign(role: Role = Role.PLATFORM_ADMIN, *place: Any) -> Client:
        return client_of(factories.user(role, *place))

    return sign


@pytest.fixture
def operator(sign_in: SignIn) -> Client:
    return sign_in(Role.PLATFORM_OPERATOR)


@pytest.fixture
def cluster_body(operator: Client) -> dict[str, Any]:
    """What adds a cluster that is asked directly, but for how it is connected; its site is there."""
    site = operator.post("/api/v1/sites", {"slug": "north", "name": "North"}).json()["id"]
    return {"site": site, "slug": "main", "name": "Main", "kind": "kubernetes", "driver": "kubernetes"}


@pytest.fixture
def fresh_stub() -> Iterator[None]:
    """The stubs in the place of the driver have been given nothing yet, and answer that all is well."""
    _forget()
    yield
    _forget()


def _forget() -> None:
    """What is kept with a class outlives the test that set it, and tests run in any order."""
    stub_driver.StubDriver.made.clear()
    stub_driver.StubDriver.answer = SiteInfo("v1.34.2")
    stub_driver.MachineDriver.told.clear()
    stub_driver.MachineDriver.trouble = None
