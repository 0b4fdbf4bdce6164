"""One API server is one cluster: two rows for it would take each other's work for left over."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from federation.models import ClusterCredential
from tests.api.conftest import Client
from tests.certificates import SERVER, token

pytestmark = pytest.mark.django_db
CLUSTERS = "/api/v1/clusters"


def test_a_server_is_connected_once_until_its_cluster_is_retired(operator: Client) -> None:
    site = operator.post("/api/v1/sites", {"slug": "north", "name": "North"}).json()["id"]

    def add(slug: str, server: str = SERVER) -> Any:
        connection = {"server": server, "token": token(slug)}
        body = {"site": site, "slug": slug, "name": slug.title(), "kind": "kubernetes", "driver": "kubernetes"}
        return operator.post(CLUSTERS, {**body, "connection": connection})

    first = add("first")
    assert first.status_code == 201
    address = f"{CLUSTERS}/{first.json()['id']}"
    twice = add("second")
    assert (twice.status_code, twice.json()["code"]) == (409, "conflict")
    assert twice.json()["detail"] == f"{SERVER} is connected already, as First. Retire that cluster first."
    assert operator.get(f"{CLUSTERS}?slug=second").json()["results"] == [], "nothing is left of it"

    elsewhere = add("third", "https://10.8.0.9:6443").json()["id"]
    moved = operator.post(f"{CLUSTERS}/{elsewhere}/connect", {"server": SERVER, "token": token("moved")})
    assert moved.status_code == 409
    again = operator.post(f"{address}/connect", {"server": SERVER, "token": token("again")})
    assert again.status_code == 202, "a new credential of the same cluster is no second one"

    assert operator.post(f"{address}/retire").status_code == 202
    assert add("fourth").status_code == 201


def test_the_database_holds_to_it_when_two_are_made_at_once(operator: Client) -> None:
    site = operator.post("/api/v1/sites", {"slug": "north", "name": "North"}).json()["id"]
    for slug, server in (("a", SERVER), ("b", "https://10.8.0.9:6443")):
        body = {"site": site, "slug": slug, "name": slug, "kind": "kubernetes", "driver": "kubernetes"}
        operator.post(CLUSTERS, {**body, "connection": {"server": server, "token": token(slug)}})
    with pytest.raises(IntegrityError, match="credential_server_once"), transaction.atomic():
        ClusterCredential.objects.update(server=SERVER)
