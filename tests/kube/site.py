"""The driver under test on a real node, as the hub makes it."""

import time
from typing import Any
from uuid import uuid4

from federation.drivers.abilities import Channel, Stream
from federation.drivers.base import DeviceGrant, DeviceSeen, DriverConfig, NodeSeen, Observation, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.kubernetes.driver import KubernetesDriver
from federation.drivers.kubernetes.names import namespace_of
from tests.kube.node import IMAGE, RealNode
from tests.kube.test_rig import wait_for

SPACE = namespace_of("acme", "vision")
SYSTEM = "aquifer-real"


class Site:
    """The driver as the hub makes it, and what a test starts by it."""

    def __init__(self, node: RealNode) -> None:
        self.node = node
        settings = {
            "server": node.plane.url, "system_namespace": SYSTEM, "default_image": IMAGE, "pull_policy": "Never",
        }  # fmt: skip
        secrets = {"token": node.plane.admin_token, "ca_pem": node.plane.ca_pem}
        self.driver = KubernetesDriver(DriverConfig("cluster-1", "kubernetes", 1, settings, secrets))
        self.refs: list[str] = []

    def work(self, script: str, *devices: DeviceSeen, **more: Any) -> WorkloadSpec:
        """A shell script on the node; not yet told to the site."""
        grants = tuple(DeviceGrant(one.index, one.uuid, 1000, one.memory_mib) for one in devices)
        spec = {
            "ref": str(uuid4()), "epoch": 1, "generation": 1, "name": "work", "tenant": "acme", "project": "vision",
            "kind": "batch", "node": self.node.name, "cpu_milli": 100, "memory_mib": 64, "devices": grants,
            "command": ("sh", "-c", script), "grace_seconds": 1,
        }  # fmt: skip
        return WorkloadSpec(**{**spec, **more})

    def start(self, script: str, *devices: DeviceSeen, **more: Any) -> str:
        spec = self.work(script, *devices, **more)
        self.refs.append(spec.ref)
        self.driver.ensure(spec)
        return spec.ref

    def until(self, ref: str, *states: O, reason: str = "", seconds: float = 60) -> Observation:
        def look() -> Observation | None:
            seen = self.driver.observe(ref)
            assert seen.state in (O.PENDING, O.STARTING, O.RUNNING, O.STOPPING, *states), seen
            return seen if seen.state in states and seen.reason == (reason or seen.reason) else None

        found = wait_for(look, seconds)
        assert found is not None
        return found

    def run(self, script: str, *devices: DeviceSeen, **more: Any) -> tuple[str, Observation]:
        ref = self.start(script, *devices, **more)
        return ref, self.until(ref, O.SUCCEEDED, O.FAILED)

    def end(self, ref: str) -> None:
        wait_for(lambda: self.driver.remove(ref).state == O.ABSENT)

    def shows(self) -> NodeSeen:
        return next(node for node in self.driver.inventory() if node.name == self.node.name)

    def log(self, ref: str) -> str:
        chunk = self.driver.logs(ref)
        assert chunk.is_complete, chunk
        return chunk.text


def said(channel: Channel, seconds: float = 30) -> dict[Stream, bytes]:
    """Everything until the other side ends."""
    found = {Stream.OUT: b"", Stream.ERR: b""}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            piece = channel.receive(1)
        except EOFError:
            return found
        if piece:
            found[piece[0]] += piece[1]
    raise AssertionError(f"no end: {found}")
