"""A node's sensors and its power, as an operator asks for them."""

from typing import Any

import pytest

from federation.drivers.fake import store_of
from federation.drivers.fake_store import set_control
from federation.models import Node
from federation.reconcile import admission, inventory
from federation.registry import driver_for
from portal.models import AuditEntry
from portal.permissions import Role
from tests import factories
from tests.api.conftest import SignIn

pytestmark = pytest.mark.django_db


@pytest.fixture
def node() -> Node:
    cluster = factories.cluster(factories.node_seen("box", devices=2), kind="baremetal")
    return Node.objects.get(cluster=cluster)


def test_sensors_are_read_and_power_is_shown(sign_in: SignIn, node: Node) -> None:
    shown: Any = sign_in(Role.PLATFORM_VIEWER).get(f"/api/v1/nodes/{node.pk}/sensors").json()
    assert (shown["power"], shown["message"]) == ("on", "")
    assert {(r["name"], r["unit"]) for r in shown["readings"]} == {
        (f"GPU-box-{i} {what}", unit) for i in range(2) for what, unit in (("power", "W"), ("temperature", "Cel"))
    }
    assert all(reading["value"] > 20 and reading["is_healthy"] for reading in shown["readings"])


def test_a_node_is_switched_and_it_is_on_record(sign_in: SignIn, node: Node) -> None:
    operator = sign_in(Role.PLATFORM_OPERATOR)
    address = f"/api/v1/nodes/{node.pk}"
    answer = operator.post(f"{address}/power", {"power": "off"}, content_type="application/json")
    assert (answer.status_code, answer.json()) == (202, {"power": "off", "is_asked": True, "message": ""})
    assert operator.get(f"{address}/sensors").json()["power"] == "off"
    inventory.store(node.cluster, list(driver_for(node.cluster).inventory()))
    assert operator.get(address).json()["state"] == "not-ready"
    entry = AuditEntry.objects.get(what="node.power")
    assert (entry.target_name, entry.detail) == ("box", {"power": "off"})
    back = operator.post(f"{address}/power", {"power": "on"}, content_type="application/json")
    assert back.json()["power"] == "on"
    bad = operator.post(f"{address}/power", {"power": "unknown"}, content_type="application/json")
    assert bad.status_code == 422


def test_a_node_that_holds_work_is_not_switched_off(sign_in: SignIn, node: Node) -> None:
    factories.quota(project := factories.project(), "nvidia-a100-80g", milli=2000)
    work = factories.workload(project, factories.pool(node.cluster), accelerators=1)
    admission.run(str(work.pool_id))
    operator = sign_in(Role.PLATFORM_OPERATOR)
    answer = operator.post(f"/api/v1/nodes/{node.pk}/power", {"power": "off"}, content_type="application/json")
    assert (answer.status_code, answer.json()["detail"]) == (409, "box holds work: drain it first.")
    assert not AuditEntry.objects.filter(what="node.power").exists()


def test_a_site_that_does_not_answer_is_told_in_words(sign_in: SignIn, node: Node) -> None:
    set_control(store_of(driver_for(node.cluster).config), down=True)
    operator = sign_in(Role.PLATFORM_OPERATOR)
    answer = operator.post(f"/api/v1/nodes/{node.pk}/power", {"power": "on"}, content_type="application/json").json()
    assert answer == {"power": "unknown", "is_asked": False, "message": "The site does not answer."}
    shown = operator.get(f"/api/v1/nodes/{node.pk}/sensors").json()
    assert (shown["readings"], shown["message"]) == ([], "The site does not answer.")


def test_who_may_look_may_not_switch(sign_in: SignIn, node: Node) -> None:
    viewer = sign_in(Role.PLATFORM_VIEWER)
    answer = viewer.post(f"/api/v1/nodes/{node.pk}/power", {"power": "off"}, content_type="application/json")
    assert answer.status_code == 403


def test_a_site_without_sensors_says_so(sign_in: SignIn, node: Node) -> None:
    type(node.cluster).objects.filter(pk=node.cluster_id).update(driver="agent")
    shown = sign_in(Role.PLATFORM_VIEWER).get(f"/api/v1/nodes/{node.pk}/sensors").json()
    assert (shown["power"], shown["message"]) == ("unknown", "This kind of site shows no sensors.")
