"""Hosts and what is inside of them, as the API tells of it: with names only to those who may know them."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from federation.models import Accelerator, Cluster, Node
from federation.reconcile import admission
from portal.models import Project
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client, client_of
from tests.federation.nested import Two, changed, guest, host, machine, node, seen, shows

pytestmark = pytest.mark.django_db
CANARY = "canary"


@pytest.fixture
def two() -> Two:
    """A host, and inside of it a node that hosts another."""
    two, middle = Two.of(), Two.of().outside
    Cluster.objects.filter(pk=two.outside.pk).update(name=f"{CANARY} cluster")
    two.outside.site.name = f"{CANARY} site"
    two.outside.site.save()
    shows(two.outside, host(f"{CANARY}-host", "middle"))
    shows(middle, host("middle", "guest"))
    shows(two.inside, guest(), seen("apart", cpu_milli=8000, memory_mib=1024))
    return two


@pytest.fixture
def admin() -> Client:
    return client_of(factories.user())


def rows(client: Client, path: str, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/api/v1/{path}", query)
    assert answer.status_code == 200, answer.json()
    return {row.get("name", row["id"]): row for row in answer.json()["results"]}


def at(cards: dict[str, Any], index: int) -> Any:
    return next(card for card in cards.values() if card["index"] == index)


def test_the_chain_from_inside_out(two: Two, admin: Client) -> None:
    told = rows(admin, "nodes", cluster=two.inside.pk, state="ready")
    outermost = node(f"{CANARY}-host")
    assert (told["guest"]["host"]["name"], told["guest"]["host"]["kind"]) == ("middle", "kvm")
    assert told["guest"]["outer_hosts"] == [
        {
            "id": str(outermost.pk), "name": f"{CANARY}-host", "cluster": str(two.outside.pk), "kind": "kvm",
            "cluster_name": f"{CANARY} cluster", "site": str(two.outside.site_id), "site_name": f"{CANARY} site",
        }
    ]  # fmt: skip
    assert (told["apart"]["host"], told["apart"]["outer_hosts"], told["apart"]["guests"]) == (None, [], 0)
    whole = admin.get(f"/api/v1/nodes/{outermost.pk}").json()
    assert (whole["host"], whole["guests"]) == (None, 1)
    assert (whole["nested_cpu_milli"], whole["nested_memory_mib"]) == (64_000, 262_144)


def test_guests_of_a_host(two: Two, admin: Client) -> None:
    assert [*rows(admin, "nodes", host=node(f"{CANARY}-host").pk)] == ["middle"]
    assert [*rows(admin, "nodes", host=node("guest").pk)] == []


def test_where_a_card_counts(two: Two, admin: Client) -> None:
    at_host = at(rows(admin, "accelerators", node=node(f"{CANARY}-host").pk), 0)
    place = at_host["counted_place"]
    assert (place["node_name"], place["cluster"], place["index"]) == ("guest", str(two.inside.pk), 0)
    assert at_host["counted_at"] == place["id"]
    inside = at(rows(admin, "accelerators", node=node("guest").pk), 0)
    assert (inside["counted_place"], inside["pci"]) == (None, "0000:05:00.0")


def test_what_keeps_a_node_from_being_linked_is_told(two: Two, admin: Client) -> None:
    shows(two.inside, seen("guest", system_uuid="0" * 32), seen("apart", system_uuid=machine("apart")))
    assert rows(admin, "nodes", name="guest")["guest"]["host_problem"] == "SystemUuidIsPlaceholder"
    shows(two.inside, seen("guest"), seen("apart", system_uuid=machine("guest")))
    assert {row["host_problem"] for row in rows(admin, "nodes", cluster=two.inside.pk, state="ready").values()} == {
        "SystemUuidTwice"
    }


def test_machines_are_added_up_once(two: Two, admin: Client) -> None:
    told = admin.get("/api/v1/overview").json()
    assert told["machines"] == {
        "cpu_milli": 64_000 + 8000, "memory_mib": 262_144 + 1024, "nested": 2,
        # The middle one says that it has as much as its host: more is promised than there is.
        "free_cpu_milli": 64_000 + 8000, "free_memory_mib": 262_144 + 1024,
    }  # fmt: skip
    assert told["accelerators"]["total"] == 2


def test_lists_ask_as_much_for_many_as_for_few(two: Two, admin: Client) -> None:
    def asked(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            rows(admin, path, limit=200)
        return len(queries)

    asked("nodes")  # reads the caller's roles
    few = asked("nodes"), asked("accelerators")
    shows(two.outside, host(f"{CANARY}-host", "middle"), *(host(f"h{i}", f"g{i}") for i in range(9)))
    shows(two.inside, guest(), *(guest(f"g{i}") for i in range(9)))
    assert (asked("nodes"), asked("accelerators")) == few
    assert few[0] <= 8


# -- strangers ------------------------------------------------------------------------------------------------------


@pytest.fixture
def tenant(two: Two) -> Iterator[Client]:
    """Has work on the innermost node and knows nothing of its hosts."""
    project = work_on(two.inside)
    yield client_of(factories.user(Role.TENANT_OWNER, project.tenant))


def work_on(cluster: Cluster, of: Project | None = None) -> Project:
    project = of or factories.project()
    factories.quota(project)
    pool = factories.pool(cluster)
    factories.workload(project, pool)
    admission.run(str(pool.pk))
    return project


def test_who_may_not_see_the_host_learns_nothing_of_it(two: Two, tenant: Client) -> None:
    answer = tenant.get("/api/v1/nodes")
    (row,) = answer.json()["results"]
    assert (row["name"], row["host"], row["outer_hosts"]) == ("guest", None, [])
    hosts = Node.objects.filter(name__in=["middle", f"{CANARY}-host"])
    for text in (
        answer.content.decode(),
        tenant.get("/api/v1/accelerators").content.decode(),
        tenant.get("/api/v1/overview").content.decode(),
        tenant.get(f"/api/v1/nodes/{row['id']}").content.decode(),
    ):
        assert CANARY not in text and "middle" not in text
        assert not [pk for pk in hosts.values_list("pk", flat=True) if str(pk) in text]
    for one in hosts:
        assert rows(tenant, "nodes", host=one.pk) == {}
    told = tenant.get("/api/v1/overview").json()["machines"]
    assert (told["cpu_milli"], told["nested"]) == (16_000, 0), "of what they see, the outermost"


def test_who_sees_the_host_alone_learns_nothing_of_what_is_inside() -> None:
    two = Two.of()
    shown = host("host")
    shows(two.outside, changed(shown, passed_to="", foreign_milli=0))
    project = work_on(two.outside)
    shows(two.outside, shown)
    shows(two.inside, guest(f"{CANARY}-guest", system_uuid=machine("guest")))
    client = client_of(factories.user(Role.TENANT_OWNER, project.tenant))
    assert Accelerator.objects.filter(node__name="host", held_milli=1000).get().counted_at is not None
    (row,) = client.get("/api/v1/nodes").json()["results"]
    assert (row["name"], row["guests"], row["nested_cpu_milli"]) == ("host", 0, 0)
    answer = client.get("/api/v1/accelerators")
    assert [card["counted_place"] for card in answer.json()["results"]] == [None]
    assert CANARY not in answer.content.decode()
