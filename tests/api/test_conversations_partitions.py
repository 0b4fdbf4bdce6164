"""A card is cut into parts: asked for by an operator, told to the machine's agent, and shown when it is done."""

from typing import Any

import pytest

from federation.models import Accelerator, Allocation, CardLayout
from federation.reconcile import admission, allocations, clusters
from portal.models import AuditEntry
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client, client_of
from tests.api.test_conversations_agents import INVENTORY, Machine, patience  # noqa: F401 - a fixture of its own

pytestmark = pytest.mark.django_db
PROFILES = {"1g.10gb": 7, "1g.20gb": 4, "2g.20gb": 3, "3g.40gb": 2, "4g.40gb": 1, "7g.80gb": 1}
CARDS = [device | {"profiles": PROFILES} for device in INVENTORY["devices"]]  # type: ignore[attr-defined]  # a list


def inventory(*parts: dict[str, Any]) -> dict[str, Any]:
    cards = [CARDS[0] | {"mode": "partitioned"}, CARDS[1]] if parts else CARDS
    return {**INVENTORY, "devices": [*cards, *parts]}


def part(index: int, profile: str, memory_mib: int) -> dict[str, Any]:
    return {
        "index": index, "uuid": f"MIG-{index}", "vendor": "nvidia", "model": f"A100-80G/{profile}",
        "memory_mib": memory_mib, "health": "healthy", "parent_uuid": "GPU-0", "mode": "partitioned",
        "resource": f"mig-{profile}",
    }  # fmt: skip


@pytest.fixture
def machine(operator: Client) -> Machine:
    made = Machine(operator)
    made.enrol()
    made.sync(inventory=inventory())
    clusters.run(made.cluster)
    return made


@pytest.fixture
def address(machine: Machine) -> str:
    return f"/api/v1/accelerators/{Accelerator.objects.get(uuid='GPU-0').pk}/partitions"


def outcome(generation: int, state: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"uuid": "GPU-0", "generation": generation, "state": state, "reason": reason, "message": message}


def test_from_the_wish_to_work_on_a_part(operator: Client, machine: Machine, address: str) -> None:
    before = operator.get(address).json()
    assert (before["possible"], before["wanted"], before["state"], before["parts"]) == (PROFILES, None, None, {})
    assert machine.sync()["partitions"] == {}

    asked = operator.put(address, {"profiles": {"3g.40gb": 1, "1g.10gb": 2, "2g.20gb": 0}})
    assert asked.status_code == 202, asked.json()
    wanted = {"1g.10gb": 2, "3g.40gb": 1}
    assert (asked.json()["wanted"], asked.json()["state"], asked.json()["generation"]) == (wanted, "waiting", 1)
    assert AuditEntry.objects.get(what="accelerator.partition").detail == {"profiles": wanted}
    shown = operator.get(address.removesuffix("/partitions")).json()["layout"]
    assert shown == {"wanted": wanted, "state": "waiting", "reason": "", "message": ""}
    for _ in range(2):
        assert machine.sync()["partitions"] == {"GPU-0": {"profiles": wanted, "generation": 1}}, "until told otherwise"

    parts = [part(2, "3g.40gb", 40192), part(3, "1g.10gb", 9728), part(4, "1g.10gb", 9728)]
    machine.sync(inventory=inventory(*parts), partitions=[outcome(1, "applied")])
    clusters.run(machine.cluster)
    shown = operator.get(address).json()
    assert (shown["state"], shown["parts"]) == ("applied", wanted)
    rows = Accelerator.objects.filter(parent__uuid="GPU-0").order_by("index")
    assert [(r.uuid, r.model.name, r.mode, r.step_milli, r.resource) for r in rows] == [
        ("MIG-2", "A100-80G/3g.40gb", "partitioned", 1000, "mig-3g.40gb"),
        ("MIG-3", "A100-80G/1g.10gb", "partitioned", 1000, "mig-1g.10gb"),
        ("MIG-4", "A100-80G/1g.10gb", "partitioned", 1000, "mig-1g.10gb"),
    ]

    project, pool = factories.project(), factories.pool(machine_cluster(machine), model_names=["A100-80G/1g.10gb"])
    factories.quota(project, "nvidia-a100-80g-1g.10gb")
    engineer = client_of(factories.user(Role.PROJECT_MEMBER, project.tenant, project))
    body = {"project": str(project.pk), "pool": str(pool.pk), "name": "small", "accelerators": 1, "command": ["true"]}
    assert engineer.post("/api/v1/workloads", body).status_code == 201
    admission.run(str(pool.pk))
    seen = engineer.get("/api/v1/workloads").json()["results"][0]
    assert Allocation.objects.exists(), (seen["state"], seen["reason"], seen["message"], sorted(seen))
    allocation = Allocation.objects.get()
    allocations.run(str(allocation.pk))
    (order,) = machine.sync()["orders"]
    assert [device["uuid"] for device in order["spec"]["devices"]] in (["MIG-3"], ["MIG-4"])

    again = operator.put(address, {"profiles": {}})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert "part of it" in again.json()["detail"]
    assert CardLayout.objects.get().generation == 1


def machine_cluster(machine: Machine) -> Any:
    return Accelerator.objects.filter(node__cluster_id=machine.cluster)[0].node.cluster


def test_what_a_machine_says_of_an_older_wish_is_left_alone(operator: Client, machine: Machine, address: str) -> None:
    operator.put(address, {"profiles": {"1g.10gb": 7}})
    machine.sync(partitions=[outcome(1, "refused", "PartitioningNotAllowed", "Not here.")])
    shown = operator.get(address).json()
    assert (shown["state"], shown["reason"], shown["message"]) == ("refused", "PartitioningNotAllowed", "Not here.")
    assert operator.put(address, {"profiles": {}}).json()["state"] == "waiting"
    machine.sync(partitions=[outcome(1, "applied"), outcome(1, "applied") | {"uuid": "GPU-9"}])
    assert operator.get(address).json()["state"] == "waiting"
    machine.sync(partitions=[outcome(2, "waiting", "CardHeld", "Work is on this card.")])
    assert operator.get(address).json()["reason"] == "CardHeld"


@pytest.mark.parametrize(
    ("profiles", "code", "words"),
    [
        ({"1g.5gb": 1}, "unknown-profile", "it has 1g.10gb, 1g.20gb"),
        ({"3g.40gb": 3}, "too-many", "room for 2 of 3g.40gb"),
        ({"4g.40gb": 1, "2g.20gb": 2}, "too-many", "8 slices"),
    ],
)
def test_what_the_card_cannot_be_is_refused_in_plain_words(
    operator: Client, address: str, profiles: dict[str, int], code: str, words: str
) -> None:
    refused = operator.put(address, {"profiles": profiles})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, code)
    assert words in refused.json()["errors"][0]["detail"]
    assert not CardLayout.objects.exists()


def test_parts_and_cards_that_cannot_be_cut_are_not(operator: Client, machine: Machine) -> None:
    machine.sync(
        inventory=inventory(part(2, "1g.10gb", 9728)) | {"devices": [*INVENTORY["devices"], part(2, "1g.10gb", 9728)]}
    )  # type: ignore[misc]  # a list
    clusters.run(machine.cluster)
    for uuid, code in (("MIG-2", "is-a-part"), ("GPU-1", "not-partitionable")):
        address = f"/api/v1/accelerators/{Accelerator.objects.get(uuid=uuid).pk}/partitions"
        refused = operator.put(address, {"profiles": {"1g.10gb": 1}})
        assert refused.json()["errors"][0]["code"] == code


def test_only_operators_cut(machine: Machine, address: str) -> None:
    viewer = client_of(factories.user(Role.PLATFORM_VIEWER))
    assert viewer.get(address).status_code == 200
    assert viewer.put(address, {"profiles": {}}).status_code == 403
