"""The KVM driver on libvirt's test driver: a whole host inside the library, whose devices and machines are as written.

What the test driver does not have is filled in here: a card in two machines at once is noticed by nobody but our own
code; a machine cannot be started standing still, and its ends, its clock and its console are the harness's.
"""

from pathlib import Path
from typing import Any

from federation.drivers.base import DriverConfig, Unavailable
from federation.drivers.kvm import seed, wire
from federation.drivers.kvm.driver import KvmDriver
from federation.drivers.kvm.host import Host
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
    has_containers = False
    shares = False  # a card goes into a machine whole

    def __init__(self, folder: Path, monkeypatch: Any) -> None:
        super().__init__()
        self.course = Course()
        self.is_broken = self.is_lossy = False
        self.slow_seconds = 0.0
        file = folder / "site.xml"
        file.write_text(site_xml())
        libvirt = library()
        self.host = TestHost(libvirt, libvirt.open(f"test://{file}"), self)
        pool = self.host.connection.storagePoolLookupByName("aquifer")
        pool.createXML("<volume><name>debian.qcow2</name><capacity>1000</capacity></volume>", 0)
        # The test driver moves no bytes.
        monkeypatch.setattr(Pool, "upload", lambda *_: None)
        monkeypatch.setattr(Pool, "refresh", lambda *_: None)
        monkeypatch.setattr(Pool, "read_log", lambda _, ref, offset, limit: self.output(ref, offset, limit))
        monkeypatch.setattr(seed, "image_of", lambda files: b"seed")

    def ask(self, call: str, *arguments: Any) -> Any:
        """As the line to a child does it, through JSON both ways."""
        import json

        if self.is_broken or self.slow_seconds > CALL_SECONDS:
            raise Unavailable("The host did not answer.")
        if call == "ensure":
            spec = arguments[0]
            length = spec.run_seconds
            self.course.length.setdefault(f"aquifer-{spec.ref}", length if length is not None else float("inf"))
        sent = json.loads(wire.packed(list(arguments))[wire.HEAD_BYTES :])
        answer = called(Site(self.host, SETTINGS), call, sent)
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
                domain.shutdown()
                self._tell(name, min(end, self.now))

    def _tell(self, name: str, at: float) -> None:
        """The event by which the host tells of an end, at the moment of it."""
        now, self.now = self.now, at
        Site(self.host, SETTINGS).note_end(name)
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
