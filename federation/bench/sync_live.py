"""An API server with thousands of nodes and pods: lists, reading, rows, and how soon a change is seen in them."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any
from uuid import uuid4

from django.db import connection
from django.db.models import QuerySet

from federation.bench.figures import BenchError, Clock, copy_seconds, memory_mib, spread
from federation.drivers.base import NodeSeen
from federation.drivers.kubernetes.fleet import CLAIMS, LIVING, SLICES
from federation.drivers.kubernetes.mirror import KubernetesWatch
from federation.drivers.kubernetes.nodes import nodes_seen
from federation.drivers.kubernetes.pods import pod_held
from federation.drivers.kubernetes.transport import PAGE, Api, ApiError, Endpoint, Json
from federation.models import Accelerator, Cluster, ClusterKind, ClusterWatch, Node, Site
from federation.reconcile import inventory
from federation.reconcile.watches import Follower
from federation.states import ClusterState

MARK = "topology.kubernetes.io/zone"  # one of the labels of a node that are kept
MERGE = "application/merge-patch+json"
LONGEST_WAIT = 60.0


def run(options: dict[str, Any]) -> dict[str, Any]:
    with _server(options) as (endpoint, filled):
        return {**filled, **_measure(Api(endpoint), options)}


@contextmanager
def _server(options: dict[str, Any]) -> Iterator[tuple[Endpoint, dict[str, Any]]]:
    """The server to measure, with nodes and pods in it if that was asked for."""
    if options["plane"]:
        with _of_tests("plane").ControlPlane() as plane:
            endpoint = Endpoint(plane.url, ca_pem=plane.ca_pem, token=plane.admin_token)
            yield endpoint, _fill(endpoint, options["nodes"], options["pods"])
        return
    try:
        token = options["token_file"].read_text().strip() if options["token_file"] else ""
        ca_pem = options["ca_file"].read_text() if options["ca_file"] else ""
    except OSError as error:
        raise BenchError(str(error)) from error
    endpoint = Endpoint(options["server"], ca_pem=ca_pem, token=token)
    if not options["fill"]:
        yield endpoint, {}
        return
    try:
        yield endpoint, _fill(endpoint, options["nodes"], options["pods"])
    finally:
        with _client(endpoint) as client:
            _of_tests("fleet").remove(client)


def _of_tests(name: str) -> Any:
    """The checkout's own control plane and fake nodes; what is installed without tests has none."""
    try:
        return import_module(f"tests.kube.{name}")
    except ImportError as error:
        raise BenchError(f"--plane and --fill need a checkout with its tests: {error}") from error


def _client(endpoint: Endpoint) -> Any:
    return _of_tests("api").Api(endpoint.server, endpoint.ca_pem, endpoint.token)


def _fill(endpoint: Endpoint, nodes: int, pods: int) -> dict[str, Any]:
    """Nodes of all vendors, in equal parts, and on them pods that are not ours."""
    fleet = _of_tests("fleet")
    kinds = [name for name, kind in _of_tests("vendors").KINDS.items() if kind.cards and not kind.slices]
    with Clock() as clock, _client(endpoint) as client:
        for number, kind in enumerate(kinds):
            share = [len(range(number, total, len(kinds))) for total in (nodes, pods)]
            if share[0]:
                fleet.many(client, *share, kind=kind, prefix=f"bench-{kind}-", is_running=False)
    return {"fill_seconds": round(clock.seconds, 1)}


def _measure(api: Api, options: dict[str, Any]) -> dict[str, Any]:
    figures: dict[str, Any] = {"memory_before_mib": memory_mib()}
    cluster = Cluster.objects.create(
        site=Site.objects.create(slug="bench", name="Bench"), slug="bench", name="Bench",
        kind=ClusterKind.KUBERNETES, driver="kubernetes", state=ClusterState.CONNECTED,
    )  # fmt: skip
    figures |= _lists(api)
    seen, read = _read(api)
    figures |= read | _store(cluster, seen)
    del seen
    figures |= _follow(api, cluster, options)
    return {**figures, "memory_peak_mib": memory_mib("VmHWM")}


def _lists(api: Api) -> dict[str, Any]:
    """The raw pages, not even parsed more than to find the next: what the server and the wire can do."""
    size = 0
    with Clock() as clock:
        for path, query in (("/api/v1/nodes", {}), ("/api/v1/pods", {"fieldSelector": LIVING})):
            token = ""
            while True:
                page = {**query, "limit": str(PAGE), **({"continue": token} if token else {})}
                data = api.raw(api.begin(), "GET", path, query=page)
                size += len(data)
                # `metadata` comes before `items`; a full parse would be counted as the server's time.
                head = data[:2000]
                at = head.find(b'"continue":"')
                token = "" if at < 0 else head[at + 12 : head.index(b'"', at + 12)].decode()
                if not token:
                    break
    return {
        "list_seconds": round(clock.seconds, 2), "list_mib": round(size / 2**20, 1),
        "list_mib_per_second": round(size / 2**20 / clock.seconds, 1),
    }  # fmt: skip


def _read(api: Api) -> tuple[list[NodeSeen], dict[str, Any]]:
    with Clock() as parsing:
        nodes = list(api.items(api.begin(), "/api/v1/nodes"))
        slices, claims = _optional(api, SLICES), _optional(api, CLAIMS)
        pods: list[Json] = []
        deadline = api.begin()
        for pod in api.items(deadline, "/api/v1/pods", fieldSelector=LIVING):
            deadline.ends = api.begin().ends  # the bench is not the driver: it may take longer than one step
            pods.append(pod)
    with Clock() as mapping:
        held = [one for pod in pods if (one := pod_held(pod)) is not None]
        seen, complaints = inventory.believable(nodes_seen(nodes, slices, claims, held))
    return seen, {
        "nodes": len(nodes), "pods": len(pods), "slices": len(slices), "not_believed": len(complaints),
        "list_parsed_seconds": round(parsing.seconds, 2), "mapping_cpu_seconds": round(mapping.cpu, 2),
    }  # fmt: skip


def _optional(api: Api, path: str) -> list[Json]:
    try:
        return list(api.items(api.begin(), path))
    except ApiError:
        return []


def _store(cluster: Cluster, seen: list[NodeSeen]) -> dict[str, Any]:
    with Clock() as first:
        inventory.store(cluster, seen)
    cluster.refresh_from_db()
    with Clock() as second:
        has_changed = inventory.store(cluster, seen)
    rows = Accelerator.objects.count() + Node.objects.count()
    limit = copy_seconds(rows)
    return {
        "devices": Accelerator.objects.count(), "cards": Accelerator.objects.physical().count(),
        "first_apply_seconds": round(first.seconds, 2), "second_apply_seconds": round(second.seconds, 2),
        "second_changed": has_changed, "copy_seconds": round(limit, 2),
        "first_apply_per_copy": round(first.seconds / limit, 1),
    }  # fmt: skip


def _follow(api: Api, cluster: Cluster, options: dict[str, Any]) -> dict[str, Any]:
    token = ClusterWatch.objects.take(cluster.pk)
    assert token is not None
    follower, ended = Follower(cluster.pk, token, KubernetesWatch(api)), threading.Event()

    def renew() -> None:
        while not ended.wait(5.0):
            follower.renew()
        connection.close()

    keeper = threading.Thread(target=renew, daemon=True)
    try:
        with Clock() as start:
            _until(lambda: not follower.behind, "the first picture")
        keeper.start()
        figures = {"follow_start_seconds": round(start.seconds, 2), "memory_following_mib": memory_mib()}
        names = list(Node.objects.filter(cluster=cluster).order_by("name").values_list("name", flat=True))
        count = options["changes"]
        nodes = [names[i % len(names)] for i in range(count)]
        figures |= spread("one_node", [_one(api, name) for name in nodes])
        figures |= spread("one_pod", _pods(api, cluster, count))
        return figures | spread("rated", _rated(api, nodes, options["change_rate"]))
    finally:
        ended.set()
        follower.end()
        for thread in follower.threads[-1:]:
            thread.join(10)


def _until(is_so: Callable[[], bool], what: str, every: float = 0.001) -> None:
    deadline = time.monotonic() + LONGEST_WAIT
    while not is_so():
        if time.monotonic() > deadline:
            raise BenchError(f"Waited {LONGEST_WAIT:.0f} s in vain for {what}.")
        time.sleep(every)


def _patch(api: Api, name: str, mark: str) -> float:
    """When it was sent."""
    at = time.perf_counter()
    body = {"metadata": {"labels": {MARK: mark}}}
    api.call(api.begin(), "PATCH", f"/api/v1/nodes/{name}", body=body, kind=MERGE)
    return at


def _marks() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, labels->>%s FROM federation_node", [MARK])
        return dict(cursor.fetchall())


def _one(api: Api, name: str) -> float:
    """From sending a change of a node to the moment that its row has it, looked at every millisecond."""
    mark = uuid4().hex
    at = _patch(api, name, mark)
    row = Node.objects.filter(name=name).values_list("labels", flat=True)
    _until(lambda: row[0].get(MARK) == mark, f"the row of {name}")
    return time.perf_counter() - at


def _is_below(before: int, held: QuerySet[Any, int]) -> bool:
    return sum(held.all()) < before


def _pods(api: Api, cluster: Cluster, count: int) -> list[float]:
    """From deleting somebody's pod to the moment that the row of its node has what it held back."""
    found = api.get(api.begin(), "/api/v1/pods", limit=str(count), fieldSelector=LIVING).get("items") or []
    took = []
    for pod in found:
        node = pod["spec"].get("nodeName")
        held = Accelerator.objects.filter(node__cluster=cluster, node__name=node).values_list(
            "foreign_milli", flat=True
        )
        before = sum(held)
        if not before:
            continue
        at = time.perf_counter()
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        api.call(api.begin(), "DELETE", path, body={"gracePeriodSeconds": 0})
        _until(partial(_is_below, before, held), f"the cards of {node}")
        took.append(time.perf_counter() - at)
    return took


def _rated(api: Api, names: list[str], rate: int) -> list[float]:
    """Changes of nodes at a steady rate; the rows of all of them are looked at every five milliseconds."""
    sent: dict[str, float] = {}
    marks = {uuid4().hex: name for name in names}
    seen: dict[str, float] = {}

    def send(mark: str) -> None:
        sent[mark] = time.perf_counter()
        _patch(api, marks[mark], mark)

    def pace(pool: ThreadPoolExecutor) -> None:
        began = time.perf_counter()
        for number, mark in enumerate(marks):
            time.sleep(max(0.0, began + number / rate - time.perf_counter()))
            pool.submit(send, mark)

    def look() -> bool:
        for mark in _marks().values():
            seen.setdefault(mark, time.perf_counter())
        return all(mark in seen for mark in marks)

    with ThreadPoolExecutor(8) as pool:
        pacer = threading.Thread(target=pace, args=(pool,))
        pacer.start()
        _until(look, "the rows of all changes", every=0.005)
        pacer.join()
    return [seen[mark] - at for mark, at in sent.items()]
