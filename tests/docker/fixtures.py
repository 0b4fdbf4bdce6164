"""Fixtures of a real Docker engine, for all tests (a plugin of pytest, see addopts in pyproject.toml).

`engine` and `podman` live as long as the session and are shared: a test takes away what it made (`engine.clear`).
"""

import os
from collections.abc import Iterator

import pytest

from tests.docker import engine as rig
from tests.docker import podman as pod

_FIXTURES = frozenset({"engine", "podman"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything that needs a real engine can be left out by its mark."""
    for item in items:
        if _FIXTURES & {*getattr(item, "fixturenames", ())}:
            item.add_marker("docker")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Installs in CI before the first test, since a test has a time limit."""
    if session.config.option.collectonly or not os.environ.get("CI"):
        return
    if any(item.get_closest_marker("docker") for item in session.items) and (rig.missing() or pod.why_not()):
        rig.install((*rig.PACKAGES, *pod.PACKAGES))


def require(reason: str) -> None:
    """Skips the test, or fails it for root in CI, if this machine cannot have an engine."""
    if reason:
        if os.environ.get("CI") and os.geteuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def engine() -> Iterator[rig.Engine]:
    require(rig.missing())
    with rig.Engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def podman() -> Iterator[pod.Podman]:
    require(pod.why_not())
    with pod.Podman() as podman:
        yield podman
