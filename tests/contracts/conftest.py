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
from tests.contracts.cluster_agent import ClusterAgentHarness
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


def _redfish(request: pytest.FixtureRequest) -> Harness:
    site = RedfishHarness()
    request.addfinalizer(site.close)
    return site


def _redfish_rows(request: pytest.FixtureRequest) -> Harness:
    """With the ledger that the hub keeps, on the harness's clock."""
    request.getfixturevalue("db")
    cluster = factories.cluster(kind="baremetal")

    def ledger(clock: Callable[[], float]) -> RowLedger:
        rows = RowLedger(cluster)
        rows.now = clock  # type: ignore[method-assign]  # a test's time is moved
        return rows

    site = RedfishHarness(ledger)
    request.addfinalizer(site.close)
    return site


HARNESSES: dict[str, Callable[[pytest.FixtureRequest], Harness]] = {
    **{f"fake-{kind}": _in_memory(kind) for kind in FLAVOURS},
    "fake-postgres": _in_postgres,
    "agent": lambda request: AgentHarness(),
    "agent-of-cluster": lambda request: ClusterAgentHarness(),
    "kubernetes": _on_kubernetes("plane"),
    "kubernetes-old": _on_kubernetes("old_plane"),
    "redfish": _redfish,
    "redfish-rows": _redfish_rows,
}


def _marks(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.kubernetes, pytest.mark.processes] if name.startswith("kubernetes") else []


@pytest.fixture(params=[pytest.param(name, marks=_marks(name)) for name in HARNESSES])
def site(request: pytest.FixtureRequest) -> Iterator[Harness]:
    yield HARNESSES[request.param](request)
