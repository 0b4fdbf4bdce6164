"""One host over an open connection: few words, each one or two calls of libvirt. Raises what libvirt raises.

A test's host that cannot do all of this says otherwise here and nowhere else.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from xml.etree import ElementTree

from federation.drivers.kvm.cards import Cards, cards_of
from federation.drivers.kvm.guests import Course, Guest, Order, course_element, guest_of, text_of, work_element
from federation.drivers.kvm.names import COURSE_SPACE, WORK_SPACE
from federation.drivers.kvm.trees import parsed

_ELEMENT = 2  # VIR_DOMAIN_METADATA_ELEMENT
_CONFIG, _LIVE = 2, 1


@dataclass(frozen=True, slots=True)
class HostFacts:
    uuid: str
    cpus: int
    memory_mib: int
    arch: str
    virtualisation: str
    version: str
    cells: tuple[tuple[int, str], ...]  # NUMA nodes and their CPUs, as "0-15,32"


class Host:
    passes_devices = True  # False: for tests on hosts without an IOMMU, where devices are noted and not passed

    def __init__(self, libvirt: Any, connection: Any) -> None:
        self.libvirt, self.connection = libvirt, connection
        self.Error = libvirt.libvirtError

    def is_alive(self) -> bool:
        try:
            return bool(self.connection.isAlive())
        except self.Error:
            return False

    def close(self) -> None:
        try:
            self.connection.close()
        except self.Error:
            return  # it is lost already

    # -- the machine ---------------------------------------------------------------------------------

    @cached_property
    def facts(self) -> HostFacts:
        root = parsed(self.connection.getCapabilities())
        arch, memory, cpus, *_ = self.connection.getInfo()
        number = self.connection.getLibVersion()
        kinds = {d.get("type", "") for d in root.iterfind(f"guest/arch[@name='{arch}']/domain")}
        kinds = kinds or {d.get("type", "") for d in root.iterfind("guest/arch/domain")}
        cells = []
        for cell in root.iterfind("host/topology/cells/cell"):
            found = sorted(int(c.get("id", "0")) for c in cell.iterfind("cpus/cpu"))
            cells.append((int(cell.get("id", "0")), ",".join(str(n) for n in found)))
        return HostFacts(
            uuid=root.findtext("host/uuid") or "",
            cpus=int(cpus),
            memory_mib=int(memory),
            arch=str(arch),
            virtualisation=next((k for k in ("kvm", "qemu", "test") if k in kinds), "qemu"),
            version=f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}",
            cells=tuple(cells),
        )

    @cached_property
    def name(self) -> str:
        """The host asks its resolver for this: seconds, where that answers nothing."""
        return str(self.connection.getHostname())

    def clock(self) -> float:
        """Seconds by the host's own count, which no setting of a clock moves: what its first CPU worked and rested."""
        return float(sum(self.connection.getCPUStats(0).values()) / 1e9)

    def wall(self) -> float:
        return time.time()

    def cards(self, kinds: tuple[str, ...]) -> Cards:
        flags = (
            self.libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV | self.libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV
        )
        return cards_of(self.descriptions(flags), self.facts.uuid, kinds)

    def descriptions(self, flags: int) -> Iterator[str]:
        for device in self.connection.listAllDevices(flags):
            try:
                yield device.XMLDesc()
            except self.Error:
                continue  # it went away between the two calls

    # -- domains -------------------------------------------------------------------------------------

    def guests(self) -> list[tuple[Any, Guest]]:
        found = []
        for domain in self.connection.listAllDomains():
            try:
                guest = self.guest(domain)
            except self.Error as error:
                if error.get_error_code() != self.libvirt.VIR_ERR_NO_DOMAIN:
                    raise
                continue  # it went away between the two calls
            if guest is not None:
                found.append((domain, guest))
        return found

    def find(self, name: str) -> tuple[Any, Guest] | None:
        try:
            domain = self.connection.lookupByName(name)
            guest = self.guest(domain)
        except self.Error as error:
            if error.get_error_code() == self.libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise
        return None if guest is None else (domain, guest)

    def guest(self, domain: Any) -> Guest | None:
        return guest_of(domain.XMLDesc(), is_active=bool(domain.isActive()))

    def state(self, domain: Any) -> tuple[int, int]:
        state, reason = domain.state()
        return int(state), int(reason)

    def stats(self, domain: Any) -> dict[str, Any]:
        known = self.libvirt
        wanted = known.VIR_DOMAIN_STATS_CPU_TOTAL | known.VIR_DOMAIN_STATS_BALLOON
        wanted |= known.VIR_DOMAIN_STATS_BLOCK | known.VIR_DOMAIN_STATS_INTERFACE
        return dict(self.connection.domainListGetStats([domain], wanted)[0][1])

    def define(self, xml: str) -> Any:
        return self.connection.defineXML(xml)

    def load(self, domain: Any) -> None:
        """Everything of it is there and stands still; `let_run` is what begins it."""
        domain.createWithFlags(self.libvirt.VIR_DOMAIN_START_PAUSED)

    def let_run(self, domain: Any) -> None:
        domain.resume()

    def hold_still(self, domain: Any) -> None:
        domain.suspend()

    def shut_down(self, domain: Any) -> None:
        domain.shutdown()

    def destroy(self, domain: Any) -> None:
        domain.destroy()

    def undefine(self, domain: Any) -> None:
        """With all that libvirt itself keeps of it."""
        known = self.libvirt
        domain.undefineFlags(
            known.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | known.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | known.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            | known.VIR_DOMAIN_UNDEFINE_NVRAM
        )

    def attach(self, domain: Any, xml: str) -> None:
        domain.attachDeviceFlags(xml, _LIVE | _CONFIG)

    def detach(self, domain: Any, xml: str) -> None:
        domain.detachDeviceFlags(xml, _LIVE | _CONFIG)

    def write_order(self, domain: Any, order: Order) -> None:
        self._write(domain, text_of(work_element(order)), "aquifer", WORK_SPACE)

    def write_course(self, domain: Any, course: Course) -> None:
        self._write(domain, text_of(course_element(course)), "aquifer-course", COURSE_SPACE)

    def _write(self, domain: Any, text: str, prefix: str, space: str) -> None:
        # The library adds the prefix itself, and falls over one that the text declares already: ours differs.
        flags = _CONFIG | (_LIVE if domain.isActive() else 0)
        domain.setMetadata(_ELEMENT, text, prefix, space, flags)

    # -- mediated devices ----------------------------------------------------------------------------

    def make_mediated(self, uuid: str, kind: str, parent: str) -> None:
        root = ElementTree.Element("device")
        ElementTree.SubElement(root, "parent").text = parent
        capability = ElementTree.SubElement(root, "capability", type="mdev")
        ElementTree.SubElement(capability, "type", id=kind)
        ElementTree.SubElement(capability, "uuid").text = uuid
        self.connection.nodeDeviceCreateXML(ElementTree.tostring(root, encoding="unicode"), 0)

    def drop_mediated(self, uuid: str) -> None:
        for device in self.connection.listAllDevices(self.libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV):
            root = parsed(device.XMLDesc())
            if root.findtext("capability/uuid") == uuid:
                device.destroy()
