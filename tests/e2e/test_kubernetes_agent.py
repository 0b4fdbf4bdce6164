"""A real cluster joins a real hub by its agent: one line of kubectl, then work, a crash, a removal by hand, the end.

The control plane is real, its nodes are KWOK's. The agent runs beside it as it would in its pod: with the token of its
service account and the roles of the manifest that the hub hands out, and nothing more.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.product import Client, Product, until
from tests.kube import fleet
from tests.kube.plane import ControlPlane

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]
SYSTEM = "aquifer-system"


class Site:
    """The cluster, what an operator types, and the agent's pod."""

    def __init__(self, product: Product, admin: Client, plane: ControlPlane, folder: Path) -> None:
        self.product, self.admin, self.plane, self.folder = product, admin, plane, folder
        site = admin.post("/sites", {"slug": "kube", "name": "Kube"})["id"]
        body = {"site": site, "slug": "kube", "name": "Kube", "kind": "kubernetes", "driver": "agent"}
        self.cluster: str = admin.post("/clusters", body)["id"]
        self.api = plane.api()

    def join(self) -> None:
        """The line that the hub's page shows, word for word."""
        command = self.admin.post("/join-tokens", {"cluster": self.cluster})["command"]
        for line in command.split(" && "):
            program, *words = line.split()
            assert program == "kubectl"
            self.plane.kubectl(*words)

    def start_pod(self) -> None:
        """What the kubelet gives to the pod, and what the Deployment says."""
        account = self.folder / "account"
        account.mkdir(exist_ok=True)
        (account / "token").write_text(self.plane.token(SYSTEM, "aquifer-agent"))
        (account / "ca.crt").write_text(self.plane.ca_pem)
        (account / "namespace").write_text(SYSTEM)
        settings = self.api.get(f"/api/v1/namespaces/{SYSTEM}/configmaps/aquifer-agent-settings")["data"]
        (self.folder / "settings.json").write_text(settings["settings.json"])
        self.product._spawn(
            "cluster-agent",
            ["-m", "aquifer_agent", "run-cluster", "--hub", self.product.url, "--account", str(account),
             "--api-server", self.plane.url, "--settings", str(self.folder / "settings.json"),
             "--heartbeat", str(self.folder / "heartbeat")],
        )  # fmt: skip

    def state(self) -> str:
        return str(self.admin.get(f"/clusters/{self.cluster}")["state"])

    def jobs(self, work: str) -> list[dict[str, Any]]:
        return list(self.api.items("/apis/batch/v1/jobs", labelSelector=f"aquifer.io/workload={work}"))

    def pods(self, work: str) -> list[dict[str, Any]]:
        return list(self.api.items("/api/v1/pods", labelSelector=f"aquifer.io/workload={work}"))


@pytest.fixture(scope="module")
def site(
    product: Product, admin: Client, kwok_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("cluster")
    made = Site(product, admin, kwok_plane, folder)
    for number in range(2):
        fleet.add(made.api, "nvidia", f"joined-{number}", kwok=True)
    made.join()
    made.start_pod()
    yield made
    product.kill("cluster-agent")
    fleet.remove(made.api, "joined-0", "joined-1")
    for item in made.api.items("/api/v1/namespaces", labelSelector="app.kubernetes.io/managed-by=aquifer"):
        made.api.delete(f"/api/v1/namespaces/{item['metadata']['name']}")
    kwok_plane.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", f"{product.url}/api/v1/agent/manifest")
    made.api.close()


@pytest.fixture(scope="module")
def place(site: Site, admin: Client) -> dict[str, Any]:
    """A tenant with quota for the cluster's cards, and a pool of the cluster."""
    until(lambda: site.state() == "connected", what="the cluster to connect")
    cards = until(lambda: admin.get(f"/accelerators?cluster={site.cluster}&limit=200")["results"], what="its cards")
    assert len(cards) == 16
    tenant = admin.post("/tenants", {"slug": "kubed", "name": "Kubed"})["id"]
    project = admin.post("/projects", {"tenant": tenant, "slug": "vision", "name": "Vision"})["id"]
    pool = admin.post("/pools", {"slug": "kube", "name": "Kube", "clusters": [site.cluster]})["id"]
    for flavor in admin.get("/flavors?limit=200")["results"]:
        body = {"tenant": tenant, "project": project, "flavor": flavor["name"], "nominal_milli": 32_000}
        admin.post("/quotas", body)
    return {"project": project, "pool": pool, "tenant": tenant}


def submit(admin: Client, place: dict[str, Any], **spec: Any) -> str:
    body = {
        "project": place["project"], "pool": place["pool"], "cpu_milli": 1000, "memory_mib": 1024, "accelerators": 2,
        "image": "registry.example.org/job:1", "command": ["train"], **spec,
    }  # fmt: skip
    return str(admin.post("/workloads", body)["id"])


def in_state(admin: Client, work: str, state: str) -> dict[str, Any]:
    seen: list[Any] = [None]

    def look() -> Any:
        seen[0] = admin.get(f"/workloads/{work}")
        return seen[0] if seen[0]["state"] == state else None

    try:
        return until(look, what=state)
    except AssertionError as error:
        words = ("state", "reason", "message")
        grants = [[a[w] for w in words] for a in admin.get(f"/allocations?workload={work}")["results"]]
        raise AssertionError(f"{error}: {[seen[0][w] for w in words]}, {grants}") from None


def released(admin: Client, work: str) -> list[dict[str, Any]]:
    def rows() -> Any:
        found = admin.get(f"/allocations?workload={work}")["results"]
        return found if found and all(a["state"] == "released" for a in found) else []

    return until(rows, what="release")


def test_it_joins_by_one_line_and_its_token_is_gone_after(site: Site) -> None:
    until(lambda: site.state() == "connected", what="the cluster to connect")
    shown = site.admin.get(f"/clusters/{site.cluster}")
    assert shown["site_version"].startswith("v1.")
    nodes = until(lambda: site.admin.get(f"/nodes?cluster={site.cluster}")["results"], what="its nodes")
    assert {node["name"] for node in nodes} == {"joined-0", "joined-1"}
    secrets = {s["metadata"]["name"]: s for s in site.api.items(f"/api/v1/namespaces/{SYSTEM}/secrets")}
    assert "aquifer-agent-join" not in secrets
    assert "identity.json" in secrets["aquifer-agent-identity"]["data"]


def end(admin: Client, work: str) -> None:
    """Work that was pushed off is queued anew; it must not meet the next test."""
    admin.post(f"/workloads/{work}/cancel")
    released(admin, work)


def test_work_runs_there_and_ends(site: Site, admin: Client, place: dict[str, Any]) -> None:
    work = submit(admin, place, name="short", env={"RUN_SECONDS": "3"})
    in_state(admin, work, "running")
    grant = admin.get(f"/allocations?workload={work}")["results"][0]
    (pod,) = site.pods(work)
    assert pod["spec"]["nodeName"] == grant["node_name"]
    assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    binding = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{pod['metadata']['namespace']}/rolebindings/aquifer"
    assert site.api.get(binding)["roleRef"]["name"] == "aquifer-agent-project"
    ended = in_state(admin, work, "succeeded")
    assert ended["exit_code"] == 0
    assert len(released(admin, work)) == 1
    assert site.jobs(work) == []


def test_a_pod_of_the_agent_dies_and_the_next_goes_on(site: Site, admin: Client, place: dict[str, Any]) -> None:
    work = submit(admin, place, name="long", env={"RUN_SECONDS": "600"})
    site.product.kill("cluster-agent")
    time.sleep(1)
    site.start_pod()
    in_state(admin, work, "running")
    assert len(site.jobs(work)) == len(site.pods(work)) == 1
    site.product.kill("cluster-agent")
    site.start_pod()
    cancelled = admin.post(f"/workloads/{work}/cancel")
    assert cancelled["state"] == "cancelled"
    assert len(released(admin, work)) == 1
    assert (site.jobs(work), site.pods(work)) == ([], [])


def test_what_is_deleted_by_hand_is_seen(site: Site, admin: Client, place: dict[str, Any]) -> None:
    work = submit(admin, place, name="deleted", env={"RUN_SECONDS": "600"})
    in_state(admin, work, "running")
    (job,) = site.jobs(work)
    meta = job["metadata"]
    grant = meta["name"].removeprefix("aq-")
    site.plane.kubectl("-n", meta["namespace"], "delete", "job", meta["name"], "--wait=false")

    def gone() -> Any:
        found = admin.get(f"/allocations/{grant}")
        return found if found["state"] == "released" else None

    assert until(gone, what="release")["reason"]
    words = [c["reason"] for c in admin.get(f"/workloads/{work}/history") if c["object_id"] == grant]
    assert {"VanishedAtSite", "RemovedAtSite"} & {*words}, words
    end(admin, work)
    assert meta["name"] not in [job["metadata"]["name"] for job in site.jobs(work)]


def test_a_namespace_is_deleted_by_hand_and_made_anew(site: Site, admin: Client, place: dict[str, Any]) -> None:
    work = submit(admin, place, name="swept", env={"RUN_SECONDS": "600"})
    in_state(admin, work, "running")
    (job,) = site.jobs(work)
    space = job["metadata"]["namespace"]
    uid = site.api.get(f"/api/v1/namespaces/{space}")["metadata"]["uid"]
    site.api.delete(f"/api/v1/namespaces/{space}")

    def is_gone() -> bool:
        return uid not in {n["metadata"]["uid"] for n in site.api.items("/api/v1/namespaces")}

    until(is_gone, what="the namespace to go")
    end(admin, work)
    again = submit(admin, place, name="again", env={"RUN_SECONDS": "2"})
    in_state(admin, again, "succeeded")
    released(admin, again)


def test_the_agent_is_alive_in_the_eyes_of_the_kubelet(site: Site) -> None:
    heartbeat = site.folder / "heartbeat"
    until(heartbeat.exists, what="its first beat")  # it may have been started just now
    assert time.time() - heartbeat.stat().st_mtime < 30
