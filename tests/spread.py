"""Tests on several cores (`./run test -n 2`): a file stays on one worker, and so does all that starts processes.

Those that start workers, agents, engines or clusters measure time and share what they started: one runs after another,
beside tests that only compute. A plugin of pytest, see addopts in pyproject.toml.
"""

import fcntl
from collections.abc import Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_MARKS = ("processes", "kubernetes", "kvm", "docker", "baremetal")
_ALONE = (
    "agent/tests/", "tests/baremetal/", "tests/contracts/", "tests/deploy/", "tests/docker/", "tests/e2e/",
    "tests/federation/test_agent_update.py", "tests/federation/test_bench_agents.py", "tests/federation/test_crash.py",
    "tests/federation/test_four_kinds.py", "tests/kube/", "tests/kvm/", "tests/portal/test_broker.py",
    "tests/test_supervisor.py",
)  # fmt: skip


class ByFile(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return "processes" if nodeid.startswith(_ALONE) else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(map(item.get_closest_marker, _MARKS)) and not item.nodeid.startswith(_ALONE):
            raise pytest.UsageError(f"{item.nodeid} starts processes: its file belongs into the list in {__file__}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> Iterator[None]:
    """What is installed or built before the first test, one worker does, and the others find it done."""
    with (session.config.rootpath / "pyproject.toml").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
