"""The Kubernetes that other tests rely on is what they take it for."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.kube import build, fleet, kwok
from tests.kube.api import Api, ApiError, Object
from tests.kube.certificates import Authority
from tests.kube.fixtures import require
from tests.kube.plane import ControlPlane
from tests.kube.vendors import KINDS

T = TypeVar("T")
LIST_NODES = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
pytestmark = pytest.mark.processes


def wait_for(look: Callable[[], T], seconds: float = 60) -> T:
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
    return seen


@pytest.fixture
def api(plane: ControlPlane) -> Iterator[Api]:
    with plane.api() as api:
        yield api
        fleet.remove(api)


@pytest.fixture
def kwok_api(kwok_plane: ControlPlane) -> Iterator[Api]:
    with kwok_plane.api() as api:
        yield api
        fleet.remove(api)


def namespace(api: Api, name: str) -> str:
    """A new one, in which pods can be made."""
    api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
    wait_for(lambda: [item for item in api.items(accounts) if item["metadata"]["name"] == "default"])
    return name


def job(name: str, cards: int = 0, annotations: dict[str, str] | None = None, **variables: str) -> Object:
    container = {
        "name": "main",
        "image": "localhost/busybox:1",
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "resources": {"limits": {"nvidia.com/gpu": cards}} if cards else {},
    }
    template = {"metadata": {"annotations": annotations}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": template}}


# -- the control plane ------------------------------------------------------------------------------------------------


def test_it_is_the_version_asked_for_and_its_certificate_is_verified(plane: ControlPlane, api: Api) -> None:
    assert api.get("/version")["gitVersion"] == f"v{build.CURRENT}"
    with plane.api(ca_pem=Authority("somebody else").pem) as stranger, pytest.raises(ssl.SSLCertVerificationError):
        stranger.get("/version")
    with plane.api(token="not-a-token") as stranger, pytest.raises(ApiError) as refused:
        stranger.get("/api/v1/nodes")
    assert refused.value.status == 401


def test_a_service_account_may_do_what_its_rules_say(plane: ControlPlane, api: Api) -> None:
    space = namespace(api, "rig-accounts")
    token = plane.service_account(space, "reader", LIST_NODES)
    with plane.api(token) as reader:
        assert reader.get("/api/v1/nodes")["kind"] == "NodeList"
        with pytest.raises(ApiError) as refused:
            reader.get("/api/v1/pods")
    assert (refused.value.status, refused.value.reason) == (403, "Forbidden")
    assert plane.can(token, "list", "nodes")
    assert not plane.can(token, "list", "pods", "-n", space)
    assert "NotFound" in plane.kubectl("get", "nodes", "nowhere", check=False)
    config = json.loads(plane.kubeconfig(token))
    assert [*config["users"][0]["user"]] == ["token"]


def test_the_old_one_works_too(old_plane: ControlPlane) -> None:
    with old_plane.api() as api:
        assert api.get("/version")["gitVersion"] == f"v{build.OLD}"
        fleet.add(api, "nvidia")
        token = old_plane.service_account("default", "rig", LIST_NODES)
        assert old_plane.can(token, "list", "nodes")
        fleet.remove(api)
        assert list(api.items("/api/v1/nodes")) == []


def test_every_vendor_has_a_node(api: Api) -> None:
    fleet.add_all(api)
    nodes = {item["metadata"]["name"].removeprefix("node-"): item for item in api.items("/api/v1/nodes")}
    assert nodes.keys() == KINDS.keys()
    for kind, wanted in KINDS.items():
        allocatable = nodes[kind]["status"]["allocatable"]
        assert {name: int(value) for name, value in allocatable.items() if "/" in name} == wanted.resources
        assert wanted.labels.items() <= nodes[kind]["metadata"]["labels"].items()
    slices = list(api.items("/apis/resource.k8s.io/v1/resourceslices"))
    assert sorted(item["spec"]["nodeName"] for item in slices) == [
        "node-dra-amd", "node-dra-and-plugin", "node-dra-nvidia", "node-dra-nvidia-mig",
    ]  # fmt: skip
    # The same card has one UUID, however it is shown.
    (both,) = [item for item in slices if item["spec"]["nodeName"] == "node-dra-and-plugin"]
    assert len({device["attributes"]["uuid"]["string"] for device in both["spec"]["devices"]}) == 8
    # Ready nodes lose the taint they are made with.
    wait_for(lambda: not [item for item in api.items("/api/v1/nodes") if item["spec"].get("taints")])


def test_nodes_are_as_bad_as_a_test_wants_them(api: Api) -> None:
    fleet.add(api, "nvidia", "two-bad-cards", allocatable={"nvidia.com/gpu": 6})
    fleet.add(api, "nvidia", "closed", unschedulable=True)
    fleet.add(api, "nvidia", "down", is_ready=False)
    nodes = {item["metadata"]["name"]: item for item in api.items("/api/v1/nodes")}
    status = nodes["two-bad-cards"]["status"]
    assert (status["capacity"]["nvidia.com/gpu"], status["allocatable"]["nvidia.com/gpu"]) == ("8", "6")
    assert nodes["closed"]["spec"]["unschedulable"]
    wait_for(
        lambda: any(
            taint["key"] == "node.kubernetes.io/not-ready"
            for taint in api.get("/api/v1/nodes/down")["spec"].get("taints", [])
        )
    )


def test_hundreds_are_made_at_once(make_plane: Callable[..., ControlPlane]) -> None:
    with make_plane().api() as api:
        fleet.many(api, nodes=100, pods=400)
        pods = list(api.items("/api/v1/namespaces/default/pods", limit=150))
        assert len({item["metadata"]["name"] for item in pods}) == 400
        assert {item["status"]["phase"] for item in pods} == {"Running"}
        assert len({item["spec"]["nodeName"] for item in pods}) == 100
        fleet.remove(api)
        assert list(api.items("/api/v1/nodes")) == list(api.items("/api/v1/pods")) == []


def test_old_revisions_can_be_thrown_away(make_plane: Callable[..., ControlPlane]) -> None:
    plane = make_plane(watch_cache=False)
    with plane.api() as api:
        for number in range(5):
            fleet.add(api, "cpu", f"n{number}")
        page = api.get("/api/v1/nodes", limit=2)["metadata"]
        for number in range(5, 8):  # the revision that is compacted to is itself still known
            fleet.add(api, "cpu", f"n{number}")
        plane.compact()
        with pytest.raises(ApiError) as expired:
            api.get("/api/v1/nodes", limit=2, **{"continue": page["continue"]})
        assert (expired.value.status, expired.value.reason) == (410, "Expired")
        answer = api.text("/api/v1/nodes", watch=1, resourceVersion=page["resourceVersion"], timeoutSeconds=5)
        assert json.loads(answer)["object"]["code"] == 410


def test_a_server_that_comes_back_knows_no_old_watches(make_plane: Callable[..., ControlPlane]) -> None:
    plane = make_plane()
    with plane.api() as api:
        version = api.get("/api/v1/nodes")["metadata"]["resourceVersion"]
        fleet.add(api, "cpu", "n0")
        plane.stop_apiserver()
        with pytest.raises(OSError):
            api.get("/api/v1/nodes")
        plane.start_apiserver()
        answer = api.text("/api/v1/nodes", watch=1, resourceVersion=version, timeoutSeconds=5)
        assert json.loads(answer.splitlines()[0])["object"]["code"] == 410
        assert [item["metadata"]["name"] for item in api.items("/api/v1/nodes")] == ["n0"]


# -- KWOK -------------------------------------------------------------------------------------------------------------


def test_a_job_on_a_fake_node_runs_and_completes(kwok_api: Api) -> None:
    space = namespace(kwok_api, "rig-job")
    fleet.add(kwok_api, "nvidia", "kwok-nvidia", kwok=True)
    jobs = f"/apis/batch/v1/namespaces/{space}/jobs"
    kwok_api.post(jobs, job("eight", 8, RUN_SECONDS="1.5"))
    done = wait_for(lambda: (seen := kwok_api.get(f"{jobs}/eight")["status"]).get("succeeded") and seen)
    assert done["succeeded"] == 1
    (pod,) = kwok_api.items(f"/api/v1/namespaces/{space}/pods")
    assert pod["spec"]["nodeName"] == "kwok-nvidia"
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    assert ended["startedAt"] < ended["finishedAt"]


def test_pods_behave_as_they_are_told(kwok_api: Api) -> None:
    space = namespace(kwok_api, "rig-told")
    fleet.add(kwok_api, "nvidia", "kwok-told", kwok=True)
    jobs, pods = f"/apis/batch/v1/namespaces/{space}/jobs", f"/api/v1/namespaces/{space}/pods"
    kwok_api.post(jobs, job("killed", 1, RUN_SECONDS="0", EXIT_CODE="137", EXIT_REASON="OOMKilled"))
    kwok_api.post(jobs, job("wrong", 1, {kwok.RUN_SECONDS: "0", kwok.EXIT_CODE: "3"}))
    kwok_api.post(jobs, job("stuck", 1, {kwok.WAITING_REASON: "ImagePullBackOff"}))
    kwok_api.post(jobs, job("long", 1))
    kwok_api.post(jobs, job("large", 64))

    def states() -> dict[str, tuple[str, object]]:
        found = {}
        for pod in kwok_api.items(pods):
            status = pod["status"]
            container = status.get("containerStatuses", [{"state": {}}])[0]["state"]
            ended, waiting = container.get("terminated"), container.get("waiting")
            detail = (ended["exitCode"], ended["reason"]) if ended else waiting and waiting["reason"]
            found[pod["metadata"]["labels"]["job-name"]] = (status["phase"], detail)
        return found

    wanted = {
        "killed": ("Failed", (137, "OOMKilled")),
        "wrong": ("Failed", (3, "Error")),
        "stuck": ("Pending", "ImagePullBackOff"),
        "long": ("Running", None),
        "large": ("Pending", None),
    }
    wait_for(lambda: states() == wanted)
    kwok_api.delete(f"{jobs}/long", propagationPolicy="Background")
    wait_for(lambda: "long" not in states())


def test_kwok_leaves_other_nodes_alone(kwok_api: Api) -> None:
    space = namespace(kwok_api, "rig-alone")
    fleet.add(kwok_api, "nvidia", "not-kwok")
    fleet.add(kwok_api, "nvidia", "is-kwok", kwok=True)
    pods = f"/api/v1/namespaces/{space}/pods"
    kwok_api.post(pods, fleet.pod("left", node="not-kwok"))
    kwok_api.post(pods, fleet.pod("taken", node="is-kwok"))
    wait_for(lambda: kwok_api.get(f"{pods}/taken")["status"]["phase"] == "Running")
    assert kwok_api.get(f"{pods}/left")["status"]["phase"] == "Pending"


def test_a_node_whose_kwok_is_gone_becomes_not_ready(make_plane: Callable[..., ControlPlane]) -> None:
    plane = make_plane(node_grace_seconds=5)
    fake = kwok.Kwok(plane)
    fake.start()
    with plane.api() as api:
        fleet.add(api, "nvidia", "silent", kwok=True)

        def ready() -> Object:
            conditions: list[Object] = api.get("/api/v1/nodes/silent")["status"]["conditions"]
            return next(condition for condition in conditions if condition["type"] == "Ready")

        first = ready()
        wait_for(lambda: ready()["lastHeartbeatTime"] > first["lastHeartbeatTime"])
        fake.stop()
        wait_for(lambda: ready()["status"] == "Unknown")
        fake.start()
        wait_for(lambda: ready()["status"] == "True")


# -- nothing is left --------------------------------------------------------------------------------------------------


def running(folder: str) -> list[str]:
    """Processes with this folder in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if folder in path.read_text():
                found.append(path.parent.name)
        except (OSError, ValueError):
            pass
    return found


def test_after_stop_nothing_is_left(make_plane: Callable[..., ControlPlane]) -> None:
    plane = make_plane()
    kwok.Kwok(plane).start()
    folder = plane.folder
    assert len(running(str(folder))) == 5
    with plane.api() as api:  # an open connection holds nothing up
        api.get("/version")
        began = time.monotonic()
        plane.stop()
        assert time.monotonic() - began < 10
    assert running(str(folder)) == []
    assert not folder.exists()


def test_after_a_crash_nothing_is_left() -> None:
    require(build.CURRENT)
    program = (
        "from tests.kube.plane import ControlPlane; p = ControlPlane().start(); print(p.folder, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as crashing:
        assert crashing.stdout
        folder = crashing.stdout.readline().strip()
        assert len(running(folder)) == 4
        os.kill(crashing.pid, signal.SIGKILL)
    wait_for(lambda: not running(folder) and not Path(folder).exists())
