"""Bare servers by their controllers, which are strict ones of our own (tests/baremetal/bmc.py).

The cases grant single cards of one node, and a lease is a whole server. So there are as many servers as the node has
cards, each with four: work on card i is leased server i, whole. All that the cases see of the others is that work.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

import pytest

from federation.drivers.base import (
    DeviceGrant,
    DriverConfig,
    NodeSeen,
    Observation,
    UsageSample,
    WorkloadSpec,
)
from federation.drivers.redfish import wire
from federation.drivers.redfish.driver import RedfishDriver
from federation.drivers.redfish.ledger import Lease, Ledger, MemoryLedger, Phase
from tests.baremetal.bmc import PASSWORD, USER, Bmc, HookServer, plain_tree
from tests.contracts.harness import CARDS, NODE, NODES, Harness, uuid_of

_WAITS = 0.4  # real seconds that the driver gives an answer here


class RedfishHarness(Harness):
    shares_devices = False

    def __init__(self, ledger: Callable[[Callable[[], float]], Ledger] = MemoryLedger) -> None:
        super().__init__()
        self.ledger = ledger(lambda: self.now)
        self.hooks = HookServer()
        self.bmcs = self.made()
        self.is_lossy = False
        self.run_seconds: dict[str, float] = {}
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(wire, "REQUEST_SECONDS", _WAITS)

    def made(self) -> list[Bmc]:
        return [Bmc(lambda: self.now, plain_tree(CARDS, uuid=_serial(i))) for i in range(CARDS)]

    def machines(self) -> list[dict[str, str]]:
        return [bmc.settings(name_of(i)) for i, bmc in enumerate(self.bmcs)]

    def go_off(self, server: int) -> None:
        """It switches itself off."""
        self.bmcs[server].power, self.bmcs[server].coming = "Off", None

    def whole(self, spec: WorkloadSpec) -> WorkloadSpec:
        return _whole(spec)

    def driver(self, epoch: int = 1) -> "OneNode":
        settings = {
            "machines": self.machines(),
            "plain_http": True,
            "off_seconds": 0,
            "hooks": self.hooks.settings("wipe", "check"),
        }
        secrets = {"username": USER, "password": PASSWORD, "hook_secret": "s" * 32}
        return OneNode(DriverConfig("cluster-1", "baremetal", epoch, settings, secrets, self.ledger), self)

    def advance(self, seconds: float) -> None:
        """Servers whose work is done switch themselves off; the hub, which looks all the time, has just looked."""
        until = self.now + seconds
        while ends := [(at, lease.machine) for lease in self.ledger.there() if (at := self._end(lease)) <= until]:
            at, machine = min(ends)
            if at > self.now:
                self.now = at
            self.driver().observe_many([lease.ref for lease in self.ledger.there()])
            self.go_off(int(machine.rpartition("-")[2]) - 1)
            self.run_seconds = {ref: s for ref, s in self.run_seconds.items() if self._machine(ref) != machine}
        self.now = until

    def _machine(self, ref: str) -> str:
        return self.ledger.look([ref])[ref].machine if self.ledger.look([ref]) else ""

    def _end(self, lease: Lease) -> float:
        seconds = self.run_seconds.get(lease.ref)
        if seconds is None or lease.phase != Phase.RUNNING or lease.on_at is None:
            return float("inf")
        return lease.on_at + max(0.0, seconds)

    def tick(self) -> None:
        """It knows at once."""

    def break_site(self) -> None:
        for bmc in self.bmcs:
            bmc.is_down = True

    def slow_site(self, seconds: float) -> None:
        for bmc in self.bmcs:
            bmc.silence = 0.02 if seconds <= 10 else _WAITS * 3

    def lose_answers(self) -> None:
        for bmc in self.bmcs:
            bmc.is_lossy = True

    def heal_site(self) -> None:
        for bmc in self.bmcs:
            bmc.is_down = bmc.is_lossy = False
            bmc.silence = 0.0

    def objects(self) -> list[str]:
        return sorted(lease.ref for lease in self.ledger.there())

    def close(self) -> None:
        self._patch.undo()
        self.hooks.close()
        for bmc in self.bmcs:
            bmc.close()


class OneNode(RedfishDriver):
    """The same driver, asked as the cases ask."""

    def __init__(self, config: DriverConfig, site: RedfishHarness) -> None:
        super().__init__(config)
        self._site = site

    def ensure(self, spec: WorkloadSpec) -> Observation:
        if spec.run_seconds is not None and spec.run_seconds < 1e9:
            self._site.run_seconds.setdefault(spec.ref, spec.run_seconds)
        return super().ensure(self._site.whole(spec))

    def inventory(self) -> Iterable[NodeSeen]:
        return [replace(node, rack="r1", labels=NODES[0]["labels"]) for node in super().inventory()
                if node.name == NODE]  # fmt: skip

    def usage(self, start: datetime, end: datetime) -> Iterable[UsageSample]:
        mine = {uuid_of(i) for i in range(CARDS)}
        return [sample for sample in super().usage(start, end) if sample.ref or sample.uuid in mine]


def name_of(index: int) -> str:
    return f"node-{index + 1}"


def _serial(server: int) -> Callable[[int], str]:
    """Server 1 has the cards of the cases; the others have their own."""
    return lambda card: f"GPU-{card}" if server == 0 else f"GPU-{server}-{card}"


def _whole(spec: WorkloadSpec) -> WorkloadSpec:
    """Card i of the node as server i with all its cards; what makes no sense stays as it is."""
    if len(spec.devices) != 1 or spec.devices[0].milli != 1000 or spec.node != NODE:
        return spec
    server = spec.devices[0].index
    memory = spec.devices[0].memory_mib
    cards = tuple(DeviceGrant(i, _serial(server)(i), 1000, memory) for i in range(CARDS))
    return replace(spec, node=name_of(server), devices=cards)
