"""A site of each kind on this machine, connected as an administrator does it: each back end is a real one of its kind.

Only cards are not there. A Kubernetes node and a Docker host declare theirs, a server's stand in its controller's
tree, and a KVM host's are noted and not passed (tests/contracts/kvm.py). All are of one model. Bare metal has no
server either: its controller is ours.
"""

import contextlib
import json
import ssl
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from federation.actions import sites
from federation.connections import checked
from federation.drivers.base import DriverConfig
from federation.drivers.kvm import driver as kvm
from federation.drivers.kvm import opened, wire
from federation.drivers.kvm.server import endpoint_of
from federation.models import Cluster
from federation.registry import KINDS
from portal.audit import SYSTEM
from tests.baremetal.bmc import PASSWORD, USER, Bmc, HookServer, plain_tree
from tests.contracts.kvm import NotingHost
from tests.docker.engine import IMAGE, NAME, Engine
from tests.kube import fleet
from tests.kube.certificates import Authority
from tests.kube.plane import ControlPlane
from tests.kube.test_rig import wait_for

CARDS = 2  # of each site but Kubernetes, and of the one server that bare metal has
CLOUD_CARDS = 8
_A100 = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81920"}


def connect(slug: str, driver: str, settings: dict[str, Any], machines: Any = (), **parts: str) -> Cluster:
    """The parts of a connection are looked at as the API does it, and its secrets sealed."""
    site = sites.add(by=SYSTEM, slug=slug, name=slug.title())
    way = checked(parts, now=datetime.now(UTC), driver=driver, machines=machines)
    made: Cluster = sites.add_cluster(
        by=SYSTEM, site=site, slug=slug, name=slug.title(), kind=KINDS.get(driver, driver), driver=driver,
        settings_=settings, connection=way,
    )  # fmt: skip
    return made


@dataclass
class Kubernetes:
    """A real control plane; its one node and what runs there is played by KWOK."""

    plane: ControlPlane
    node: str = field(default_factory=lambda: f"four-{uuid4().hex[:8]}")

    def connected(self) -> Cluster:
        plane = self.plane
        with plane.api() as api:
            fleet.add(api, "nvidia", self.node, kwok=True, labels=_A100)
            api.post("/api/v1/namespaces", {"metadata": {"name": self.node}})
            # A node that is new is closed by a taint until its first heartbeat has been looked at.
            wait_for(lambda: not api.get(f"/api/v1/nodes/{self.node}")["spec"].get("taints"))
        settings = {"system_namespace": self.node}
        return connect("cloud", "kubernetes", settings, server=plane.url, token=plane.admin_token, ca_pem=plane.ca_pem)

    def there(self) -> set[str]:
        with self.plane.api() as api:
            found = api.items("/api/v1/pods", labelSelector="aquifer.io/ref")
            return {
                pod["metadata"]["labels"]["aquifer.io/ref"] for pod in found
                if pod["spec"].get("nodeName") == self.node and pod["status"]["phase"] == "Running"
            }  # fmt: skip

    def close(self) -> None:
        with self.plane.api() as api:
            fleet.remove(api, self.node)
            api.delete(f"/api/v1/namespaces/{self.node}")


@dataclass
class Docker:
    engine: Engine

    def connected(self) -> Cluster:
        cards = [
            {"uuid": f"GPU-docker-{i}", "vendor": "nvidia", "model": "A100-80G", "memory_mib": 81920}
            for i in range(CARDS)
        ]
        settings = {"name": "dock-1", "devices": cards, "devices_by": "env", "default_image": IMAGE}
        server = f"https://127.0.0.1:{self.engine.port}"
        return connect("dock", "docker", settings, server=server, tls_server_name=NAME, **self.engine.secrets)

    def there(self) -> set[str]:
        found = self.engine.containers()
        return {one["Labels"]["aquifer.io/ref"] for one in found if one["State"] == "running"}

    def close(self) -> None:
        self.engine.clear()


class InProcess:
    """What a child process does for the hub, beside it: so that the host can be one whose cards are noted."""

    def __init__(self, config: DriverConfig, folder: str) -> None:
        self._opened = opened.Opened(endpoint_of(config), config.settings, folder)

    def ask(self, call: str, *arguments: Any) -> Any:
        self._opened.heed()
        sent = json.loads(wire.packed(list(arguments))[wire.HEAD_BYTES :])
        return json.loads(wire.packed([self._opened.call(call, sent)])[wire.HEAD_BYTES :])[0]

    def close(self) -> None:
        self._opened.close()


class Host(NotingHost):
    serials = tuple(f"KVM-CARD-{i}" for i in range(CARDS))


class Kvm:
    def __init__(self, daemon: Any, patch: pytest.MonkeyPatch) -> None:
        self._daemon, self._patch = daemon, patch
        self._folder = tempfile.TemporaryDirectory(prefix="four-")  # a socket's path is to be short
        self._lines: dict[str, InProcess] = {}

    def connected(self) -> Cluster:
        self._patch.setattr(opened, "Host", Host)
        self._patch.setattr(kvm, "line_for", self._line)
        daemon = self._daemon
        settings = {
            "node": "racks-1", "default_image": "guest.raw", "pool": "four",
            "pool_path": "/var/lib/libvirt/images/four",
        }  # fmt: skip
        return connect(
            "racks", "kvm", settings, server=daemon.server("tls"), ca_pem=daemon.ca_pem,
            client_cert_pem=daemon.client_pem, client_key_pem=daemon.client_key,
        )  # fmt: skip

    def _line(self, config: DriverConfig) -> InProcess:
        if config.cluster_id not in self._lines:
            self._lines[config.cluster_id] = InProcess(config, self._folder.name)
        return self._lines[config.cluster_id]

    def there(self) -> set[str]:
        return {d.name().removeprefix("aquifer-") for d in self._domains() if d.isActive()}

    def _domains(self) -> Iterator[Any]:
        with contextlib.closing(self._daemon.open()) as connection:
            yield from [d for d in connection.listAllDomains() if d.name().startswith("aquifer-")]

    def close(self) -> None:
        for domain in self._domains():
            if domain.isActive():
                domain.destroy()
            domain.undefine()
        for line in self._lines.values():
            line.close()
        self._folder.cleanup()


class BareMetal:
    """One server by its controller, and the operator's hooks; both by https."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        lasts = timedelta(days=1)
        tls.load_cert_chain(*self.authority.issue(folder, "server", addresses=("127.0.0.1",), lasts=lasts))
        tree = plain_tree(CARDS, uuid=lambda i: f"BMC-CARD-{i}")
        self.bmc, self.hooks = Bmc(time.monotonic, tree, tls=tls), HookServer(tls)
        self.bmc.delay = 0.2

    def connected(self) -> Cluster:
        settings = {"hooks": {name: f"{self.hooks.url}/{name}" for name in ("wipe", "check")}}
        machines = [{"name": "srv-1", "server": self.bmc.server}]
        return connect(
            "metal", "redfish", settings, machines, username=USER, password=PASSWORD, hook_secret="s" * 32,
            ca_pem=self.authority.pem,
        )  # fmt: skip

    def is_on(self) -> bool:
        return self.bmc.now_power() == "On"

    def close(self) -> None:
        self.bmc.close()
        self.hooks.close()
