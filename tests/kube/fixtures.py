"""Fixtures of a real Kubernetes, for all tests (a plugin of pytest, see addopts in pyproject.toml).

| fixture | lives | |
|---|---|---|
| `plane` | session | control plane of the current version |
| `old_plane` | session | three minors older |
| `kwok_plane` | session | current, with KWOK: pods run on nodes made by `fleet.add(..., kwok=True)` |
| `helm` | session | runs Helm and gives what it prints |
| `make_plane` | test | makes one for a test that breaks it or fills it: `make_plane(watch_cache=False)` |

Those of a session are shared: a test makes its own namespace and takes away the nodes that it made (`fleet.remove`).
Without the programs (see `build`) a test is skipped; in CI they are built, and a plane that does not come up fails.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.kube import build
from tests.kube.kwok import Kwok
from tests.kube.plane import ControlPlane

_VERSIONS = {
    "plane": build.CURRENT,
    "kwok_plane": build.CURRENT,
    "make_plane": build.CURRENT,
    "old_plane": build.OLD,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything that needs a real Kubernetes can be left out by its mark."""
    for item in items:
        if {"helm", *_VERSIONS} & {*getattr(item, "fixturenames", ())}:
            item.add_marker("kubernetes")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds in CI before the first test, since a test has a time limit and a build takes minutes."""
    if os.environ.get("CI") and not session.config.option.collectonly:
        wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
        for version in sorted({_VERSIONS[name] for name in wanted & _VERSIONS.keys()}, reverse=True):
            try:
                build.ensure(version)
            except build.Unavailable as reason:
                print(f"Kubernetes {version}: {reason}")
        if any("helm" in getattr(item, "fixturenames", ()) for item in session.items):
            try:
                build.ensure_helm()
            except build.Unavailable as reason:
                print(f"Helm: {reason}")


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


@pytest.fixture
def make_plane() -> Iterator[Callable[..., ControlPlane]]:
    require(build.CURRENT)
    with ExitStack() as stack:

        def make(version: str = build.CURRENT, **options: Any) -> ControlPlane:
            require(version)
            return stack.enter_context(ControlPlane(version, **options))

        yield make
