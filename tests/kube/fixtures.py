"""Fixtures of a real Kubernetes, for all tests (a plugin of pytest, see addopts in pyproject.toml).

| fixture | lives | |
|---|---|---|
| `plane` | session | control plane of the current version |
| `old_plane` | session | three minors older |
| `kwok_plane` | session | current, with KWOK: pods run on nodes made by `fleet.add(..., kwok=True)` |
| `helm` | session | runs Helm and gives what it prints |
| `real_node` | session | a node with kubelet, containerd and eight cards that are not there, on a plane of its own |
| `make_plane` | test | makes one for a test that breaks it or fills it: `make_plane(watch_cache=False)` |

Those of a session are shared: a test makes its own namespace and takes away the nodes that it made (`fleet.remove`).
Without the programs (see `build`) a test is skipped; in CI they are built, and a plane that does not come up fails.
A real node needs root and some packages of Debian's, which are installed for it where that can be done.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.kube import build, node
from tests.kube.kwok import Kwok
from tests.kube.plane import ControlPlane

_VERSIONS = {
    "plane": build.CURRENT,
    "kwok_plane": build.CURRENT,
    "make_plane": build.CURRENT,
    "real_node": build.CURRENT,
    "old_plane": build.OLD,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything that needs a real Kubernetes can be left out by its mark."""
    for item in items:
        if {"helm", *_VERSIONS} & {*getattr(item, "fixturenames", ())}:
            item.add_marker("kubernetes")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds in CI before the first test, since a test has a time limit and a build takes minutes."""
    if session.config.option.collectonly:
        return
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if os.environ.get("CI"):
        for version in sorted({_VERSIONS[name] for name in wanted & _VERSIONS.keys()}, reverse=True):
            try:
                build.ensure(version)
            except build.Unavailable as reason:
                print(f"Kubernetes {version}: {reason}")
        if "helm" in wanted:
            try:
                build.ensure_helm()
            except build.Unavailable as reason:
                print(f"Helm: {reason}")
    if "real_node" in wanted and not build.programs().missing:
        node.install()


def require(version: str) -> None:
    """Skips the test, or fails it in CI, if this version's programs are not there."""
    if not build.programs(version).missing:
        return
    try:
        build.find_go()
    except build.Unavailable as reason:
        pytest.skip(str(reason))
    text = f"Kubernetes {version} is not built (python -m tests.kube.build does, in some minutes)"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    require(build.CURRENT)
    with ControlPlane() as plane:
        yield plane


@pytest.fixture(scope="session")
def old_plane() -> Iterator[ControlPlane]:
    require(build.OLD)
    require(build.CURRENT)  # its kubectl
    with ControlPlane(build.OLD) as plane:
        yield plane


@pytest.fixture(scope="session")
def kwok_plane() -> Iterator[ControlPlane]:
    require(build.CURRENT)
    with ControlPlane() as plane:
        Kwok(plane).start()
        yield plane


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """`helm("lint", "chart")`: its output; CalledProcessError with what it said when it refuses."""
    if not build.helm().exists():
        text = f"Helm {build.HELM} is not built (python -m tests.kube.build does, in some minutes)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(text)
    home = tmp_path_factory.mktemp("helm")

    def run(*arguments: str, **env: str) -> str:
        done = subprocess.run(
            [str(build.helm()), *arguments], env={"HOME": str(home), **env}, capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, arguments, done.stdout, done.stderr)
        return done.stdout

    return run


@pytest.fixture(scope="session")
def real_node() -> Iterator[node.RealNode]:
    require_node()
    with ControlPlane() as plane:
        yield node.RealNode(plane).start()


def require_node() -> None:
    """Skips the test, or fails it for root in CI, if this machine cannot have a real node."""
    require(build.CURRENT)
    if reason := node.missing():
        if os.environ.get("CI") and os.geteuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def make_plane() -> Iterator[Callable[..., ControlPlane]]:
    require(build.CURRENT)
    with ExitStack() as stack:

        def make(version: str = build.CURRENT, **options: Any) -> ControlPlane:
            require(version)
            return stack.enter_context(ControlPlane(version, **options))

        yield make
