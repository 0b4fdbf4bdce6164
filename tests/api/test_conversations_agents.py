"""The whole conversation of an agent with the hub, from its join token to the end of its first work."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from federation.actions import agents
from federation.drivers import agent as driver
from federation.models import Agent, AgentOrder, Allocation, Cluster, LogPart, Node
from federation.reconcile import admission, allocations, clusters
from portal.models import AuditEntry
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client, client_of, client_with

pytestmark = pytest.mark.django_db

INVENTORY = {
    "name": "m1", "cpu_milli": 64_000, "memory_mib": 262_144, "rack": "r7", "labels": {"zone": "a"}, "is_ready": True,
    "message": "",
    "devices": [{"index": i, "uuid": f"GPU-{i}", "vendor": "nvidia", "model": "A100-80G", "memory_mib": 81920,
                 "health": "healthy", "numa": 0} for i in range(2)],
}  # fmt: skip


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's transaction has one `now()`; a slow machine must not make an agent look silent."""
    monkeypatch.setattr(driver, "SILENT_AFTER_SECONDS", 1000.0)
    monkeypatch.setattr(agents, "IDENTITY_LEASE_SECONDS", 1000.0)


class Machine:
    """An agent on a bare machine, as the hub hears it."""

    kind = "baremetal"

    def __init__(self, operator: Client, slug: str = "m1") -> None:
        site = operator.post("/api/v1/sites", {"slug": f"site-{slug}", "name": "North"}).json()["id"]
        body = {"site": site, "slug": slug, "name": slug, "kind": self.kind, "driver": "agent"}
        self.cluster = operator.post("/api/v1/clusters", body).json()["id"]
        self.join = operator.post("/api/v1/join-tokens", {"cluster": self.cluster}).json()["secret"]
        self.boot, self.seq, self.epoch = str(uuid4()), 0, 0

    def enrol(self) -> dict[str, Any]:
        answer = Client().post(
            "/api/v1/agent/enrol",
            {"join_token": self.join, "machine_id": "abc", "hostname": "m1.local", "agent_version": "1.0"},
        )
        assert answer.status_code == 201, answer.json()
        said: dict[str, Any] = answer.json()
        self.client, self.epoch = client_with(said["agent_token"]), said["epoch"]
        return said

    def report(self, *work: dict[str, Any], **more: Any) -> Any:
        self.seq += 1
        body = {"boot_id": self.boot, "seq": self.seq, "epoch": self.epoch, "work": list(work), **more}
        return self.client.post("/api/v1/agent/sync", body)

    def sync(self, *work: dict[str, Any], **more: Any) -> dict[str, Any]:
        answer = self.report(*work, **more)
        assert answer.status_code == 200, answer.json()
        said: dict[str, Any] = answer.json()
        return said


@pytest.fixture
def machine(operator: Client) -> Machine:
    """Enrolled, reported, and connected."""
    made = Machine(operator)
    made.enrol()
    made.sync(inventory=INVENTORY)
    clusters.run(made.cluster)
    return made


def test_from_a_join_token_to_the_end_of_the_first_work(operator: Client) -> None:
    machine = Machine(operator)
    said = machine.enrol()
    assert said["agent_token"].startswith("agent_")
    assert (said["cluster_id"], said["epoch"]) == (machine.cluster, 1)
    assert said["agent_token"] not in str([*Agent.objects.values(), *AuditEntry.objects.values()])

    first = machine.sync()
    assert (first["orders"], first["want_inventory"], first["epoch"]) == ([], True, 1)
    told = machine.sync(inventory=INVENTORY, sent_at=timezone.now().isoformat(), uptime_seconds=9.5)
    assert told["want_inventory"] is False
    clusters.run(machine.cluster)
    shown = operator.get(f"/api/v1/clusters/{machine.cluster}").json()
    assert (shown["state"], shown["site_version"]) == ("connected", "1.0")
    node = operator.get("/api/v1/nodes", {"cluster": machine.cluster}).json()["results"][0]
    assert (node["name"], node["rack"], node["labels"]) == ("m1", "r7", {"zone": "a"})
    assert operator.get("/api/v1/accelerators", {"cluster": machine.cluster}).json()["results"][1]["uuid"] == "GPU-0"

    project, pool = factories.project(), factories.pool(Cluster.objects.get(pk=machine.cluster))
    factories.quota(project)
    engineer = client_of(factories.user(Role.PROJECT_MEMBER, project.tenant, project))
    submitted = engineer.post(
        "/api/v1/workloads",
        {
            "project": str(project.pk),
            "pool": str(pool.pk),
            "name": "train",
            "accelerators": 1,
            "command": ["echo", " hi "],
            "env": {"A": ""},
        },
    )
    work = f"/api/v1/workloads/{submitted.json()['id']}"
    admission.run(str(pool.pk))
    allocation = Allocation.objects.get()
    allocations.run(str(allocation.pk))

    order = machine.sync()["orders"][0]
    assert (order["ref"], order["desired"], order["generation"], order["epoch"]) == (str(allocation.pk), "run", 1, 1)
    assert (order["spec"]["command"], dict(order["spec"]["env"])) == (["echo", " hi "], {"A": ""})
    assert machine.sync()["orders"] == [order], "the wish list is complete each time"

    def held(state: str, **more: Any) -> dict[str, Any]:
        return {"ref": order["ref"], "generation": 1, "epoch": 1, "state": state, **more}

    machine.sync(held("starting"))
    figures = [{"uuid": "GPU-0", "busy_percent": 91.5, "memory_used_mib": 4000}, {"uuid": "GPU-1", "busy_percent": 0}]
    logs = [{"ref": order["ref"], "offset": 0, "text": "epoch 1: 损失 0.5\n"}]
    told = machine.sync(held("running", ran_seconds=2.0, cpu_milli=900, disk_write_kibps=7), figures=figures, logs=logs)
    assert told["log_offsets"] == {order["ref"]: len(logs[0]["text"].encode())}
    allocations.run(str(allocation.pk))
    assert engineer.get(work).json()["state"] == "running"
    shown = engineer.get(f"/api/v1/allocations/{allocation.pk}").json()
    assert (shown["state"], shown["used_cpu_milli"]) == ("active", 900)
    assert (shown["used_disk_write_kibps"], shown["used_net_in_kibps"]) == (7, None)
    assert engineer.get(f"{work}/logs").json()["text"] == logs[0]["text"]
    machine.sync(held("running", ran_seconds=3.0), logs=logs)
    assert LogPart.objects.count() == 1, "a piece that comes twice is kept once"

    machine.sync(held("succeeded", ran_seconds=4.0, exit_code=0))
    allocations.run(str(allocation.pk))
    assert (engineer.get(work).json()["state"], engineer.get(work).json()["exit_code"]) == ("succeeded", 0)
    assert Allocation.objects.get().state == "stopping", "until the machine shows that nothing is left"
    allocations.run(str(allocation.pk))
    orders = machine.sync(held("succeeded", ran_seconds=4.0, exit_code=0))["orders"]
    assert [(one["ref"], one["desired"], one["spec"]) for one in orders] == [(order["ref"], "absent", None)]
    assert Allocation.objects.get().state == "stopping"
    assert machine.sync()["orders"] == []
    allocations.run(str(allocation.pk))
    assert Allocation.objects.get().state == "released"
    assert Node.objects.get().held_cpu_milli == 0


def test_work_that_nobody_wants_is_ended(machine: Machine) -> None:
    stray = {"ref": str(uuid4()), "generation": 3, "epoch": 1, "state": "running"}
    (order,) = machine.sync(stray)["orders"]
    assert (order["ref"], order["desired"], order["generation"], order["spec"]) == (stray["ref"], "absent", 3, None)
    assert not AgentOrder.objects.exists()


def test_an_older_report_is_refused_and_changes_nothing(machine: Machine) -> None:
    machine.sync()
    before = Agent.objects.values().get()
    for seq in (machine.seq, machine.seq - 1, 0):
        machine.seq = seq - 1
        late = machine.report(inventory={**INVENTORY, "name": "other"})
        assert (late.status_code, late.json()["code"]) == (409, "report-out-of-order"), seq
    assert Agent.objects.values().get() == before
    machine.seq = before["seq"] + 100
    machine.sync()


def test_a_second_process_with_the_same_identity_is_refused_while_the_first_lives(machine: Machine) -> None:
    first, machine.boot = machine.boot, str(uuid4())
    clash = machine.report()
    assert (clash.status_code, clash.json()["code"]) == (409, "agent-identity-in-use")
    Agent.objects.update(reported_at=timezone.now() - timedelta(seconds=2000))
    machine.seq = 0
    machine.sync()
    machine.boot, machine.seq = first, 1000
    assert machine.report().json()["code"] == "agent-identity-in-use", "the one that was away is the second now"


def test_a_new_process_begins_to_count_anew(machine: Machine) -> None:
    Agent.objects.update(reported_at=timezone.now() - timedelta(seconds=2000))
    machine.boot, machine.seq = str(uuid4()), 0
    machine.sync()
    assert Agent.objects.get().seq == 1


@pytest.mark.parametrize(
    "more",
    [
        {"work": [{"ref": "xyz", "generation": 1, "epoch": 1, "state": "running"}]},
        {"work": [{"ref": str(uuid4()), "generation": -1, "epoch": 1, "state": "running"}]},
        {"work": [{"ref": str(uuid4()), "generation": 1, "epoch": 1, "state": "dancing"}]},
        {"work": None},
        {"figures": [{"uuid": "GPU-0", "busy_percent": 101}]},
        {"figures": [{"uuid": "GPU-0", "memory_used_mib": -1}]},
        {"inventory": {**INVENTORY, "cpu_milli": 10**9}},
        {"inventory": {**INVENTORY, "memory_mib": 0}},
        {"inventory": {**INVENTORY, "devices": [{}]}},
        {"logs": [{"ref": str(uuid4()), "offset": 0, "text": "x" * 300_001}]},
        {"epoch": -1},
    ],
)
def test_a_report_that_lies_or_raves_is_refused_whole(machine: Machine, more: dict[str, Any]) -> None:
    before = (Agent.objects.values().get(), Node.objects.values().get())
    answer = machine.report(**more)
    assert answer.status_code == 422
    assert {error["pointer"].split("/")[1] for error in answer.json()["errors"]} == set(more)
    assert (Agent.objects.values().get(), Node.objects.values().get()) == before


def test_a_large_report_is_taken_and_a_larger_one_is_not(machine: Machine) -> None:
    text = "x" * 290_000
    ref = str(uuid4())
    fits = [{"ref": ref, "offset": 0, "text": text}] * 8
    assert machine.report(logs=fits).status_code == 200, "2 MB, of the 5 MB an agent may send"
    huge = machine.report(logs=[{"ref": ref, "offset": 0, "text": text}] * 18)
    assert (huge.status_code, huge.json()["code"]) == (413, "too-large")


def test_an_agent_whose_cluster_is_retired_is_nobody(machine: Machine, operator: Client) -> None:
    assert operator.post(f"/api/v1/clusters/{machine.cluster}/retire").status_code == 202
    answer = machine.report()
    assert (answer.status_code, answer.json()["code"]) == (401, "bad-credential")


def test_one_agent_cannot_speak_for_another(machine: Machine, operator: Client) -> None:
    """What it says of work elsewhere moves nothing, and it is told of none of it."""
    project, pool = factories.project(), factories.pool(Cluster.objects.get(pk=machine.cluster))
    factories.quota(project)
    factories.workload(project, pool)
    admission.run(str(pool.pk))
    allocation = Allocation.objects.get()
    allocations.run(str(allocation.pk))
    other = Machine(operator, "m2")
    other.enrol()
    assert other.sync()["orders"] == []
    claim = {"ref": str(allocation.pk), "generation": 1, "epoch": 1, "state": "succeeded", "exit_code": 0}
    logs = [{"ref": str(allocation.pk), "offset": 0, "text": "forged"}]
    (order,) = other.sync(claim, logs=logs)["orders"]
    assert (order["desired"], order["spec"]) == ("absent", None), "not wanted there"
    allocations.run(str(allocation.pk))
    allocation.refresh_from_db()
    assert (allocation.state, AgentOrder.objects.get().observed) == ("reserved", None)
    assert not LogPart.objects.exists()
    assert machine.sync()["orders"][0]["desired"] == "run"
