"""Conversations of operators with the estate: sites, clusters, join tokens, pools, nodes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from federation.drivers.base import DeviceSeen, Health
from federation.models import Agent, AgentOrder, Allocation, Cluster, ClusterWatch, JoinToken, Node, Workload
from federation.reconcile import admission, allocations
from portal.models import AuditEntry, IdempotencyRecord
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client, SignIn

pytestmark = pytest.mark.django_db


def test_a_site_and_its_clusters(sign_in: SignIn) -> None:
    operator = sign_in(Role.PLATFORM_OPERATOR)
    made = operator.post("/api/v1/sites", {"slug": "north", "name": "North", "power_price_per_kwh": "0.61"})
    assert (made.status_code, made.json()["power_price_per_kwh"]) == (201, "0.610000")
    site = made.json()["id"]
    changed = operator.patch(f"/api/v1/sites/{site}", {"region": "Hebei"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["region"], changed.json()["name"]) == (200, "Hebei", "North")
    assert operator.patch(f"/api/v1/sites/{site}", {"region": "x"}, headers={"If-Match": '"1"'}).status_code == 412
    assert changed.json()["weight"] == "1.000"
    for weight in ("0", "-1", "NaN", "0.0001", "12345"):
        refused = operator.patch(f"/api/v1/sites/{site}", {"weight": weight}, headers={"If-Match": '"2"'})
        assert refused.status_code == 422, weight
        assert refused.json()["errors"][0]["pointer"] == "/weight", weight
    changed = operator.patch(f"/api/v1/sites/{site}", {"weight": "2.5"}, headers={"If-Match": '"2"'})
    assert (changed.status_code, changed.json()["weight"]) == (200, "2.500")

    body = {"site": site, "slug": "main", "name": "Main", "kind": "kubernetes", "driver": "fake"}
    made = operator.post("/api/v1/clusters", {**body, "settings": {"nodes": []}})
    assert (made.status_code, made.json()["state"], made.json()["reason"]) == (201, "pending", "NeverAnswered")
    assert "settings" not in made.json(), "what may hold addresses and credentials is not shown"
    assert operator.post("/api/v1/clusters", body).status_code == 409
    unknown = operator.post("/api/v1/clusters", {**body, "slug": "b", "driver": "telnet"})
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "/driver")
    wrong = operator.post("/api/v1/clusters", {**body, "slug": "b", "kind": "openstack", "driver": "agent"})
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "driver-kind")

    address = f"/api/v1/clusters/{made.json()['id']}"
    assert made.json()["followed_at"] is None
    token = ClusterWatch.objects.take(made.json()["id"])
    assert token
    ClusterWatch.objects.renew(made.json()["id"], token, is_whole=True)
    assert operator.get(address).json()["followed_at"] is not None
    for verb, state, then in (
        ("pause", "maintenance", ["drain", "resume", "retire"]),
        ("drain", "draining", ["pause", "resume", "retire"]),
        ("resume", "pending", ["pause", "drain", "retire"]),
        ("retire", "retired", []),
    ):
        answer = operator.post(f"{address}/{verb}")
        assert (answer.status_code, answer.json()["state"], answer.json()["actions"]) == (202, state, then)
    end = operator.post(f"{address}/resume")
    assert (end.status_code, end.json()["code"]) == (409, "illegal-transition")
    assert end.json()["detail"] == "This cluster is retired, and cannot become pending."
    found = operator.get("/api/v1/clusters", {"site": site, "state": "retired", "kind": "kubernetes"}).json()
    assert [cluster["slug"] for cluster in found["results"]] == ["main"]


def test_a_join_token_is_shown_once_and_works_once(sign_in: SignIn) -> None:
    operator = sign_in(Role.PLATFORM_OPERATOR)
    site = operator.post("/api/v1/sites", {"slug": "north", "name": "North"}).json()["id"]
    body = {"site": site, "slug": "m1", "name": "M1", "kind": "baremetal", "driver": "agent"}
    cluster = operator.post("/api/v1/clusters", body).json()["id"]

    key = {"Idempotency-Key": "join-m1"}
    made = operator.post("/api/v1/join-tokens", {"cluster": cluster}, headers=key)
    assert made.status_code == 201, made.json()
    secret = made.json()["secret"]
    assert secret.startswith("join_")
    assert len(secret) > 40
    assert secret in made.json()["command"]
    repeated = operator.post("/api/v1/join-tokens", {"cluster": cluster}, headers=key)
    assert (repeated.status_code, repeated.json()["id"]) == (201, made.json()["id"])
    assert (repeated.json()["secret"], repeated.json()["command"]) == ("", "")
    address = f"/api/v1/join-tokens/{made.json()['id']}"
    for shown in (operator.get(address), operator.get("/api/v1/join-tokens")):
        assert secret not in shown.content.decode()
    stored = str([*JoinToken.objects.values(), *IdempotencyRecord.objects.values(), *AuditEntry.objects.values()])
    assert secret not in stored, "what is stored lets nobody in"

    enrol = {"join_token": secret, "machine_id": "m", "hostname": "m1", "agent_version": "1"}
    assert operator.post("/api/v1/agent/enrol", enrol).status_code == 201
    used = operator.post("/api/v1/agent/enrol", enrol)
    assert (used.status_code, used.json()["code"]) == (401, "bad-credential")
    assert operator.get(address).json()["state"] == "used"
    more = operator.post("/api/v1/join-tokens", {"cluster": cluster})
    assert (more.status_code, more.json()["code"]) == (409, "conflict")
    Agent.objects.update(created_at=timezone.now() - timedelta(minutes=2))  # it lost its secret before it reported
    again = operator.post("/api/v1/join-tokens", {"cluster": cluster})
    assert again.status_code == 201
    assert operator.post("/api/v1/agent/enrol", {**enrol, "join_token": again.json()["secret"]}).status_code == 201
    assert Agent.objects.filter(cluster=cluster).count() == 1

    body["slug"] = "m2"
    second = operator.post("/api/v1/clusters", body).json()["id"]
    token = operator.post("/api/v1/join-tokens", {"cluster": second}).json()
    assert operator.delete(f"/api/v1/join-tokens/{token['id']}").status_code == 204
    enrol["join_token"] = token["secret"]
    assert operator.post("/api/v1/agent/enrol", enrol).json() == {**used.json()}, (
        "withdrawn, used and unknown look alike"
    )
    fake = str(factories.cluster().pk)
    assert operator.post("/api/v1/join-tokens", {"cluster": fake}).json()["errors"][0]["code"] == "not-an-agent"


def test_a_cluster_joins_by_a_manifest_and_a_token(sign_in: SignIn) -> None:
    operator = sign_in(Role.PLATFORM_OPERATOR)
    site = operator.post("/api/v1/sites", {"slug": "north", "name": "North"}).json()["id"]
    body = {"site": site, "slug": "k1", "name": "K1", "kind": "kubernetes", "driver": "agent"}
    cluster = operator.post("/api/v1/clusters", body).json()["id"]
    made = operator.post("/api/v1/join-tokens", {"cluster": cluster}).json()
    address, rest = made["command"].removeprefix("kubectl apply -f ").split(" && ")
    assert address == f"{settings.PUBLIC_URL}/api/v1/agent/manifest"
    assert rest.startswith("kubectl -n aquifer-system create secret generic aquifer-agent-join ")
    assert rest.endswith(f"--from-literal=token={made['secret']}")

    with override_settings(PUBLIC_URL="https://hub.test", AGENT_IMAGE="registry.test/agent:1"):
        manifest = Client().get("/api/v1/agent/manifest")
    assert (manifest.status_code, manifest.headers["Content-Type"]) == (200, "application/yaml; charset=utf-8")
    objects = list(yaml.safe_load_all(manifest.content))
    assert {"Namespace", "Deployment", "ClusterRole", "ValidatingAdmissionPolicy"} <= {o["kind"] for o in objects}
    container = next(o for o in objects if o["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert "--hub=https://hub.test" in container["args"]
    assert container["image"] == "registry.test/agent:1"
    assert "example.org" not in manifest.content.decode()


def test_a_pool_is_made_and_reshaped(sign_in: SignIn) -> None:
    operator = sign_in(Role.PLATFORM_OPERATOR)
    one, two = factories.cluster(), factories.cluster()
    made = operator.post("/api/v1/pools", {"slug": "a100", "name": "A100", "clusters": [str(one.pk)]})
    assert (made.status_code, made.json()["clusters"], made.json()["policy"]) == (201, [str(one.pk)], "packing")
    address = f"/api/v1/pools/{made.json()['id']}"
    both = {"clusters": [str(one.pk), str(two.pk)], "policy": "spread"}
    changed = operator.patch(address, both, headers={"If-Match": '"1"'})
    assert (changed.status_code, sorted(changed.json()["clusters"])) == (200, sorted(both["clusters"]))
    unknown = operator.patch(address, {"clusters": [str(made.json()["id"])]}, headers={"If-Match": '"2"'})
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (422, "unknown-cluster")
    assert operator.get(address).json()["version"] == 2


@pytest.fixture
def running() -> tuple[Node, Workload, Allocation]:
    """A workload that runs on a node of two; the other one is free."""
    cluster = factories.cluster(factories.node_seen("node-a"), factories.node_seen("node-b"))
    project, pool = factories.project(), factories.pool(cluster)
    factories.quota(project)
    workload = factories.workload(project, pool, accelerators=4)
    admission.run(str(pool.pk))
    allocation = Allocation.objects.get()
    for _ in range(3):
        allocations.run(str(allocation.pk))
    allocation.refresh_from_db()
    assert allocation.state == "active"
    return allocation.node, workload, allocation


def test_a_node_is_emptied_and_taken_back(sign_in: SignIn, running: tuple[Node, Workload, Allocation]) -> None:
    node, workload, allocation = running
    operator = sign_in(Role.PLATFORM_OPERATOR)
    address = f"/api/v1/nodes/{node.pk}"
    drained = operator.post(f"{address}/drain")
    assert (drained.status_code, drained.json()["state"], drained.json()["actions"]) == (202, "draining", ["undrain"])
    work: Any = operator.get(f"/api/v1/workloads/{workload.pk}").json()
    assert (work["state"], work["attempt"]) == ("queued", 2), "it waits for another place"
    held = operator.get(f"/api/v1/allocations/{allocation.pk}").json()
    assert (held["state"], held["reason"]) == ("stopping", "NodeDrained")
    for _ in range(3):
        allocations.run(str(allocation.pk))
    assert operator.get(address).json()["state"] == "drained"
    admission.run(str(workload.pool_id))
    elsewhere = operator.get("/api/v1/allocations", {"workload": str(workload.pk), "state": "reserved"}).json()
    assert [one["node_name"] for one in elsewhere["results"]] == [{"node-a": "node-b", "node-b": "node-a"}[node.name]]
    back = operator.post(f"{address}/undrain")
    assert (back.status_code, back.json()["state"], back.json()["actions"]) == (202, "ready", ["drain"])
    assert operator.get("/api/v1/nodes", {"state": "ready", "cluster": str(node.cluster_id)}).json()["results"][1]
    history = operator.get(f"/api/v1/workloads/{workload.pk}/history").json()
    assert [(h["object_type"], h["to_state"]) for h in history if h["object_type"] == "workload"][-1][1] == "admitted"


def test_a_cluster_that_holds_work_is_not_retired(sign_in: SignIn, running: tuple[Node, Workload, Allocation]) -> None:
    node, _, allocation = running
    operator = sign_in(Role.PLATFORM_OPERATOR)
    address = f"/api/v1/clusters/{node.cluster_id}"
    early = operator.post(f"{address}/retire")
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    assert operator.post(f"{address}/drain").json()["state"] == "draining"
    assert operator.post(f"{address}/retire").status_code == 409, "stopping is not gone"
    for _ in range(3):
        allocations.run(str(allocation.pk))
    assert operator.post(f"{address}/retire").json()["state"] == "retired"
    assert Cluster.objects.get(pk=node.cluster_id).next_check_at is None
    assert not AgentOrder.objects.exists()


def test_physical_cards_are_told_apart_from_what_can_be_handed_out(sign_in: SignIn) -> None:
    """One card that is seen by its host too, one in two parts, and one of which others hold some."""
    whole = factories.node_seen("n", devices=3)
    parts = [DeviceSeen(i, f"MIG-{i}", "nvidia", "A100-80G/1g.10gb", 9728, parent_uuid="GPU-n-1") for i in (3, 4)]
    used = replace(whole.devices[2], foreign_milli=300, foreign_memory_mib=7, mode="sliced", health=Health.UNHEALTHY)
    guest = factories.cluster(
        replace(whole, devices=(*whole.devices[:2], used, *parts), foreign_cpu_milli=5, foreign_memory_mib=6)
    )
    host = factories.cluster(replace(whole, devices=whole.devices[:1]), kind="kvm")
    viewer = sign_in(Role.PLATFORM_VIEWER)

    def listed(**asked: str) -> dict[str, Any]:
        rows = viewer.get("/api/v1/accelerators", {"limit": "200", **asked}).json()["results"]
        return {f"{row['uuid']} of {row['cluster']}": row for row in rows}

    cards = listed(physical="true")
    assert sorted(row["uuid"] for row in cards.values()) == ["GPU-n-0", "GPU-n-1", "GPU-n-2"]
    others = listed(physical="false")
    assert len(others) == 3
    inside, cut = cards[f"GPU-n-0 of {guest.pk}"], cards[f"GPU-n-1 of {guest.pk}"]
    assert others[f"GPU-n-0 of {host.pk}"]["counted_at"] == inside["id"]
    assert cut["present_parts"] == 2
    assert sorted(row["uuid"] for row in listed(parent=cut["id"]).values()) == ["MIG-3", "MIG-4"]
    third = cards[f"GPU-n-2 of {guest.pk}"]
    assert (third["foreign_milli"], third["foreign_memory_mib"], third["mode"]) == (300, 7, "sliced")
    node = viewer.get(f"/api/v1/nodes/{third['node']}").json()
    assert (node["foreign_cpu_milli"], node["foreign_memory_mib"]) == (5, 6)

    summary = viewer.get("/api/v1/accelerators/summary").json()
    assert [(row["model"], row["physical"], row["offered"], row["foreign_milli"]) for row in summary] == [
        ("A100-80G", 3, 2, 300),
        ("A100-80G/1g.10gb", 0, 2, 0),
    ]
    here = viewer.get("/api/v1/accelerators/summary", {"cluster": str(guest.pk)}).json()
    assert [(row["shareable"], row["parts"], row["unhealthy"], row["elsewhere"]) for row in here] == [
        (2, 0, 1, 0), (0, 2, 0, 0)
    ]  # fmt: skip
    there = viewer.get("/api/v1/accelerators/summary", {"cluster": str(host.pk)}).json()
    assert [(row["physical"], row["offered"], row["elsewhere"]) for row in there] == [(0, 0, 1)]
    assert viewer.get("/api/v1/accelerators/summary", {"cluster": "no-id"}).status_code == 422
    estate = viewer.get("/api/v1/accelerators/map").json()
    shown = {row[0]: row[7:] for cluster in estate["clusters"] for one in cluster["nodes"] for row in one["d"]}
    assert shown[inside["id"]] == [0, 0, None]
    assert shown[cut["id"]] == [0, 1, None]
    assert shown[third["id"]] == [300, 0, None]
    assert sorted(row[1:] for row in shown.values() if row[1] > 1) == [
        [2, cut["id"]], [2, cut["id"]], [3, inside["id"]]
    ]  # fmt: skip
    total = viewer.get("/api/v1/overview").json()["accelerators"]
    assert (total["total"], total["offered"], total["capacity_milli"]) == (3, 4, 4000)
    assert (total["foreign_milli"], total["placeable_milli"], total["largest_free_block"]) == (300, 3000, 3)


def test_the_map_and_the_overview_agree_with_the_lists(
    sign_in: SignIn, running: tuple[Node, Workload, Allocation]
) -> None:
    viewer = sign_in(Role.PLATFORM_VIEWER)
    estate = viewer.get("/api/v1/accelerators/map").json()
    devices = [device for cluster in estate["clusters"] for node in cluster["nodes"] for device in node["d"]]
    listed = viewer.get("/api/v1/accelerators", {"limit": "200"}).json()["results"]
    assert {device[0]: device[3] for device in devices} == {one["id"]: one["held_milli"] for one in listed}
    overview = viewer.get("/api/v1/overview").json()
    assert overview["accelerators"]["total"] == len(listed) == 8
    assert overview["accelerators"]["held_milli"] == sum(one["held_milli"] for one in listed) == 4000
    assert overview["workloads"] == [{"name": "running", "count": 1}]
    assert overview["nodes"] == [{"name": "ready", "count": 2}]
    held = next(one for one in listed if one["held_milli"])
    assert [holder["milli"] for holder in held["holders"]] == [1000]
