"""What the tests of a real node share."""

from collections.abc import Iterator

import pytest

from tests.kube.node import DRIVER, RealNode
from tests.kube.site import SYSTEM, Site


@pytest.fixture(scope="session")
def quiet(real_node: RealNode) -> RealNode:
    with real_node.plane.api() as api:
        api.post("/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
        labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}
        api.patch(f"/api/v1/nodes/{real_node.name}", {"metadata": {"labels": labels}})
        kind = {"selectors": [{"cel": {"expression": f'device.driver == "{DRIVER}"'}}]}
        api.post("/apis/resource.k8s.io/v1/deviceclasses", {"metadata": {"name": DRIVER}, "spec": kind})
    return real_node


@pytest.fixture
def site(quiet: RealNode) -> Iterator[Site]:
    site = Site(quiet)
    yield site
    for ref in site.refs:
        site.driver.remove(ref)
    for ref in site.refs:
        site.end(ref)


@pytest.fixture
def by_name(quiet: RealNode) -> Iterator[None]:
    """The cards are shown one by one, by DRA."""
    quiet.publish(True)
    yield
    quiet.publish(False)
