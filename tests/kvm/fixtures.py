"""Fixtures of hosts with KVM, for all tests (a plugin of pytest, see addopts in pyproject.toml).

| fixture | lives | |
|---|---|---|
| `libvirt_library` | session | libvirt's own library: enough for its test driver, which needs no daemon and no root |
| `libvirtd` | session | a libvirt of its own with QEMU, in namespaces of its own; machines are emulated (host.py) |
| `gpu_host` | session | a machine in QEMU with cards behind an IOMMU, which itself is a host (nested.py); slow |

Without root or the packages (needs.PACKAGES) tests are skipped and say so; for root in CI they are installed, or fail.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kvm import needs

_ALL = frozenset({"libvirt_library", "libvirtd", "gpu_host"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _ALL & {*getattr(item, "fixturenames", ())}:
            item.add_marker("kvm")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Installs in CI before the first test, since a test has a time limit."""
    wanted = any(item.get_closest_marker("kvm") for item in session.items)
    if wanted and os.environ.get("CI") and not session.config.option.collectonly:
        needs.install()
        if any(map(_needs_cards, session.items)):
            _build_nested()


def _needs_cards(item: pytest.Item) -> bool:
    """By its arguments, or as a case of the contract suite (which asks for its site's fixture when it runs)."""
    case = getattr(item, "callspec", None)
    return "gpu_host" in getattr(item, "fixturenames", ()) or (case is not None and "kvm-cards" in case.params.values())


def _build_nested() -> None:
    from tests.kvm import nested

    try:
        nested.build()
    except nested.NotBuilt as reason:
        print(f"A host with cards inside QEMU: {reason}")


def _require(reason: str) -> None:
    if not reason:
        return
    if os.environ.get("CI") and os.geteuid() == 0 and needs.program("apt-get"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def libvirt_library() -> Any:
    _require(needs.missing_library())
    from federation.drivers.kvm.library import library

    return library()


@pytest.fixture(scope="session")
def libvirtd() -> Iterator[Any]:
    _require(needs.missing_daemon())
    needs.find()
    from tests.kvm.host import OwnLibvirt

    with OwnLibvirt() as host:
        yield host


@pytest.fixture(scope="session")
def ssh_host(libvirtd: Any) -> Any:
    """An SSH server on loopback that leads to `libvirtd`."""
    absent = [name for name in ("sshd", "ssh", "ssh-keygen") if needs.program(name) is None]
    _require(f"not installed: {', '.join(absent)}" if absent else "")
    from tests.kvm.ssh import SshHost

    return SshHost(libvirtd)


@pytest.fixture(scope="session")
def gpu_host() -> Iterator[Any]:
    from tests.kvm import nested

    _require(nested.missing())
    with nested.NestedHost() as host:
        yield host
