"""A cluster of bare servers whose controllers are ours, with time that is moved."""

import os
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from federation.drivers.base import Boot, DeviceGrant, DriverConfig, Observation, ObservedState, WorkloadSpec
from federation.drivers.redfish.driver import RedfishDriver
from federation.drivers.redfish.ledger import MemoryLedger
from tests.baremetal.bmc import PASSWORD, USER, Bmc, HookServer, plain_tree

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data" / "redfish-gb300"
RECORDED = Path(os.environ.get("AQUIFER_REDFISH_GB300", _BESIDE)) / "mockup.tar.xz"
CARDS = 2


class Site:
    """Servers srv-1, srv-2, ... of two cards each."""

    def __init__(self, servers: int = 2) -> None:
        self.now = 1000.0
        self.bmcs = [Bmc(lambda: self.now, plain_tree(CARDS, uuid=_serial(n))) for n in range(servers)]
        self.hooks = HookServer()
        self.ledger: Any = MemoryLedger(lambda: self.now)
        self.settings: dict[str, Any] = {
            "machines": [bmc.settings(f"srv-{n + 1}") for n, bmc in enumerate(self.bmcs)],
            "plain_http": True, "hooks": self.hooks.settings("wipe"),
        }  # fmt: skip
        self.secrets = {"username": USER, "password": PASSWORD, "hook_secret": "s" * 32}

    def driver(self, epoch: int = 1) -> RedfishDriver:
        return RedfishDriver(DriverConfig("c-1", "baremetal", epoch, self.settings, self.secrets, self.ledger))

    def spec(self, ref: str = "lease-1", server: int = 1, **changes: Any) -> WorkloadSpec:
        devices = tuple(DeviceGrant(i, _serial(server - 1)(i), 1000, 81920) for i in range(CARDS))
        facts: dict[str, Any] = {
            "ref": ref, "epoch": 1, "generation": 1, "name": "box", "tenant": "acme", "project": "vision",
            "kind": "server", "node": f"srv-{server}", "cpu_milli": 64_000, "memory_mib": 1024, "devices": devices,
        }  # fmt: skip
        return WorkloadSpec(**{**facts, **changes})

    def until(self, look: Callable[[], Observation], state: ObservedState, seconds: int = 90) -> Observation:
        for _ in range(seconds):
            seen = look()
            if seen.state == state:
                return seen
            self.now += 1
        raise AssertionError(f"never {state}: {seen}")

    def start(self, spec: WorkloadSpec) -> Observation:
        return self.until(lambda: self.driver().ensure(spec), ObservedState.RUNNING)

    def end(self, ref: str = "lease-1") -> Observation:
        return self.until(lambda: self.driver().remove(ref), ObservedState.ABSENT)

    def written(self, server: int = 1) -> list[tuple[str, str, Any]]:
        return self.bmcs[server - 1].asked

    def close(self) -> None:
        self.hooks.close()
        for bmc in self.bmcs:
            bmc.close()


def _serial(server: int) -> Callable[[int], str]:
    return lambda card: f"S{server}-CARD-{card}"


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port at which a recorded tree of a GB300 server is served, read only."""
    if not RECORDED.is_file():
        pytest.skip("the recorded Redfish tree of a GB300 server is not here (AQUIFER_REDFISH_GB300)")
    folder = tmp_path_factory.mktemp("gb300")
    with tarfile.open(RECORDED) as archive:
        archive.extractall(folder, filter="data")
    arguments = ["-m", str(folder / "redfish" / "v1"), "-i", "127.0.0.1"]
    yield from served("sushy_tools.static.main", *arguments)


def served(module: str, *arguments: str, env: dict[str, str] | None = None) -> Iterator[int]:
    """A program of sushy-tools on a free port, until it answers and until the test ends."""
    port = free_port()
    code = f"import sys; from {module} import main; sys.exit(main())"
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments, "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    try:
        for _ in range(200):
            if answers(port):
                break
            assert process.poll() is None, f"{module} ended with {process.returncode}"
            time.sleep(0.05)
        else:
            raise AssertionError(f"{module} does not answer")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def answers(port: int) -> bool:
    line = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        line.request("GET", "/redfish/v1/")
        return line.getresponse().status == 200
    except OSError:
        return False
    finally:
        line.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


BOOT = Boot(ssh_keys=("ssh-ed25519 AAAA ada",), user_data="#cloud-config\n", image_url="https://images/x.qcow2")
