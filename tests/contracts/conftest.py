"""Every driver that has a harness. A new driver is one more line in HARNESSES."""

from collections.abc import Callable, Iterator
from itertools import count
from uuid import uuid4

import pytest

from federation.drivers import fake_postgres
from federation.drivers.fake_knobs import FLAVOURS
from federation.drivers.fake_postgres import PostgresStore, link_to
from federation.drivers.fake_store import MemoryStore
from federation.servers import RowLedger
from tests import factories
from tests.contracts.agent import AgentHarness
from tests.contracts.agent_nvml import NvmlAgentHarness, report_of_a_process
from tests.contracts.cluster_agent import ClusterAgentHarness
from tests.contracts.docker import DockerHarness
from tests.contracts.fake import FakeHarness
from tests.contracts.harness import Harness
from tests.contracts.kube import KubeHarness
from tests.contracts.redfish import RedfishHarness

_numbers = count(1)


def _in_memory(kind: str) -> Callable[[pytest.FixtureRequest], Harness]:
    return lambda request: FakeHarness(kind, MemoryStore())


def _in_postgres(request: pytest.FixtureRequest) -> Harness:
    dsn = request.getfixturevalue("database_dsn")
    request.addfinalizer(fake_postgres.close_all)  # before the test database is dropped
    return FakeHarness("kubernetes", PostgresStore(link_to(dsn), f"cluster-{uuid4()}"))


def _on_kubernetes(fixture: str) -> Callable[[pytest.FixtureRequest], Harness]:
    """On a real control plane, which all cases share; each has a node and a namespace of its own."""

    def build(request: pytest.FixtureRequest) -> Harness:
        plane = request.getfixturevalue(fixture)
        site = KubeHarness(plane, next(_numbers), request.getfixturevalue("tmp_path"))
        request.addfinalizer(site.close)
        return site

    return build


def _with_nvml(request: pytest.FixtureRequest) -> Harness:
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    return NvmlAgentHarness(report_of_a_process(factory))


def _in_the_library(request: pytest.FixtureRequest) -> Harness:
    """libvirt's test driver: a host in the library itself."""
    request.getfixturevalue("libvirt_library")
    from tests.contracts.kvm import KvmHarness

    site = KvmHarness(request.getfixturevalue("tmp_path"), request.getfixturevalue("monkeypatch"))
    request.addfinalizer(site.close)
    return site


def _on_libvirt(fixture: str) -> Callable[[pytest.FixtureRequest], Harness]:
    """A real libvirt with QEMU, or one on a host with cards behind an IOMMU, which all cases share; each has a storage
    pool of its own."""

    def build(request: pytest.FixtureRequest) -> Harness:
        daemon = request.getfixturevalue(fixture)
        from tests.contracts.kvm import RealKvmHarness
        from tests.contracts.kvm_cards import CardsHarness

        kind = {"libvirtd": RealKvmHarness, "gpu_host": CardsHarness}[fixture]
        folder, patch = request.getfixturevalue("tmp_path"), request.getfixturevalue("monkeypatch")
        site = kind(daemon, next(_numbers), folder, patch)
        request.addfinalizer(site.close)
        return site

    return build


def _redfish(request: pytest.FixtureRequest) -> Harness:
    site = RedfishHarness()
    request.addfinalizer(site.close)
    return site


def _on_emulator(request: pytest.FixtureRequest) -> Harness:
    from tests.contracts.emulator import EmulatorHarness

    site = EmulatorHarness(request.getfixturevalue("tmp_path"))
    request.addfinalizer(site.close)
    return site


def _redfish_rows(request: pytest.FixtureRequest) -> Harness:
    """With the ledger that the hub keeps, on the harness's clock."""
    cluster = factories.cluster(kind="baremetal")

    def ledger(clock: Callable[[], float]) -> RowLedger:
        rows = RowLedger(cluster)
        rows.now = clock  # type: ignore[method-assign]  # a test's time is moved
        return rows

    site = RedfishHarness(ledger)
    request.addfinalizer(site.close)
    return site


def _on_docker(way: str) -> Callable[[pytest.FixtureRequest], Harness]:
    """On a real engine, which all cases share; each takes away what it made."""

    def build(request: pytest.FixtureRequest) -> Harness:
        site = DockerHarness(request.getfixturevalue("engine"), way)
        request.addfinalizer(site.close)
        return site

    return build


HARNESSES: dict[str, Callable[[pytest.FixtureRequest], Harness]] = {
    **{f"fake-{kind}": _in_memory(kind) for kind in FLAVOURS},
    "fake-postgres": _in_postgres,
    "agent": lambda request: AgentHarness(),
    "agent-nvml": _with_nvml,
    "agent-of-cluster": lambda request: ClusterAgentHarness(),
    "kubernetes": _on_kubernetes("plane"),
    "kubernetes-old": _on_kubernetes("old_plane"),
    "kvm-test": _in_the_library,
    "kvm-libvirt": _on_libvirt("libvirtd"),
    "kvm-cards": _on_libvirt("gpu_host"),
    "docker": _on_docker("unix"),
    "docker-tls": _on_docker("tls"),
    "redfish": _redfish,
    "redfish-rows": _redfish_rows,
    "redfish-emulator": _on_emulator,
}


def _marks(name: str) -> list[pytest.MarkDecorator]:
    if name == "agent-nvml":
        return [pytest.mark.processes]
    if name == "fake-postgres":  # asks for its database when it runs
        return [pytest.mark.servers]
    if name == "redfish-rows":
        return [pytest.mark.django_db]
    if name == "redfish-emulator":
        return [pytest.mark.baremetal]
    if name == "kvm-cards":  # minutes: machines in an emulated machine
        return [pytest.mark.kvm, pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(600)]
    if name.startswith("kvm"):
        return [pytest.mark.kvm] if name == "kvm-test" else [pytest.mark.kvm, pytest.mark.processes]
    for kind in ("kubernetes", "docker"):
        if name.startswith(kind):
            return [getattr(pytest.mark, kind), pytest.mark.processes]
    return []


@pytest.fixture(params=[pytest.param(name, marks=_marks(name)) for name in HARNESSES])
def site(request: pytest.FixtureRequest) -> Iterator[Harness]:
    yield HARNESSES[request.param](request)
