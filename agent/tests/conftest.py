import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS.parent.parent)]

from agentsite import Site  # noqa: E402 - after the path is set
from clustersite import ClusterSite  # noqa: E402
from fakehub import FakeHub  # noqa: E402


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    yield hub
    hub.stop()


@pytest.fixture
def site(hub: FakeHub, tmp_path: Path) -> Iterator[Site]:
    site = Site(hub, tmp_path / "state")
    yield site
    site.close()


@pytest.fixture
def cluster(hub: FakeHub, tmp_path: Path) -> Iterator[ClusterSite]:
    cluster = ClusterSite(hub, tmp_path / "cluster")
    yield cluster
    cluster.close()
