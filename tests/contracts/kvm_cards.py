"""The KVM driver on a host whose cards are real and behind an IOMMU (tests/kvm/nested.py): each taken and given back.

Its cards are QEMU's, so what they say of themselves is the harness's: a vendor, a model, a serial number. Addresses,
groups, drivers, vfio and who has what are the host's own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from federation.drivers.kvm import guests
from federation.drivers.kvm.host import Host
from federation.drivers.kvm.library import library
from federation.drivers.kvm.trees import parsed
from tests.contracts.harness import uuid_of
from tests.contracts.kvm import RealHost, RealKvmHarness


class PassingHost(RealHost):
    passes_devices = True
    names: ClassVar[dict[str, str]] = {f"pci_0000_{bus:02x}_00_0": uuid_of(i) for i, bus in enumerate((1, 2, 5, 6))}

    def guest(self, domain: object) -> guests.Guest | None:
        """It has what was passed to it."""
        return Host.guest(self, domain)

    def descriptions(self, flags: int) -> Iterator[str]:
        """Without the two cards that go together or not at all: tests/kvm/test_gpu_host.py has these."""
        for text in Host.descriptions(self, flags):
            root = parsed(text)
            name = root.findtext("name") or ""
            if name in self.names:
                yield _named(root, self.names[name])
            elif not name.startswith("pci_0000_04_"):
                yield text


def _named(root: ElementTree.Element, serial: str) -> str:
    capability = root.find("capability")
    assert capability is not None
    for tag, number in (("product", "0x20b5"), ("vendor", "0x10de")):
        found = capability.find(tag)
        assert found is not None
        found.set("id", number)
    told = ElementTree.SubElement(capability, "capability", type="vpd")
    fields = ElementTree.SubElement(told, "fields", access="readonly")
    ElementTree.SubElement(fields, "serial_number").text = serial
    return ElementTree.tostring(root, encoding="unicode")


class CardsHarness(RealKvmHarness):
    def opened(self, folder: Path) -> Host:
        return PassingHost(library(), self._daemon.open(), self)

    def objects(self) -> list[str]:
        """Each machine that is on has its card by vfio, and no other card is taken."""
        on = [domain for domain in self.host.connection.listAllDomains() if domain.isActive()]
        assert len(self.taken()) == len(on)
        return super().objects()

    def taken(self) -> set[str]:
        """Addresses of the cards that vfio has now, by the kernel of the host."""
        found = set()
        for name in PassingHost.names:
            root = parsed(self.host.connection.nodeDeviceLookupByName(name).XMLDesc())
            if root.findtext("driver/name") == "vfio-pci":
                found.add(name)
        return found

    def close(self) -> None:
        """A card is given back with the end of its machine, so the next case finds all of them free."""
        connection = self.host.connection
        for domain in connection.listAllDomains():
            if domain.isActive():
                domain.destroy()
        assert self.taken() == set()
        super().close()
