"""The KVM driver on libvirt's test driver: a whole host inside the library, whose devices and machines are as written.

What the test driver does not have is filled in here: a card in two machines at once is noticed by nobody but our own
code; a machine cannot be started standing still, and its ends, its clock and its console are the harness's.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from federation.drivers.base import DriverConfig, Unavailable
from federation.drivers.kvm import guests, seed, wire, work
from federation.drivers.kvm.driver import KvmDriver
from federation.drivers.kvm.host import Host, HostFacts
from federation.drivers.kvm.library import library
from federation.drivers.kvm.opened import called
from federation.drivers.kvm.pool import Pool
from federation.drivers.kvm.site import Site
from tests.contracts.harness import CARDS, NODE, Harness, uuid_of

SETTINGS = {"node": NODE, "default_image": "debian.qcow2", "image_pool": "aquifer"}
CALL_SECONDS = 9.0


def card_xml(index: int, serial: str) -> str:
    return f"""<device><name>pci_0000_0{index + 1}_00_0</name><parent>computer</parent>
      <driver><name>nvidia</name></driver>
      <capability type='pci'><class>0x030200</class>
        <domain>0</domain><bus>{index + 1}</bus><slot>0</slot><function>0</function>
        <product id='0x20b5'>GA100 [A100 PCIe 80GB]</product><vendor id='0x10de'>NVIDIA Corporation</vendor>
        <capability type='vpd'><name>A100</name>
          <fields access='readonly'><serial_number>{serial}</serial_number></fields></capability>
        <iommuGroup number='{index + 10}'><address domain='0' bus='{index + 1}' slot='0' function='0'/></iommuGroup>
        <numa node='{index // 2}'/>
      </capability></device>"""


def site_xml() -> str:
    cards = "".join(card_xml(i, uuid_of(i)) for i in range(CARDS))
    return f"""<node>
      <cpu><nodes>2</nodes><sockets>1</sockets><cores>16</cores><threads>2</threads><active>64</active>
        <mhz>2000</mhz><model>x86_64</model></cpu>
      <memory>{524_288 * 1024}</memory>
      <network><name>default</name><bridge name='virbr0'/></network>
      <pool type='dir'><name>aquifer</name><target><path>/aquifer</path></target></pool>
      {cards}</node>"""


class Course:
    """What a real guest would do by itself: when it began, and when it ends."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.length: dict[str, float] = {}
        self.asked: dict[str, float] = {}


class TestHost(Host):
    """libvirt's test driver, with the clock and the machines of the harness."""

    __test__ = False

    def __init__(self, libvirt: Any, connection: Any, harness: "KvmHarness") -> None:
        super().__init__(libvirt, connection)
        self._harness = harness

    def clock(self) -> float:
        return self._harness.now

    def wall(self) -> float:
        return self._harness.now

    def load(self, domain: Any) -> None:
        domain.create()
        domain.suspend()

    def let_run(self, domain: Any) -> None:
        domain.resume()
        self._harness.course.began.setdefault(domain.name(), self._harness.now)

    def shut_down(self, domain: Any) -> None:
        self._harness.course.asked[domain.name()] = self._harness.now

    def undefine(self, domain: Any) -> None:
        domain.undefine()

    def stats(self, domain: Any) -> dict[str, Any]:
        return {"cpu.time": 0, "balloon.rss": 1024}


class KvmHarness(Harness):
    measures = False
    shares = False  # a card goes into a machine whole

    def __init__(self, folder: Path, monkeypatch: Any) -> None:
        super().__init__()
        self.course = Course()
        self.is_broken = self.is_lossy = False
        self.slow_seconds = 0.0
        self.settings: dict[str, Any] = dict(SETTINGS)
        self.host = self.opened(folder)
        self.fill_in(monkeypatch)

    def opened(self, folder: Path) -> Host:
        file = folder / "site.xml"
        file.write_text(site_xml())
        libvirt = library()
        return TestHost(libvirt, libvirt.open(f"test://{file}"), self)

    def fill_in(self, monkeypatch: Any) -> None:
        pool = self.host.connection.storagePoolLookupByName("aquifer")
        pool.createXML("<volume><name>debian.qcow2</name><capacity>1000</capacity></volume>", 0)
        # The test driver moves no bytes.
        monkeypatch.setattr(Pool, "upload", lambda *_: None)
        monkeypatch.setattr(Pool, "refresh", lambda *_: None)
        monkeypatch.setattr(Pool, "read_log", lambda _, ref, offset, limit: self.output(ref, offset, limit))
        monkeypatch.setattr(seed, "image_of", lambda files: b"seed")

    def ask(self, call: str, *arguments: Any) -> Any:
        """As the line to a child does it, through JSON both ways."""
        if self.is_broken or self.slow_seconds > CALL_SECONDS:
            raise Unavailable("The host did not answer.")
        if call == "ensure":
            spec = arguments[0]
            length = spec.run_seconds
            self.course.length.setdefault(f"aquifer-{spec.ref}", length if length is not None else float("inf"))
        sent = json.loads(wire.packed(list(arguments))[wire.HEAD_BYTES :])
        answer = called(Site(self.host, self.settings), call, sent)
        found = json.loads(wire.packed([answer])[wire.HEAD_BYTES :])[0]
        if self.is_lossy:
            raise Unavailable("The answer was lost.")
        return found

    def driver(self, epoch: int = 1) -> KvmDriver:
        return KvmDriver(DriverConfig("cluster-1", "kvm", epoch, {"server": "test:///x"}, port=self))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for domain in self.host.connection.listAllDomains():
            name = domain.name()
            began = self.course.began.get(name)
            if not domain.isActive() or began is None:
                continue
            end = began + self.course.length.get(name, float("inf"))
            asked = self.course.asked.get(name)
            if self.now >= end or (asked is not None and self.now >= asked + 1):
                self.end_by_itself(domain)
                self._tell(name, min(end, self.now))

    def end_by_itself(self, domain: Any) -> None:
        domain.shutdown()

    def _tell(self, name: str, at: float) -> None:
        """The event by which the host tells of an end, at the moment of it."""
        now, self.now = self.now, at
        Site(self.host, self.settings).note_end(name)
        self.now = now

    def tick(self) -> None: ...

    def break_site(self) -> None:
        self.is_broken = True

    def slow_site(self, seconds: float) -> None:
        self.slow_seconds = seconds

    def lose_answers(self) -> None:
        self.is_lossy = True

    def heal_site(self) -> None:
        self.is_broken = self.is_lossy = False
        self.slow_seconds = 0.0

    def objects(self) -> list[str]:
        return sorted(d.name().removeprefix("aquifer-") for d in self.host.connection.listAllDomains())

    def output(self, ref: str, offset: int, limit: int) -> tuple[bytes, int]:
        began = self.course.began.get(f"aquifer-{ref}")
        if began is None:
            return b"", 0
        lines = int(min(self.now - began, self.course.length.get(f"aquifer-{ref}", float("inf"))))
        whole = "".join(f"second {i} 秒\n" for i in range(lines + 1)).encode()
        return whole[offset : offset + limit], len(whole)

    def close(self) -> None:
        self.host.close()


class NotingHost(Host):
    """A real libvirt with QEMU and no IOMMU: cards as written, noted and not passed."""

    passes_devices = False
    serials: ClassVar[tuple[str, ...]] = tuple(uuid_of(i) for i in range(CARDS))

    @cached_property
    def facts(self) -> HostFacts:
        found = Host.facts.func(self)  # type: ignore[attr-defined]  # what cached_property wraps
        return replace(found, cpus=64, memory_mib=524_288, cells=())

    def guest(self, domain: Any) -> guests.Guest | None:
        """It has what is noted."""
        found = super().guest(domain)
        if found is None or found.order is None:
            return found
        return replace(found, addresses=frozenset(a for one in found.order.devices for a in one.addresses))

    def descriptions(self, flags: int) -> Iterator[str]:
        return (card_xml(i, serial) for i, serial in enumerate(self.serials))


class RealHost(NotingHost):
    """With the clock of the harness."""

    def __init__(self, libvirt: Any, connection: Any, harness: "RealKvmHarness") -> None:
        super().__init__(libvirt, connection)
        self._harness = harness

    def clock(self) -> float:
        return self._harness.now

    def wall(self) -> float:
        return self._harness.now

    def let_run(self, domain: Any) -> None:
        domain.resume()
        self._harness.course.began.setdefault(domain.name(), self._harness.now)

    def shut_down(self, domain: Any) -> None:
        self._harness.course.asked[domain.name()] = self._harness.now


class RealKvmHarness(KvmHarness):
    """Real machines, whose guest goes off when it is asked to; and when the time of their work is over, it is asked."""

    def __init__(self, daemon: Any, number: int, folder: Path, monkeypatch: Any) -> None:
        self._daemon, self._pool = daemon, f"aquifer-{number}"
        super().__init__(folder, monkeypatch)
        self.settings |= {
            "default_image": "default/guest.raw", "pool": self._pool,
            "pool_path": f"/var/lib/libvirt/images/{self._pool}",
        }  # fmt: skip

    def opened(self, folder: Path) -> Host:
        return RealHost(library(), self._daemon.open(), self)

    def fill_in(self, monkeypatch: Any) -> None:
        # Its console says what is due by the harness's clock; tests/kvm reads real ones.
        monkeypatch.setattr(Pool, "read_log", lambda _, ref, offset, limit: self.output(ref, offset, limit))
        # A machine of the contract's size would fill this one.
        monkeypatch.setattr(
            work, "order_of", lambda spec, held: replace(guests.order_of(spec, held), memory_mib=32, vcpus=1)
        )

    def end_by_itself(self, domain: Any) -> None:
        deadline = time.monotonic() + 60
        domain.shutdown()
        pressed = time.monotonic()
        while domain.isActive():
            if time.monotonic() > deadline:
                raise AssertionError("The guest does not go off.")
            if time.monotonic() - pressed > 1:  # it was not yet up to hear
                domain.shutdown()
                pressed = time.monotonic()
            time.sleep(0.02)

    def close(self) -> None:
        for domain in self.host.connection.listAllDomains():
            if domain.isActive():
                domain.destroy()
            self.host.undefine(domain)
        super().close()
