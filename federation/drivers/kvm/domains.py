"""The XML of the domain that is one piece of work. Pure."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import uuid4
from xml.etree import ElementTree

from federation.drivers.kvm.cards import Address
from federation.drivers.kvm.guests import Course, Held, Order, course_element, text_of, work_element
from federation.drivers.kvm.names import name_of

Element = ElementTree.Element
_SPARE_PORTS = 6  # of PCIe, for what is plugged in while it runs
_MACHINES = {"x86_64": "q35", "aarch64": "virt"}


@dataclass(frozen=True, slots=True)
class Shape:
    """What of the host a domain is made for. Empty: without."""

    virtualisation: str  # kvm, qemu, test
    arch: str
    disk: str = ""  # path of its own disk
    disk_format: str = "qcow2"
    seed: str = ""  # path of the image that cloud-init reads
    log: str = ""  # path of what its serial console says
    network: str = ""  # of libvirt's; "user": out and not in, by QEMU itself
    bridge: str = ""
    is_efi: bool = False
    cpus: str = ""  # of the NUMA nodes its cards are on
    memory_nodes: str = ""
    has_devices: bool = True  # False: they are noted and not passed (for hosts without an IOMMU, in tests)
    machine: str = ""
    cpu: str = "host-passthrough"


def domain_xml(order: Order, shape: Shape, course: Course) -> str:
    root = Element("domain", type=shape.virtualisation)
    _add(root, "name", name_of(order.ref))
    _add(root, "uuid", str(uuid4()))  # another try of the same work has another: the host takes only one of the name
    metadata = _add(root, "metadata")
    metadata.append(work_element(order))
    metadata.append(course_element(course))
    _add(root, "memory", str(order.memory_mib), unit="MiB")
    vcpu = _add(root, "vcpu", str(order.vcpus), placement="static")
    if shape.cpus:
        vcpu.set("cpuset", shape.cpus)
        _add(_add(root, "numatune"), "memory", mode="preferred", nodeset=shape.memory_nodes)
    os = _add(root, "os")
    if shape.virtualisation == "test":
        _add(os, "type", "hvm")
    else:
        if shape.is_efi:
            os.set("firmware", "efi")
        _add(os, "type", "hvm", arch=shape.arch, machine=shape.machine or _MACHINES.get(shape.arch, "virt"))
        features = _add(root, "features")
        for name in ("acpi", "apic") if shape.arch == "x86_64" else ("acpi",):
            _add(features, name)
        if shape.virtualisation == "kvm" and shape.cpu != "default":
            _add(root, "cpu", mode=shape.cpu)
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        _add(root, event, action)
    _devices(_add(root, "devices"), order, shape)
    return text_of(root)


def _devices(devices: Element, order: Order, shape: Shape) -> None:
    is_real = shape.virtualisation != "test"
    if is_real and not shape.machine:
        _add(devices, "controller", type="pci", index="0", model="pcie-root")
        for _ in range(_SPARE_PORTS + len(order.devices)):
            _add(devices, "controller", type="pci", model="pcie-root-port")
    if shape.disk:
        disk = _add(devices, "disk", type="file", device="disk")
        _add(disk, "driver", name="qemu", type=shape.disk_format, discard="unmap")
        _add(disk, "source", file=shape.disk)
        _add(disk, "target", dev="vda", bus="virtio")
    if shape.seed:
        disk = _add(devices, "disk", type="file", device="cdrom")
        _add(disk, "driver", name="qemu", type="raw")
        _add(disk, "source", file=shape.seed)
        _add(disk, "target", dev="sda", bus="sata")
        _add(disk, "readonly")
    if shape.bridge or shape.network:
        kind = "bridge" if shape.bridge else "user" if shape.network == "user" else "network"
        interface = _add(devices, "interface", type=kind)
        if kind != "user":
            _add(interface, "source", **{kind: shape.bridge or shape.network})
        _add(interface, "model", type="virtio")
    if is_real:
        serial = _add(devices, "serial", type="pty")
        if shape.log:
            _add(serial, "log", file=shape.log, append="on")
        channel = _add(devices, "channel", type="unix")
        _add(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
        _add(devices, "graphics", type="vnc", autoport="yes", listen="127.0.0.1", passwd=secrets.token_urlsafe(6))
        _add(_add(devices, "video"), "model", type="virtio" if shape.arch != "x86_64" else "vga")
        _add(_add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
    if shape.has_devices:
        for element in device_elements(order.devices):
            devices.append(element)


def device_elements(held: Iterable[Held]) -> list[Element]:
    """One for each function of each card, and for each mediated device. The host gives them back by itself."""
    found = []
    for one in held:
        for address in one.addresses:
            device = Element("hostdev", mode="subsystem", type="pci", managed="yes")
            _add(_add(device, "source"), "address", **numbers_of(address))
            found.append(device)
        if one.mediated:
            device = Element("hostdev", mode="subsystem", type="mdev", model="vfio-pci")
            _add(_add(device, "source"), "address", uuid=one.mediated)
            found.append(device)
    return found


def numbers_of(address: Address) -> dict[str, str]:
    return {
        "domain": f"0x{address.domain:04x}", "bus": f"0x{address.bus:02x}",
        "slot": f"0x{address.slot:02x}", "function": f"0x{address.function:x}",
    }  # fmt: skip


def _add(parent: Element, tag: str, text: str = "", /, **attributes: str) -> Element:
    found = ElementTree.SubElement(parent, tag, attributes)
    if text:
        found.text = text
    return found
