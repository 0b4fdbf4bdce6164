"""Whatever happens on the way to an API server: an error in words, in time, nothing given away, and back after it."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from federation.drivers.base import CALL_TIMEOUT_SECONDS, DriverConfig, Unavailable, WorkloadSpec
from federation.drivers.kubernetes import watch as watching
from federation.drivers.kubernetes.driver import KubernetesDriver
from federation.drivers.kubernetes.mirror import KubernetesWatch, Mirror, NodeSink, trim_node
from federation.drivers.kubernetes.transport import Api, Endpoint
from federation.drivers.kubernetes.watch import Reflector
from tests.kube import fleet
from tests.kube.api import Api as Plain
from tests.kube.faults import BadLine, Fault
from tests.kube.plane import ControlPlane
from tests.kube.test_rig import wait_for

pytestmark = pytest.mark.processes
MARGIN_SECONDS = 1.0  # two cores that others work on too
SYSTEM = "aquifer-faults"
NODE = "faults-1"


@pytest.fixture(scope="module")
def ready(plane: ControlPlane) -> Iterator[ControlPlane]:
    with plane.api() as api:
        api.post("/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
        fleet.add(api, "nvidia", NODE)
        yield plane
        fleet.remove(api)
        api.delete(f"/api/v1/namespaces/{SYSTEM}")


@pytest.fixture
def line(ready: ControlPlane) -> Iterator[BadLine]:
    with BadLine(ready) as line:
        yield line


def api_through(line: BadLine, plane: ControlPlane) -> Api:
    return Api(Endpoint(line.url, ca_pem=plane.ca_pem, token=plane.admin_token))


def driver_through(line: BadLine, plane: ControlPlane) -> KubernetesDriver:
    """One with connections of its own."""
    settings = {"server": line.url, "system_namespace": SYSTEM, "default_image": "localhost/busybox:1"}
    return KubernetesDriver(DriverConfig("cluster-1", "kubernetes", 1, settings, port=api_through(line, plane)))


def work() -> WorkloadSpec:
    return WorkloadSpec(
        ref=str(uuid4()), epoch=1, generation=1, name="work", tenant="acme", project="faults", kind="batch",
        node=NODE, cpu_milli=100, memory_mib=64,
    )  # fmt: skip


CALLS: dict[str, Callable[[KubernetesDriver], Any]] = {
    "check": lambda driver: driver.check(),
    "inventory": lambda driver: driver.inventory(),
    "ensure": lambda driver: driver.ensure(work()),
    "observe": lambda driver: driver.observe("nobody"),
    "observe_many": lambda driver: driver.observe_many([str(uuid4()) for _ in range(20)]),
    "remove": lambda driver: driver.remove(str(uuid4())),
    "refs": lambda driver: driver.refs(),
    "logs": lambda driver: driver.logs("nobody"),
    "events": lambda driver: driver.events("nobody"),
    "shell": lambda driver: driver.shell("nobody", ["true"]),
}


def fails(driver: KubernetesDriver, call: Callable[[KubernetesDriver], Any]) -> tuple[Unavailable, float]:
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        call(driver)
    return caught.value, time.monotonic() - began


def all_fail(drivers: dict[str, KubernetesDriver], words: str) -> None:
    with ThreadPoolExecutor(len(CALLS)) as pool:
        waiting = {name: pool.submit(fails, drivers[name], CALLS[name]) for name in CALLS}
        for name, future in waiting.items():
            error, seconds = future.result(60)
            assert any(word in str(error) for word in words.split("|")), (name, str(error))
            assert seconds < CALL_TIMEOUT_SECONDS + MARGIN_SECONDS, (name, seconds)


def all_work(drivers: dict[str, KubernetesDriver]) -> None:
    for driver in drivers.values():
        assert driver.check().version
    assert NODE in [node.name for node in drivers["inventory"].inventory()]


LATE = "took too long|could not be reached in time"
FAULTS = {
    Fault.CUT: "nothing answers",
    Fault.RESET: "broke|nothing answers",
    Fault.CLOSED: "broke",
    Fault.HALF_OPEN: LATE,
    Fault.SLOW: LATE,
    Fault.DRIP: LATE,
    Fault.EXPIRED: "has expired",
    Fault.WRONG_HOST: "for another",
    Fault.STRANGER: "not from the authority",
}


@pytest.mark.parametrize("is_warm", [False, True], ids=["new connections", "kept connections"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_line_is_an_error_in_words_and_in_time(
    line: BadLine, ready: ControlPlane, fault: Fault, is_warm: bool
) -> None:
    drivers = {name: driver_through(line, ready) for name in CALLS}
    if is_warm:
        all_work(drivers)
    line.received.clear()
    line.fault = fault
    all_fail(drivers, FAULTS[fault])
    if fault in (Fault.EXPIRED, Fault.WRONG_HOST, Fault.STRANGER):
        assert bytes(line.received) == b""
    elif fault == Fault.SLOW:
        assert ready.admin_token.encode() in line.received  # so the line does see what is sent
    line.heal()
    all_work(drivers)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_says_when_to_come_again(line: BadLine, ready: ControlPlane, status: int) -> None:
    line.answer(status, retry_after=7)
    drivers = {name: driver_through(line, ready) for name in CALLS if name != "shell"}
    for name, driver in drivers.items():
        error, _ = fails(driver, CALLS[name])
        assert error.retry_after == 7, name
        assert str(status) in str(error)
    error, _ = fails(driver_through(line, ready), CALLS["shell"])
    line.heal()
    all_work(drivers)


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"", b"\xff\xfe", b"[1, 2]", b'"text"'])
def test_what_answers_but_is_no_api_server_is_unavailable(line: BadLine, ready: ControlPlane, body: bytes) -> None:
    line.answer(200, body=body)
    fails(driver_through(line, ready), CALLS["check"])


def test_after_five_failures_nobody_waits_for_it_and_it_comes_back(line: BadLine, ready: ControlPlane) -> None:
    driver = driver_through(line, ready)
    line.fault = Fault.HALF_OPEN
    with ThreadPoolExecutor(5) as pool:
        for future in [pool.submit(fails, driver, CALLS["check"]) for _ in range(5)]:
            future.result(60)
    _, seconds = fails(driver, CALLS["check"])
    assert seconds < 0.5
    line.heal()
    wait_for(lambda: works(driver), 30)


def works(driver: KubernetesDriver) -> bool:
    try:
        return bool(driver.check().version)
    except Unavailable:
        return False


# -- lists and watches ------------------------------------------------------------------------------------------------


class Impatient(threading.Event):
    """Waits between tries are cut short; how long they are is not what is tested here."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(0.001 if timeout is None else min(timeout, 0.001))


def names(api: Plain) -> set[str]:
    return {item["metadata"]["name"] for item in api.items("/api/v1/nodes")}


@pytest.fixture
def threads(line: BadLine) -> Iterator[Callable[..., None]]:
    """Runs things in threads that all end with the test."""
    started: list[threading.Thread] = []
    stop = Impatient()

    def start(*loops: Callable[[threading.Event], None]) -> None:
        for loop in loops:
            started.append(threading.Thread(target=loop, args=(stop,)))
            started[-1].start()

    yield start
    stop.set()
    line.fault = Fault.CUT  # a watch that hears nothing does not look whether it should stop
    for thread in started:
        thread.join(30)
        assert not thread.is_alive()


def test_a_thousand_times_expired_and_no_object_is_lost(
    line: BadLine, ready: ControlPlane, threads: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PAGE", 25)  # lists of many pages
    line.watch_seconds = 0.2
    line.expire(1000, chance=0.3)
    watch = KubernetesWatch(api_through(line, ready))
    is_enough = threading.Event()

    def churn(stop: threading.Event) -> None:
        """Nodes and pods come and go, and change."""
        chance = random.Random(1)
        with ready.api() as api:
            living: list[str] = []
            number = 0
            while not stop.is_set() and not is_enough.is_set():
                number += 1
                if len(living) < 60 or chance.random() < 0.5:
                    name = f"churn-{number}"
                    fleet.add(api, "nvidia", name)
                    api.post("/api/v1/namespaces/default/pods", fleet.pod(name, node=name))
                    living.append(name)
                else:
                    name = living.pop(chance.randrange(len(living)))
                    api.delete(f"/api/v1/namespaces/default/pods/{name}", gracePeriodSeconds=0)
                    api.delete(f"/api/v1/nodes/{name}")
                changed = chance.choice(living)
                api.patch(f"/api/v1/nodes/{changed}", {"metadata": {"labels": {"round": str(number)}}})

    with ready.api() as api:
        fleet.many(api, nodes=100, pods=100, namespace="default", prefix="still-")
        threads(*watch.loops(), churn)
        wait_for(lambda: line.expired >= 1000, 240)
        is_enough.set()
        assert sum(reflector.health.gone for reflector in watch.reflectors.values()) >= 900
        line.heal()
        line.cut_now()

        def is_same() -> bool:
            nodes = {item["metadata"]["name"]: trim_node(item) for item in api.items("/api/v1/nodes")}
            pods = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in api.items("/api/v1/pods")}
            with watch.mirror.lock:
                return watch.mirror.nodes == nodes and watch.mirror.pods.keys() == pods

        try:
            wait_for(is_same, 30)
            wait_for(lambda: watch.trouble() == "", 30)
        finally:
            fleet.remove(api, *(name for name in names(api) if name != NODE))


def test_a_watch_on_a_dead_line_is_noticed_and_goes_on(
    line: BadLine, ready: ControlPlane, threads: Callable[..., None]
) -> None:
    mirror = Mirror()
    api = api_through(line, ready)
    reflector = Reflector(api, "/api/v1/nodes", NodeSink(mirror), trim=trim_node, silent_seconds=1)
    with ready.api() as plain:
        threads(reflector.run)
        wait_for(lambda: NODE in mirror.nodes)
        line.fault = Fault.HALF_OPEN
        fleet.add(plain, "cpu", "while-dead")
        wait_for(lambda: not reflector.health.is_synced, 30)
        assert "while-dead" not in mirror.nodes
        line.heal()
        wait_for(lambda: "while-dead" in mirror.nodes, 30)
        fleet.remove(plain, "while-dead")
        wait_for(lambda: "while-dead" not in mirror.nodes, 30)
        assert reflector.health.lists == 1  # it went on from its place
        assert reflector.health.is_synced and reflector.health.why == ""
