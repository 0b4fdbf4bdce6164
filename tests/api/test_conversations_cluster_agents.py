"""The agent of a whole cluster, as the hub hears it: nodes in parts, a cluster that falls silent, work not known."""

import json
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from federation.actions import agents
from federation.drivers import agent as driver
from federation.drivers.agent_nodes import digest_of, node_to_json, stamp_of
from federation.drivers.base import DeviceSeen, NodeSeen, Observation, Rejected, Unavailable
from federation.drivers.base import ObservedState as O
from federation.models import Agent, AgentNode, AgentOrder, Allocation, Cluster, Node
from federation.reconcile import admission, allocations, clusters
from federation.registry import driver_for
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client, client_of
from tests.api.test_conversations_agents import Machine

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's transaction has one `now()`; a slow machine must not make an agent look silent."""
    monkeypatch.setattr(driver, "SILENT_AFTER_SECONDS", 1000.0)
    monkeypatch.setattr(driver, "SITE_SILENT_AFTER_SECONDS", 1000.0)
    monkeypatch.setattr(agents, "IDENTITY_LEASE_SECONDS", 1000.0)


def node(number: int, **changes: Any) -> NodeSeen:
    card = DeviceSeen(0, f"GPU-{number}", "nvidia", "A100-80G", 81920)
    return replace(NodeSeen(f"node-{number}", 64_000, 262_144, (card,), labels={"zone": "a"}), **changes)


def site(silent: float | None = 0.0, **more: Any) -> dict[str, Any]:
    return {"version": "v1.36.3", "message": "", "is_degraded": False, "silent_seconds": silent, **more}


def told(*nodes: NodeSeen, whole: tuple[NodeSeen, ...] | None = None, gone: tuple[str, ...] = ()) -> dict[str, Any]:
    """A part: these nodes, of a picture that is `whole`."""
    everything = {n.name: digest_of(node_to_json(n)) for n in (nodes if whole is None else whole)}
    changed = [{"digest": digest_of(node_to_json(n)), "node": node_to_json(n)} for n in nodes]
    return {"stamp": stamp_of(everything), "count": len(everything), "changed": changed, "gone": [*gone]}


class ClusterMachine(Machine):
    kind = "kubernetes"

    def tell(self, *work: dict[str, Any], silent: float | None = 0.0, **more: Any) -> dict[str, Any]:
        return self.sync(*work, site=site(silent), **more)

    def sync_unknown(self) -> dict[str, Any]:
        """A report that says: what runs here is not known just now."""
        self.seq += 1
        body = {"boot_id": self.boot, "seq": self.seq, "epoch": self.epoch, "work": None, "site": site(None)}
        answer = self.client.post("/api/v1/agent/sync", body)
        assert answer.status_code == 200, answer.json()
        said: dict[str, Any] = answer.json()
        return said

    @property
    def row(self) -> Cluster:
        return Cluster.objects.get(pk=self.cluster)

    @property
    def driver(self) -> Any:
        return driver_for(self.row)

    def nodes(self) -> list[NodeSeen]:
        return list(self.driver.inventory())


@pytest.fixture
def cluster(operator: Client) -> ClusterMachine:
    made = ClusterMachine(operator)
    made.enrol()
    return made


def test_nodes_arrive_in_parts_and_count_only_when_all_are_there(cluster: ClusterMachine, operator: Client) -> None:
    whole = tuple(node(i) for i in range(5))
    first = cluster.tell(nodes=told(whole=whole) | {"want_digests": True})
    assert first["nodes"]["digests"] == {}
    cluster.tell(nodes=told(*whole[:3], whole=whole))
    with pytest.raises(Unavailable, match="still telling"):
        cluster.nodes()
    answer = cluster.tell(nodes=told(*whole[3:], whole=whole))
    assert answer["nodes"]["stamp"] == told(*whole)["stamp"]
    assert cluster.nodes() == [*whole]
    clusters.run(cluster.cluster)
    shown = operator.get(f"/api/v1/clusters/{cluster.cluster}").json()
    assert (shown["state"], shown["site_version"]) == ("connected", "v1.36.3")
    assert Node.objects.count() == 5


def test_the_last_whole_picture_holds_until_the_next_is_whole(cluster: ClusterMachine) -> None:
    before = tuple(node(i) for i in range(3))
    cluster.tell(nodes=told(*before))
    changed = replace(before[0], is_ready=False, message="It is cordoned.", foreign_cpu_milli=5)
    after = (changed, before[1], node(7))
    cluster.tell(nodes=told(changed, whole=after))
    assert cluster.nodes() == [*before], "half of a change is not looked at"
    cluster.tell(nodes=told(whole=after, gone=("node-2",)))
    assert cluster.nodes() == [*before]
    cluster.tell(nodes=told(node(7), whole=after))
    assert cluster.nodes() == [*after]
    assert set(AgentNode.objects.values_list("name", flat=True)) == {"node-0", "node-1", "node-7"}


def test_all_that_a_driver_sees_of_a_device_arrives(cluster: ClusterMachine) -> None:
    part = DeviceSeen(
        1, "MIG-1", "nvidia", "A100-80G", 10240, numa=1, serial="S-1", pci="0000:01:00.0", passed_to="u-1",
        guest_pci="0000:02:00.0", mode="partitioned", step_milli=1000, most_shares=1,
        parent_uuid="GPU-9", is_identified=False, resource="nvidia.com/mig-1g.10gb", foreign_milli=250,
        foreign_memory_mib=512,
    )  # fmt: skip
    seen = replace(node(9), devices=(*node(9).devices, part), rack="r7", foreign_memory_mib=9)
    assert all(getattr(part, f) != d for f, d in asdict(DeviceSeen(0, "", "", "", 0)).items() if f != "health")
    cluster.tell(nodes=told(seen))
    assert cluster.nodes() == [seen]


def test_a_part_sent_again_changes_nothing_and_an_unknown_stamp_is_told(cluster: ClusterMachine) -> None:
    whole = (node(1), node(2))
    cluster.tell(nodes=told(*whole))
    rows = list(AgentNode.objects.order_by("name").values("name", "digest", "seen"))
    Cluster.objects.update(inventory_at=timezone.now())
    assert cluster.tell(nodes=told(*whole))["nodes"]["stamp"] == told(*whole)["stamp"]
    assert list(AgentNode.objects.order_by("name").values("name", "digest", "seen")) == rows
    assert cluster.row.inventory_at is not None, "nothing new: nobody has to look"
    AgentNode.objects.filter(name="node-1").delete()  # as after a backup was restored
    Agent.objects.update(nodes_stamp="")
    answer = cluster.tell(nodes=told(whole=whole) | {"want_digests": True})
    assert [*answer["nodes"]["digests"]] == ["node-2"]
    assert answer["nodes"]["stamp"] != told(*whole)["stamp"]


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "odd", "cpu_milli": "many", "memory_mib": 1},
        {"name": "odd", "cpu_milli": 1.5, "memory_mib": 1},
        {"name": "odd", "cpu_milli": 1, "memory_mib": 1, "devices": "none"},
        {"name": "odd", "cpu_milli": 1, "memory_mib": 1, "devices": [{"uuid": "x"}]},
        {"name": "odd", "cpu_milli": 10**300, "memory_mib": 1},
        {"name": "odd", "cpu_milli": -5, "memory_mib": 1},
    ],
)
def test_a_node_that_cannot_be_is_named_and_the_others_are_used(
    cluster: ClusterMachine, operator: Client, bad: dict[str, Any]
) -> None:
    part = told(node(1))
    part["changed"].append({"digest": "d", "node": bad})
    stamp = stamp_of({"node-1": part["changed"][0]["digest"], "odd": "d"})
    cluster.tell(nodes=part | {"stamp": stamp})
    clusters.run(cluster.cluster)
    shown = operator.get(f"/api/v1/clusters/{cluster.cluster}").json()
    assert (shown["state"], shown["message"]) == ("degraded", "Not believed: odd.")
    assert [n.name for n in Node.objects.all()] == ["node-1"]


def test_an_agent_without_its_cluster_is_told_apart_from_one_that_is_silent(
    cluster: ClusterMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "SITE_SILENT_AFTER_SECONDS", 20.0)
    cluster.tell(nodes=told(node(1)))
    cluster.sync(site=site(30.0, message="The site could not be reached in time."))
    with pytest.raises(Unavailable, match=r"agent answers, but its cluster has not for 30 s: The site could not be"):
        cluster.driver.check()
    cluster.tell(silent=None)
    with pytest.raises(Unavailable, match="its cluster has not yet"):
        cluster.driver.check()
    monkeypatch.setattr(driver, "SILENT_AFTER_SECONDS", 10.0)
    Agent.objects.update(reported_at=timezone.now() - timedelta(seconds=99))
    with pytest.raises(Unavailable, match="agent was last heard 99 s ago"):
        cluster.driver.check()


class Running:
    """One allocation on a cluster, reported as running."""

    def __init__(self, cluster: ClusterMachine) -> None:
        cluster.tell(nodes=told(node(1)))
        clusters.run(cluster.cluster)
        project = factories.project()
        factories.quota(project)
        pool = factories.pool(cluster.row)
        member = client_of(factories.user(Role.PROJECT_MEMBER, project.tenant, project))
        body = {
            "project": str(project.pk),
            "pool": str(pool.pk),
            "name": "job",
            "accelerators": 1,
            "command": ["x"],
            "image": "r.example/job:1",
        }
        assert member.post("/api/v1/workloads", body).status_code == 201
        admission.run(str(pool.pk))
        self.cluster, self.allocation = cluster, Allocation.objects.get()
        self.ref = str(self.allocation.pk)
        allocations.run(self.ref)

    def word(self, state: str, **more: Any) -> dict[str, Any]:
        return {"ref": self.ref, "generation": 1, "epoch": 1, "state": state, **more}

    def state(self) -> Observation:
        seen: Observation = self.cluster.driver.observe(self.ref)
        return seen


@pytest.fixture
def running(cluster: ClusterMachine) -> Running:
    made = Running(cluster)
    order = cluster.tell()["orders"][0]
    assert (order["desired"], order["spec"]["node"]) == ("run", "node-1")
    cluster.tell(made.word("running", ran_seconds=1.0))
    allocations.run(made.ref)
    return made


def test_work_that_is_told_but_not_taken_on_is_pending(cluster: ClusterMachine) -> None:
    made = Running(cluster)
    cluster.tell(made.word("pending", reason="SiteUnavailable", message="The site could not be reached in time."))
    assert (made.state().state, made.state().reason) == (O.PENDING, "SiteUnavailable")
    cluster.tell(made.word("broken", reason="ChangedAtSite", message="Somebody scaled it."))
    assert (made.state().state, made.state().message) == (O.BROKEN, "Somebody scaled it.")
    cluster.tell(made.word("rejected", reason="NoSuchNode", message="There is no node node-1."))
    with pytest.raises(Rejected, match="NoSuchNode"):
        made.state()


@pytest.mark.parametrize("silent", [None, 60.0])
def test_nothing_is_concluded_from_a_look_that_is_old(running: Running, silent: float | None) -> None:
    before = AgentOrder.objects.values("observed").get()["observed"]
    proof = Allocation.objects.values("proof_at").get()["proof_at"]
    running.cluster.sync(site=site(silent))
    assert AgentOrder.objects.values("observed").get()["observed"] == before
    running.cluster.sync(running.word("running", ran_seconds=99.0), site=site(silent))
    assert AgentOrder.objects.values("observed").get()["observed"] == before
    assert Allocation.objects.values("proof_at").get()["proof_at"] == proof
    running.cluster.tell()
    assert AgentOrder.objects.values("observed").get()["observed"] == {"state": "absent"}


def test_an_agent_that_does_not_know_its_work_is_believed(running: Running) -> None:
    answer = running.cluster.sync_unknown()
    assert [order["desired"] for order in answer["orders"]] == ["run"], "and it is told all that is wanted"
    assert AgentOrder.objects.get().observed["state"] == "running"


def test_what_runs_as_ordered_is_ordered_without_its_spec(running: Running) -> None:
    assert [o["spec"] for o in running.cluster.tell(running.word("running"))["orders"]] == [None]
    assert running.cluster.tell(running.word("starting"))["orders"][0]["spec"]["command"] == ["x"]
    AgentOrder.objects.update(generation=2)
    assert running.cluster.tell(running.word("running"))["orders"][0]["spec"]["command"] == ["x"]


def test_a_member_that_was_held_is_let_go_by_the_same_generation(running: Running) -> None:
    box = running.cluster.driver.config.port
    spec = {**(AgentOrder.objects.get().spec or {}), "hold": True}
    AgentOrder.objects.update(spec=spec)
    box.post(running.ref, desired="run", generation=1, epoch=1, spec=spec | {"hold": False})
    assert AgentOrder.objects.get().spec["hold"] is False
    box.post(running.ref, desired="run", generation=1, epoch=1, spec=spec)  # by a worker that was late
    assert AgentOrder.objects.get().spec["hold"] is False


def test_figures_stay_until_there_are_newer_ones(cluster: ClusterMachine) -> None:
    cluster.tell(figures=[{"uuid": "GPU-1", "busy_percent": 7.0}])
    cluster.tell(figures=None)
    cluster.tell()
    now = timezone.now()
    assert [(s.uuid, s.busy_percent) for s in cluster.driver.usage(now, now)] == [("GPU-1", 7.0)]


def test_five_thousand_nodes_fit_in_a_few_reports(cluster: ClusterMachine) -> None:
    """40,000 devices: each report below the 5 MB that an agent may send, and taken within its time."""
    cards = [DeviceSeen(i, f"GPU-{uuid4()}", "nvidia", "H100-80G", 81559, resource="nvidia.com/gpu") for i in range(8)]
    whole = tuple(NodeSeen(f"node-{i:05}", 192_000, 2_000_000, tuple(cards)) for i in range(5000))
    part = 500
    for start in range(0, len(whole), part):
        sent = told(*whole[start : start + part]) | {"stamp": "not yet"}
        assert len(json.dumps(sent)) < 2_000_000
        answer = cluster.tell(nodes=sent)
    assert answer["nodes"]["stamp"] == told(*whole)["stamp"]
    cluster.tell(nodes=told(whole=whole))
    assert len(cluster.nodes()) == 5000
