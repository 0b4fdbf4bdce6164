"""The main job on two real Kubernetes clusters: a gang with shares of cards, placed, run, seen and billed."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.product import Client, Product, Refused, until
from tests.e2e.test_walk import in_state, look, released
from tests.kube import build, fleet
from tests.kube.api import Api
from tests.kube.fixtures import require
from tests.kube.kwok import Kwok
from tests.kube.plane import ControlPlane

pytestmark = [pytest.mark.processes, pytest.mark.kubernetes, pytest.mark.timeout(300)]
SYSTEM = "aquifer-system"
FLAVOR = "nvidia-a100-80g"


@pytest.fixture(scope="module")
def planes() -> Iterator[list[ControlPlane]]:
    """Two of our own: what is counted here must be all there is."""
    require(build.CURRENT)
    with ControlPlane() as first, ControlPlane() as second:
        Kwok(first).start()
        Kwok(second).start()
        yield [first, second]


@pytest.fixture(scope="module")
def place(product: Product, admin: Client, planes: list[ControlPlane]) -> dict[str, Any]:
    """Two clusters at two sites, each with one node of two cards that HAMi divides; a project with quota for all."""
    product.start_watcher()
    clusters = []
    for number, plane in enumerate(planes):
        with plane.api() as api:
            _furnish(api, number)
        site = admin.post("/sites", {"slug": f"k8s-{number}", "name": f"Kubernetes {number}"})
        connection = {"server": plane.url, "ca_pem": plane.ca_pem, "token": plane.admin_token}
        body = {
            "site": site["id"], "slug": f"k8s-{number}", "name": f"Cluster {number}", "kind": "kubernetes",
            "driver": "kubernetes", "connection": connection,
        }  # fmt: skip
        clusters.append(admin.post("/clusters", body)["id"])
    for cluster in clusters:
        until(lambda cluster=cluster: admin.get(f"/clusters/{cluster}")["state"] == "connected", what="the cluster")
        until(lambda cluster=cluster: admin.get(f"/accelerators?cluster={cluster}")["results"], what="its cards")
    pool = admin.post("/pools", {"slug": "k8s", "name": "Kubernetes", "clusters": clusters})
    tenant = admin.post("/tenants", {"slug": "kube-co", "name": "Kube & Co"})
    project = admin.post("/projects", {"tenant": tenant["id"], "slug": "lab", "name": "Lab"})
    for flavor, amount in ((FLAVOR, 4000), ("cpu", 64000)):
        quota = {"tenant": tenant["id"], "project": project["id"], "flavor": flavor, "nominal_milli": amount}
        admin.post("/quotas", quota)
    admin.post("/prices", {"flavor": FLAVOR, "unit_price": "7.2", "currency": "CNY"})
    return {"pool": pool["id"], "tenant": tenant["id"], "project": project["id"], "clusters": clusters}


def _furnish(api: Api, number: int) -> None:
    fleet.add(api, "cpu", f"gpu-{number}", kwok=True, annotations=_cards(number))
    api.post("/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
    # The scheduler of HAMi counts these; the plain one needs to be told of them.
    amounts = {"nvidia.com/gpu": "20", "nvidia.com/gpumem": "1000000", "nvidia.com/gpucores": "1000"}
    api.patch(f"/api/v1/nodes/gpu-{number}/status", {"status": {"capacity": amounts, "allocatable": amounts}})


def _cards(number: int) -> dict[str, str]:
    """Two cards as HAMi writes them on a node."""
    cards = [
        {
            "id": f"GPU-{number}-{i}", "index": i, "count": 10, "devmem": 81920, "devcore": 100,
            "type": "NVIDIA-NVIDIA A100-SXM4-80GB", "mode": "hami-core", "health": True,
        }
        for i in range(2)
    ]  # fmt: skip
    return {"hami.io/node-nvidia-register": json.dumps(cards), "hami.io/node-handshake": "Reported 2026.01.01 00:00:00"}


def submit(admin: Client, place: dict[str, Any], **spec: Any) -> str:
    body = {
        "project": place["project"], "pool": place["pool"], "name": "job", "image": "localhost/busybox:1",
        "command": ["train"], "cpu_milli": 1000, "memory_mib": 1024, "accelerators": 1, **spec,
    }  # fmt: skip
    return str(admin.post("/workloads", body)["id"])


def jobs(plane: ControlPlane) -> list[dict[str, Any]]:
    with plane.api() as api:
        return list(api.items("/apis/batch/v1/jobs", labelSelector="app.kubernetes.io/managed-by=aquifer"))


def test_a_gang_of_four_with_shares_is_placed_run_seen_ended_and_billed(
    admin: Client, place: dict[str, Any], planes: list[ControlPlane]
) -> None:
    gang = {"replicas": 4, "accelerator_milli": 500, "env": {"RUN_SECONDS": "4"}}
    first, second = (submit(admin, place, name=name, **gang) for name in ("first", "second"))
    for work in (first, second):
        in_state(admin, work, "running")
    grants = [g for w in (first, second) for g in admin.get(f"/allocations?workload={w}")["results"]]
    assert len(grants) == 8
    assert {g["cluster"] for g in grants} == set(place["clusters"]), "each cluster has room for one of them only"
    held = [(s["uuid"], s["milli"]) for g in grants for s in g["shares"]]
    assert sorted(m for _, m in held) == [500] * 8
    # What runs there is exactly what was granted, on the very cards.
    for plane in planes:
        for job in jobs(plane):
            pod = job["spec"]["template"]
            (grant,) = [g for g in grants if g["id"] == job["metadata"]["labels"]["aquifer.io/ref"]]
            assert pod["metadata"]["annotations"]["nvidia.com/use-gpuuuid"] == grant["shares"][0]["uuid"]
            assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpucores"] == "50"
    # A third one waits, and says for what.
    third = submit(admin, place, name="third", **gang)
    waiting = until(lambda: (w := look(admin, third))["reason"] not in ("Submitted", "") and w, what="a reason")
    assert waiting["state"] in ("queued", "admitted")
    for work in (first, second, third):
        in_state(admin, work, "succeeded")
        assert all(g["exit_code"] == 0 for g in released(admin, work))
    for plane in planes:
        until(lambda plane=plane: not jobs(plane), what="nothing left at the site")
    # The bill: so many seconds of half a card each, at 7.2 an hour.
    works = (first, second, third)
    granted = sum(
        Decimal(g["held_milli"]) / 1000 * _length(g)
        for work in works
        for g in admin.get(f"/allocations?workload={work}")["results"]
    )
    assert granted > 0
    until(lambda: abs(_billed(admin, works) - granted) < Decimal("0.01"), what=f"its metering of {granted} s")


def _billed(admin: Client, works: Iterable[str]) -> Decimal:
    """Seconds of a whole card."""
    rows = [row for work in works for row in admin.get(f"/usage-records?workload={work}&limit=200")["results"]]
    return sum((Decimal(str(row["milli_seconds"])) / 1000 for row in rows if row["flavor"] == FLAVOR), Decimal(0))


def _length(grant: dict[str, Any]) -> Decimal:
    """What is billed of it: whole seconds, at least one."""
    began, ended = (datetime.fromisoformat(grant[key]).replace(microsecond=0) for key in ("started_at", "ended_at"))
    return max(Decimal(1), Decimal((ended - began) // timedelta(seconds=1)))


def test_what_others_run_there_is_used_and_never_touched(
    admin: Client, place: dict[str, Any], planes: list[ControlPlane]
) -> None:
    stranger = fleet.pod("stranger", node="gpu-0", resources={"cpu": "2", "memory": "4Gi"})
    with planes[0].api() as api:
        api.post("/api/v1/namespaces/default/pods", stranger)
    node = until(
        lambda: (n := admin.get(f"/nodes?cluster={place['clusters'][0]}")["results"][0])["foreign_cpu_milli"] and n,
        what="the stranger to be seen",
    )
    assert node["foreign_cpu_milli"] == 2000
    with planes[0].api() as api:
        api.delete("/api/v1/namespaces/default/pods/stranger", gracePeriodSeconds=0)
    until(lambda: not admin.get(f"/nodes/{node['id']}")["foreign_cpu_milli"], what="its end to be seen")


def test_a_job_deleted_by_hand_is_seen_and_its_work_queued_anew(
    admin: Client, place: dict[str, Any], planes: list[ControlPlane]
) -> None:
    work = submit(admin, place, name="deleted", env={})
    in_state(admin, work, "running")
    (grant,) = admin.get(f"/allocations?workload={work}")["results"]
    plane = planes[place["clusters"].index(grant["cluster"])]
    (job,) = jobs(plane)
    meta = job["metadata"]
    with plane.api() as api:
        path = f"/apis/batch/v1/namespaces/{meta['namespace']}/jobs/{meta['name']}"
        api.delete(path, propagationPolicy="Background")
    until(lambda: look(admin, work)["attempt"] == 2, what="a second attempt")
    in_state(admin, work, "running")
    history = [change["reason"] for change in admin.get(f"/workloads/{work}/history")]
    assert {"VanishedAtSite", "RemovedAtSite"} & set(history)
    admin.post(f"/workloads/{work}/cancel")
    released(admin, work)
    for each in planes:
        until(lambda each=each: not jobs(each), what="nothing left at the site")


def test_a_job_that_fails_says_why_in_our_words(
    admin: Client, place: dict[str, Any], planes: list[ControlPlane]
) -> None:
    work = submit(admin, place, name="oom", env={"RUN_SECONDS": "1", "EXIT_CODE": "137", "EXIT_REASON": "OOMKilled"})
    failed = in_state(admin, work, "failed")
    assert (failed["reason"], failed["exit_code"]) == ("OutOfMemory", 137)
    released(admin, work)
    pulling = submit(admin, place, name="pull", env={"WAITING_REASON": "ImagePullBackOff"})
    until(lambda: look(admin, pulling)["reason"] == "ImagePullFailed", what="the reason")
    admin.post(f"/workloads/{pulling}/cancel")
    released(admin, pulling)


def restart_workers(product: Product) -> None:
    product.kill("worker")
    product.kill("beat")
    product.start_workers(AQUIFER_LEASE_SECONDS="3")


def test_workers_killed_in_the_midst_of_it_leave_one_job_each(
    product: Product, admin: Client, place: dict[str, Any], planes: list[ControlPlane]
) -> None:
    restart_workers(product)  # a dead worker's leases end in seconds
    works = [submit(admin, place, name=f"storm-{i}", accelerator_milli=500, env={"RUN_SECONDS": "3"}) for i in range(8)]
    for _ in range(3):
        until(lambda: any(look(admin, w)["state"] in ("admitted", "running") for w in works), what="work to begin")
        restart_workers(product)
    for work in works:
        assert in_state(admin, work, "succeeded")["attempt"] == 1
        assert len(released(admin, work)) == 1
    for plane in planes:
        until(lambda plane=plane: not jobs(plane), what="nothing left at the site")


def test_a_credential_is_never_told(admin: Client, place: dict[str, Any], planes: list[ControlPlane]) -> None:
    cluster = admin.get(f"/clusters/{place['clusters'][0]}")
    assert planes[0].admin_token not in str(cluster)
    with pytest.raises(Refused) as refused:
        admin.post(
            "/clusters",
            {
                "site": cluster["site"], "slug": "bad", "name": "Bad", "kind": "kubernetes", "driver": "kubernetes",
                "connection": {"kubeconfig": "users: [{user: {exec: {command: sh}}}]"},
            },
        )  # fmt: skip
    assert refused.value.status in (400, 422)
    assert "exec" in str(refused.value.problem)
